"""How an input says where it is cut into segments: by a mark that stands in the bytes, and is taken out of them.

The mark is a character that people can see and the mutator can move, so a corpus file reads like what was sent:
``GET / HT¦TP/1.1``. It is the UTF-8 of U+00A6; two bytes that stand for nothing in HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

MARK = "¦".encode()


def whole(data: bytes) -> bytes:
    """The bytes themselves."""
    return data.replace(MARK, b"")


def segments(data: bytes) -> list[bytes]:
    """The bytes, cut where the input says; none is empty."""
    return [part for part in data.split(MARK) if part]


def cuttings(data: bytes, most: int = 24) -> Iterator[list[bytes]]:
    """The ways in which a target cuts an input: as it says, and in equal segments, `most` of them; single bytes where
    it is not longer.
    """
    raw = whole(data)
    yield segments(data)
    size = max(len(raw) // most, 1)
    yield [raw[at : at + size] for at in range(0, len(raw), size)]


def leading(data: bytes, count: int) -> tuple[int, bytes]:
    """Take the first byte off as a number below `count`, and the rest.

    Digits mean themselves (``0`` is 0), so that a corpus file can be written by hand.
    """
    if not data:
        return 0, b""
    return (data[0] - 0x30) % count, data[1:]


Check = Callable[[bytes], None]
"""A target: returns if all its claims hold for an input, else raises."""
