"""Reads a whole request head in one go: one pattern checks it, one split takes out what a proxy reads.

The first thing that happens to a client's bytes after ``net`` received them. A head that is not all there
goes through ``partial`` first; what is wrong with a bad one is also found there, so that the fast way needs
no error handling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .grammar import TARGET, TOKEN, field_lines
from .limits import DEFAULT_REQUEST_LIMITS, RequestLimits
from .partial import RequestHeadBuffer
from .picking import FieldPicker, Known, Repeated

TAKE = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Framing and hop-by-hop fields: what a proxy must read and must not forward as it came."""

READ = frozenset({b"host"})
"""What a proxy must read and forwards as it came."""

_MINORS = {b"0": 0, b"1": 1}


class RequestHead:
    """A request head that keeps the grammar and the limits."""

    __slots__ = ("end", "known", "method", "minor", "repeated", "rest", "tail", "target")

    def __init__(
        self,
        method: bytes,
        target: bytes,
        minor: int,
        known: Known,
        repeated: Repeated,
        rest: bytes,
        end: int,
        tail: bytes,
    ) -> None:
        self.method = method
        """Any token, case kept."""
        self.target = target
        """The request target as it came."""
        self.minor = minor
        """0 or 1: HTTP/1.0 or HTTP/1.1."""
        self.known = known
        """Values of the fields asked for, by lower-case name; repeated ones joined by a comma."""
        self.repeated = repeated
        """The single values of those known fields that came more than once."""
        self.rest = rest
        """``block`` without the lines of the fields that were to be taken."""
        self.end = end
        """Offset in the parsed data just behind the empty line."""
        self.tail = tail
        """All bytes behind the request line: the field lines and the empty line."""

    @property
    def block(self) -> bytes:
        """All field lines as they came, each with its CRLF, without the empty line."""
        return self.tail[:-2]

    def __repr__(self) -> str:
        return f"<RequestHead {self.method!r} {self.target!r} HTTP/1.{self.minor} end={self.end}>"


class RequestParser:
    """Parses request heads (RFC 9112 sections 2, 3 and 5; rules 1, 3 and 4). Keeps no state between heads.

    Clients that keep a connection send much the same head again and again; a caller who shows the last one saves the
    look at fields that are equal to its fields byte for byte.

    :param limits: bounds of the head
    :param take: lower-case names whose values are to be in ``known`` and whose lines are left out of ``rest``
    :param read: lower-case names whose values are to be in ``known`` and whose lines stay in ``rest``
    """

    __slots__ = ("_limits", "_line", "_match", "_pick", "_small")

    def __init__(
        self,
        limits: RequestLimits = DEFAULT_REQUEST_LIMITS,
        take: Iterable[bytes] = TAKE,
        read: Iterable[bytes] = READ,
    ) -> None:
        self._limits = limits
        self._match = re.compile(
            rb"(?:\r\n)?+([%s]++) ([%s]++) HTTP/1\.([01])\r(\n%s)\r\n"
            % (TOKEN, TARGET, field_lines(limits.name))
        ).match
        self._line = re.compile(
            rb"(?:\r\n)?+([%s]++) ([%s]++) HTTP/1\.([01])\r\n" % (TOKEN, TARGET)
        ).fullmatch
        self._pick = FieldPicker(take, read).pick
        # A head this short cannot break any other limit than that of a name: four bytes make the shortest
        # field line.
        self._small = min(limits.line, limits.value, 4 * limits.fields, limits.head)

    def parse(self, data: bytes, last: RequestHead | None = None) -> RequestHead | None:
        """Parse the head at the start of `data`; one empty line before it is skipped.

        :param last: an earlier head by this parser. Where `data` ends with its fields, and only a request line
            stands before them, the new head shares them.
        :return: the head, or ``None`` if it is not complete yet (and good so far)
        :raises BadHead: if the head, or what is there of it, breaks the grammar or a limit
        """
        if last is not None and data.endswith(last.tail):
            end = len(data)
            match = self._line(data, 0, end - len(last.tail))
            if match is not None:
                method, target, minor = match.groups()
                if end > self._small and self._line_is_too_long(method, target, end):
                    self._diagnose(data)
                return RequestHead(
                    method, target, _MINORS[minor], last.known, last.repeated, last.rest, end, last.tail
                )
        match = self._match(data)
        if match is None:
            self._diagnose(data)
            return None
        method, target, minor, lines = match.groups()
        end = match.end()
        if end > self._small and self._may_be_too_big(method, target, lines, end):
            self._diagnose(data[:end])
        known, repeated, rest = self._pick(lines)
        tail = lines[1:] + b"\r\n"
        return RequestHead(method, target, _MINORS[minor], known, repeated, rest, end, tail)

    def _line_is_too_long(self, method: bytes, target: bytes, end: int) -> bool:
        """Tell whether a head whose fields are good breaks a limit all the same."""
        limits = self._limits
        return len(method) + len(target) + len("  HTTP/1.1") > limits.line or end > limits.head

    def _diagnose(self, data: bytes) -> None:
        """Raise what is wrong with the head at the start of `data`, if anything is."""
        RequestHeadBuffer(self._limits).feed(data)

    def _may_be_too_big(self, method: bytes, target: bytes, lines: bytes, end: int) -> bool:
        """Tell cheaply whether a head needs an exact look at its limits."""
        limits = self._limits
        return (
            end > limits.head
            or len(method) + len(target) + len("  HTTP/1.1") > limits.line
            or lines.count(b"\n") > limits.fields + 1
            # A line holds more than its value, so a line within the value's limit is fine.
            or max(map(len, lines.split(b"\r\n"))) > limits.value
        )
