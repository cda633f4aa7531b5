"""What bodies are made of: any part of any body follows from its key and its offset, so that nothing has to be kept.

Whoever receives one compares each byte with what it must be (which tells the offset of the first wrong one), and hashes
all of them: the digest goes to the other end, whose own must be the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from vegurtx.testing.pattern import PERIOD, matches, pattern

#: bytes of a piece, where a body goes out in pieces
PIECE = 65536


def pieces(key: int, size: int, step: int = PIECE) -> Iterator[memoryview]:
    """Yield a body of `size` bytes in pieces of `step` (at most `PERIOD`)."""
    for offset in range(0, size, step):
        yield pattern(key + offset, min(step, size - offset))


def body(key: int, size: int) -> bytes:
    """Return a whole body."""
    return b"".join(pieces(key, size, PERIOD))


def digest(key: int, size: int) -> str:
    """Return the SHA-256 of a body, in hexadecimal."""
    made = sha256()
    for piece in pieces(key, size, PERIOD):
        made.update(piece)
    return made.hexdigest()


def chunk(piece: bytes | bytearray | memoryview) -> bytes:
    """Return a piece of a body as a chunk (RFC 9112, section 7.1)."""
    return b"".join((b"%x\r\n" % len(piece), piece, b"\r\n"))


class Received:
    """A body that comes in.

    :param key: of the body that it must be.
    :param keep: whether `data` is to have it.
    """

    def __init__(self, key: int, *, keep: bool = False) -> None:
        self.key = key
        self.data: bytearray | None = bytearray() if keep else None
        self.size = 0
        self.wrong_at: int | None = None
        """The offset of the first byte that is not what it must be."""
        self._digest = sha256()

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._digest.update(data)
        if self.data is not None:
            self.data += data
        for begin in range(0, len(data), PERIOD):
            part = data[begin : begin + PERIOD]
            if self.wrong_at is None and not matches(part, self.key + self.size):
                self.wrong_at = self.size + _first_difference(part, self.key + self.size)
            self.size += len(part)

    @property
    def digest(self) -> str:
        """The SHA-256 of what has come, in hexadecimal."""
        return self._digest.hexdigest()

    def problem(self, size: int | None, digest: str | None = None) -> str:
        """Say in words what is wrong with the body; nothing is: ``""``.

        :param size: bytes that it must have; `None`: it may be cut short.
        :param digest: what the other end says that it has sent; `None`: it says nothing.
        """
        if self.wrong_at is not None:
            return f"byte {self.wrong_at} of the body is wrong (of {self.size} that came)"
        if size is not None and self.size != size:
            return f"the body has {self.size} bytes, not {size}"
        if size is not None and digest is not None and digest != self.digest:
            return f"the body's digest is {self.digest}, not {digest}"
        return ""


def _first_difference(data: bytes, offset: int) -> int:
    wanted = pattern(offset, len(data))
    return next(at for at, (came, want) in enumerate(zip(data, wanted, strict=True)) if came != want)
