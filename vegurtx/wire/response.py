"""Reads a whole response head in one go: one pattern checks it, one split takes out what a proxy reads.

The first thing that happens to a back-end's bytes after ``net`` received them. A head that is not all there
goes through ``partial`` first; what is wrong with a bad one is also found there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .grammar import FIELD, FIELD_LINES
from .limits import DEFAULT_RESPONSE_LIMITS, ResponseLimits
from .partial import ResponseHeadBuffer
from .picking import FieldPicker, Known, Repeated

TAKE = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Framing and hop-by-hop fields: what a proxy must read and must not forward as it came."""

READ = frozenset({b"server"})
"""What a proxy must look for and forwards as it came."""

_CODES = {b"%d" % code: code for code in range(100, 1000)}
"""Half the price of ``int``."""


class ResponseHead:
    """A response head that keeps the grammar and the limits."""

    __slots__ = (
        "block",
        "derived",
        "end",
        "framing",
        "known",
        "minor",
        "raw",
        "reason",
        "repeated",
        "rest",
        "status",
    )

    def __init__(
        self,
        minor: int,
        status: int,
        reason: bytes,
        block: bytes,
        known: Known,
        repeated: Repeated,
        rest: bytes,
        end: int,
        raw: bytes,
    ) -> None:
        self.minor = minor
        """0 or 1: HTTP/1.0 or HTTP/1.1."""
        self.status = status
        """100 to 999."""
        self.reason = reason
        """The reason phrase as it came; may be empty."""
        self.block = block
        """All field lines as they came, each with its CRLF, without the empty line."""
        self.known = known
        """Values of the fields asked for, by lower-case name; repeated ones joined by a comma."""
        self.repeated = repeated
        """The single values of those known fields that came more than once."""
        self.rest = rest
        """``block`` without the lines of the fields that were to be taken."""
        self.end = end
        """Offset in the parsed data just behind the empty line."""
        self.raw = raw
        """The whole head as it came."""
        self.derived: Any = None
        """For the reader of the head to keep what follows from it; lives as long as the head."""
        self.framing: int | None = None
        """The body's length that `response_framing` found for a GET, once it has; for the reader to keep, too."""

    def __repr__(self) -> str:
        return f"<ResponseHead HTTP/1.{self.minor} {self.status} {self.reason!r} end={self.end}>"


class ResponseParser:
    """Parses response heads (RFC 9112 sections 4 and 5; rule 14). Keeps no state between heads.

    A back-end often says the same head again within a second; a caller who shows the last one gets it back.

    :param limits: bounds of the head
    :param take: lower-case names whose values are to be in ``known`` and whose lines are left out of ``rest``
    :param read: lower-case names whose values are to be in ``known`` and whose lines stay in ``rest``
    """

    __slots__ = ("_limits", "_match", "_pick", "_small")

    def __init__(
        self,
        limits: ResponseLimits = DEFAULT_RESPONSE_LIMITS,
        take: Iterable[bytes] = TAKE,
        read: Iterable[bytes] = READ,
    ) -> None:
        self._limits = limits
        self._match = re.compile(
            rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([%s]*+))?+\r(\n%s)\r\n" % (FIELD, FIELD_LINES)
        ).match
        self._pick = FieldPicker(take, read).pick
        # A head this short cannot break any limit: four bytes make the shortest field line.
        self._small = min(
            limits.status_line, limits.field_line, limits.cookie, 4 * limits.fields, limits.head
        )

    def parse(self, data: bytes, last: ResponseHead | None = None) -> ResponseHead | None:
        """Parse the head at the start of `data`.

        :param last: an earlier head by this parser; it is the result where `data` begins with the same bytes
        :return: the head, or ``None`` if it is not complete yet (and good so far)
        :raises BadHead: if the head, or what is there of it, breaks the grammar or a limit
        """
        if last is not None and data.startswith(last.raw):
            return last
        match = self._match(data)
        if match is None:
            self._diagnose(data)
            return None
        minor, code, reason, lines = match.groups()
        end = match.end()
        if end > self._small and self._may_be_too_big(reason, lines, end):
            self._diagnose(data[:end])
        known, repeated, rest = self._pick(lines)
        return ResponseHead(
            1 if minor == b"1" else 0,
            _CODES[code],
            reason or b"",
            lines[1:],
            known,
            repeated,
            rest,
            end,
            data[:end],
        )

    def _diagnose(self, data: bytes) -> None:
        """Raise what is wrong with the head at the start of `data`, if anything is."""
        ResponseHeadBuffer(self._limits).feed(data)

    def _may_be_too_big(self, reason: bytes | None, lines: bytes, end: int) -> bool:
        """Tell cheaply whether a head needs an exact look at its limits."""
        limits = self._limits
        return (
            end > limits.head
            or len(reason or b"") + len("HTTP/1.1 200 ") > limits.status_line
            or lines.count(b"\n") > limits.fields + 1
            or max(map(len, lines.split(b"\r\n"))) > min(limits.field_line, limits.cookie)
        )
