"""Reads a chunked body strictly and writes one afresh.

Stands between ``net``'s segments and the other side's connection: what a peer wrote as chunks comes out as
pieces of body, and goes out in chunks of our own making, so that no extension or oddity of a size line is
ever passed on (RFC 9112 section 7.1, rule 6).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum

from .errors import BadChunk
from .grammar import EXTENSION
from .limits import DEFAULT_BODY_LIMITS, BodyLimits
from .scanner import FieldBounds, FieldError, FieldScanner, Place

Piece = bytes | memoryview

LAST_CHUNK = b"0\r\n\r\n"
"""The end of a chunked body without trailers."""

_COPY_BELOW = 1024
"""Bytes; smaller pieces are copied, because a view costs more than that and keeps its whole segment alive."""

_MANY = 32
"""Pieces; more of one segment are joined: each one that waits to be sent would cost many times its bytes."""

_SIZE_END = 2**63

_size_line = re.compile(rb"([0-9A-Fa-f]{1,16}+)(?:%s)?+\r\n" % EXTENSION).match
_size_line_beginning = re.compile(rb"[0-9A-Fa-f]{1,16}+(?:%s)?+\r?+" % EXTENSION).match
_size_digits = re.compile(rb"[0-9A-Fa-f]{1,16}+(?=[\t\r ;])").match


class ChunkPlace(Enum):
    """Where in a chunked body the next byte belongs."""

    SIZE = "in a chunk-size line"
    DATA = "in a chunk's data"
    DATA_END = "in the CRLF behind the data"
    TRAILER = "behind the last chunk's size line"
    DONE = "behind the end"
    BROKEN = "behind bytes that made no sense"


class ChunkedDecoder:
    """Decodes one chunked body, in any segmentation.

    :param limits: bounds of size lines and trailers
    """

    __slots__ = (
        "_fault",
        "_held",
        "_left",
        "_limits",
        "_place",
        "_scanned",
        "_scanner",
        "surplus",
        "trailers",
    )

    def __init__(self, limits: BodyLimits = DEFAULT_BODY_LIMITS) -> None:
        self._limits = limits
        self._place = ChunkPlace.SIZE
        self._left = 0
        self._held = b""
        self._scanned = 0
        self._scanner: FieldScanner | None = None
        self._fault = ""
        self.trailers = b""
        """The trailer lines as they came, each with its CRLF; set when ``done``."""
        self.surplus = b""
        """What came behind the body's end."""

    @property
    def done(self) -> bool:
        """Whether the whole body, trailers included, has been read."""
        return self._place is ChunkPlace.DONE

    def feed(self, data: bytes) -> list[Piece]:
        """Read on.

        :return: the body's next pieces in order; big ones are views of `data` and not copies
        :raises BadChunk: at bytes that break the grammar or a limit (and again at every later call)
        """
        pieces: list[Piece] = []
        if self._held:
            data = self._held + data
            self._held = b""
        size = len(data)
        longest = self._limits.chunk_line
        at = 0
        while at < size:
            place = self._place
            if place is ChunkPlace.SIZE:
                line = _size_line(data, at)
                if line is None:
                    self._hold_size_line(data, at, pieces)
                    break
                begin = line.end()
                if begin - at - 2 > longest:
                    raise self._broken("length", pieces)
                left = int(line[1], 16)
                end = begin + left
                if left and data[end : end + 2] == b"\r\n":  # all of the chunk is here
                    pieces.append(memoryview(data)[begin:end] if left >= _COPY_BELOW else data[begin:end])
                    at = end + 2
                    continue
                if left >= _SIZE_END:
                    raise self._broken("size", pieces)
                at = begin
                self._left = left
                self._place = ChunkPlace.DATA if self._left else ChunkPlace.TRAILER
            elif place is ChunkPlace.DATA:
                took = min(self._left, size - at)
                if took == size:
                    pieces.append(data)
                elif took >= _COPY_BELOW:
                    pieces.append(memoryview(data)[at : at + took])
                else:
                    pieces.append(data[at : at + took])
                at += took
                self._left -= took
                if not self._left:
                    self._place = ChunkPlace.DATA_END
            elif place is ChunkPlace.DATA_END:
                if data.startswith(b"\r\n", at):
                    at += 2
                    self._place = ChunkPlace.SIZE
                elif data[at:] == b"\r":
                    self._held = b"\r"
                    break
                else:
                    raise self._broken("delimiter", pieces)
            elif place is ChunkPlace.TRAILER:
                at = self._read_trailer(data, at, pieces)
            elif place is ChunkPlace.DONE:
                self.surplus += data[at:]
                break
            else:
                raise BadChunk(self._fault)
        return pieces if len(pieces) <= _MANY else [b"".join(pieces)]

    def _hold_size_line(self, data: bytes, at: int, pieces: list[Piece]) -> None:
        """Keep the beginning of a size line, or say what is wrong with it."""
        held = data[at:]
        limit = self._limits.chunk_line
        good = _size_line_beginning(held, 0, limit + 2)
        if good is not None and len(good[0].rstrip(b"\r")) > limit:
            raise self._broken("length", pieces)
        if good is None or good.end() != len(held):
            raise self._broken("extension" if _size_digits(held) else "size", pieces)
        self._held = held

    def _read_trailer(self, data: bytes, at: int, pieces: list[Piece]) -> int:
        """Read on in the trailer section, which mostly is just an empty line."""
        scanner = self._scanner
        if scanner is None:
            if data.startswith(b"\r\n", at):
                self._place = ChunkPlace.DONE
                return at + 2
            limits = self._limits
            scanner = FieldScanner(FieldBounds(name=limits.name, value=limits.value, fields=limits.fields))
            self._scanner = scanner
        held = data[at:]
        longest = self._limits.trailer
        try:
            # Not beyond the limit: else it would depend on segments whether the length is what is wrong.
            end = scanner.scan(held if len(held) <= longest else held[: longest + 1], self._scanned)
        except FieldError:
            raise self._broken("trailer", pieces) from None
        if end > longest:
            raise self._broken("length", pieces)
        self._scanned = end
        if scanner.place is Place.DONE:
            self.trailers = held[: end - 2]
            self._place = ChunkPlace.DONE
            return at + end
        self._held = held
        return len(data)

    def _broken(self, what: str, pieces: list[Piece]) -> BadChunk:
        self._place = ChunkPlace.BROKEN
        self._fault = what
        return BadChunk(what, pieces)


def encode_chunks(pieces: Sequence[Piece]) -> list[Piece]:
    """Return buffers that make one chunk of all `pieces`, without copying them; none if there is no byte."""
    size = sum(map(len, pieces))
    return [b"%x\r\n" % size, *pieces, b"\r\n"] if size else []


def last_chunk(trailers: bytes) -> bytes:
    """Return the end of a chunked body with `trailers` (field lines, each with its CRLF; may be empty)."""
    return b"0\r\n" + trailers + b"\r\n"
