"""Gathers a head that comes in pieces, and refuses it at the first byte that cannot be right.

``net`` tries ``RequestParser.parse`` on what it received; only when the head is not all there do the bytes
come here, until the empty line, and then go back to ``parse`` in one piece. Nothing is looked at twice: a
peer that sends byte by byte costs linear work. Limits hold while a line is still open, so memory is bounded
(rules 3, 4 and 14).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

from .errors import BadHead
from .grammar import CONTROL, match_field, match_target, match_token
from .limits import DEFAULT_REQUEST_LIMITS, DEFAULT_RESPONSE_LIMITS, RequestLimits, ResponseLimits
from .scanner import Fault, FieldBounds, FieldError, FieldScanner, Place

_CR, _LF, _SP = b"\r\n "
_DIGITS = b"0123456789"

_VERSION = (b"H", b"T", b"T", b"P", b"/", _DIGITS, b".", _DIGITS)
"""The bytes that each place of an HTTP version may hold."""

_STATUS = (*_VERSION[:5], b"1", b".", b"01", b" ", _DIGITS[1:], _DIGITS, _DIGITS)
"""The same for a status line up to its code."""


_Match = Callable[[bytes | bytearray, int], re.Match[bytes] | None]


def _first_misfit(text: bytes | bytearray, template: tuple[bytes, ...]) -> int | None:
    """Return where `text` (which may be a mere beginning) leaves `template`, or ``None``."""
    for at, (byte, allowed) in enumerate(zip(text, template, strict=False)):
        if byte not in allowed:
            return at
    return None


def _bad_request_line(byte: int) -> BadHead:
    """Say what is wrong with a request line in which `byte` came too early."""
    # A CR means that the line ended too early (HTTP/0.9 has no version), not that a stray control byte came.
    return BadHead("bad_byte" if byte in CONTROL and byte != _CR else "bad_request_line", 400)


class RequestHeadBuffer:
    """Gathers one request head; ready for the next once it has handed one out.

    :param limits: what the head must keep to while it grows
    """

    __slots__ = ("_at", "_fields", "_held", "_limits", "_line_at", "_mark", "_place")

    def __init__(self, limits: RequestLimits = DEFAULT_REQUEST_LIMITS) -> None:
        self._limits = limits
        self._reset()

    def _reset(self) -> None:
        limits = self._limits
        self._held = bytearray()
        self._at = self._line_at = self._mark = 0
        self._place = RequestPlace.LEAD
        self._fields = FieldScanner(FieldBounds(name=limits.name, value=limits.value, fields=limits.fields))

    def __len__(self) -> int:
        """Return how many bytes are held."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes | None:
        """Take in what was received.

        :return: everything gathered once the head is complete (the head and whatever followed it), else
            ``None``
        :raises BadHead: as soon as a byte cannot belong to a valid head, or breaks a limit
        """
        held = self._held
        held += data
        size = len(held)
        at = self._at
        while at < size and self._place is not RequestPlace.FIELDS:
            at = _REQUEST_STEPS[self._place](self, at)
            self._at = at
        if self._place is RequestPlace.FIELDS:
            # Not beyond the limit: else it would depend on segments which fault is the first.
            end = self._line_at + self._limits.head
            try:
                at = self._at = self._fields.scan(held if size <= end else held[: end + 1], at)
            except FieldError as error:
                raise BadHead(*_REQUEST_FAULTS[error.fault]) from None
        if at - self._line_at > self._limits.head:
            raise BadHead("header_length", 431)
        if self._fields.place is not Place.DONE:
            return None
        gathered = bytes(held)
        self._reset()
        return gathered

    def _lead(self, at: int) -> int:
        """One empty line before the request line is skipped (RFC 9112 section 2.2)."""
        if self._held[at] == _CR:
            self._place = RequestPlace.LEAD_LF
            return at + 1
        self._place = RequestPlace.METHOD
        return at

    def _lead_lf(self, at: int) -> int:
        if self._held[at] != _LF:
            raise BadHead("bad_byte", 400)
        self._line_at = at + 1
        self._place = RequestPlace.METHOD
        return at + 1

    def _method(self, at: int) -> int:
        return self._word(at, match_token, self._line_at, RequestPlace.TARGET)

    def _target(self, at: int) -> int:
        return self._word(at, match_target, self._mark, RequestPlace.VERSION)

    def _word(self, at: int, match: _Match, begun_at: int, following: RequestPlace) -> int:
        """Read on in a word of the request line, which must not be empty and ends at exactly one space."""
        held = self._held
        run = match(held, at)
        end = run.end() if run else at
        if end - self._line_at > self._limits.line:
            raise BadHead("line_length", 414)
        if end == len(held):
            return end
        if held[end] != _SP or end == begun_at:
            raise _bad_request_line(held[end])
        self._place = following
        self._mark = end + 1
        return end + 1

    def _version(self, at: int) -> int:
        held = self._held
        text = held[self._mark : self._mark + len(_VERSION)]
        if (wrong := _first_misfit(text, _VERSION)) is not None:
            if self._mark + wrong - self._line_at > self._limits.line:
                raise BadHead("line_length", 414)
            raise _bad_request_line(text[wrong])
        end = self._mark + len(text)
        if end - self._line_at > self._limits.line:
            raise BadHead("line_length", 414)
        if len(text) < len(_VERSION):
            return end
        if text != b"HTTP/1.1" and text != b"HTTP/1.0":
            # HTTP/0.x never had a version in its request line, so that is plain nonsense (rule 1).
            raise BadHead("version", 400 if text[5:6] == b"0" else 505)
        self._place = RequestPlace.LINE_CR
        return end

    def _line_cr(self, at: int) -> int:
        if self._held[at] != _CR:
            raise _bad_request_line(self._held[at])
        self._place = RequestPlace.LINE_LF
        return at + 1

    def _line_lf(self, at: int) -> int:
        if self._held[at] != _LF:
            raise BadHead("bad_byte", 400)
        self._place = RequestPlace.FIELDS
        return at + 1


class RequestPlace(Enum):
    """Where in a request head the next byte belongs."""

    LEAD = "before the request line"
    LEAD_LF = "LF of the empty line before it"
    METHOD = "inside the method"
    TARGET = "inside the target"
    VERSION = "inside the version"
    LINE_CR = "CR of the request line"
    LINE_LF = "LF of the request line"
    FIELDS = "in the field lines"


class ResponseHeadBuffer:
    """Gathers one response head; ready for the next once it has handed one out.

    :param limits: what the head must keep to while it grows
    """

    __slots__ = ("_at", "_fields", "_held", "_limits", "_place")

    def __init__(self, limits: ResponseLimits = DEFAULT_RESPONSE_LIMITS) -> None:
        self._limits = limits
        self._reset()

    def _reset(self) -> None:
        limits = self._limits
        self._held = bytearray()
        self._at = 0
        self._place = ResponsePlace.STATUS
        self._fields = FieldScanner(
            FieldBounds(line=limits.field_line, cookie=limits.cookie, fields=limits.fields)
        )

    def __len__(self) -> int:
        """Return how many bytes are held."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes | None:
        """Take in what was received.

        :return: everything gathered once the head is complete (the head and whatever followed it), else
            ``None``
        :raises BadHead: as soon as a byte cannot belong to a valid head, or breaks a limit
        """
        held = self._held
        held += data
        size = len(held)
        at = self._at
        while at < size and self._place is not ResponsePlace.FIELDS:
            at = _RESPONSE_STEPS[self._place](self, at)
            self._at = at
        if self._place is ResponsePlace.FIELDS:
            # Not beyond the limit: else it would depend on segments which fault is the first.
            end = self._limits.head
            try:
                at = self._at = self._fields.scan(held if size <= end else held[: end + 1], at)
            except FieldError as error:
                raise BadHead("cookie_length" if error.fault is Fault.COOKIE else "header_length") from None
        if at > self._limits.head:
            raise BadHead("header_length")
        if self._fields.place is not Place.DONE:
            return None
        gathered = bytes(held)
        self._reset()
        return gathered

    def _status(self, at: int) -> int:
        text = self._held[: len(_STATUS)]
        if _first_misfit(text, _STATUS) is not None:
            raise BadHead("invalid_status")
        if len(text) > self._limits.status_line:
            raise BadHead("status_length")
        if len(text) == len(_STATUS):
            self._place = ResponsePlace.AFTER_CODE
        return len(text)

    def _after_code(self, at: int) -> int:
        """Behind the code comes a space and a reason, or (as some back-ends do) nothing at all (rule 14)."""
        if self._held[at] not in b" \r":
            raise BadHead("invalid_status")
        self._place = ResponsePlace.REASON
        return at

    def _reason(self, at: int) -> int:
        run = match_field(self._held, at)
        end = run.end() if run else at
        if end > self._limits.status_line:
            raise BadHead("status_length")
        if end == len(self._held):
            return end
        if self._held[end] != _CR:
            raise BadHead("invalid_status")
        self._place = ResponsePlace.LINE_LF
        return end + 1

    def _line_lf(self, at: int) -> int:
        if self._held[at] != _LF:
            raise BadHead("invalid_status")
        self._place = ResponsePlace.FIELDS
        return at + 1


class ResponsePlace(Enum):
    """Where in a response head the next byte belongs."""

    STATUS = "inside version and code"
    AFTER_CODE = "first byte behind the code"
    REASON = "inside the reason phrase"
    LINE_LF = "LF of the status line"
    FIELDS = "in the field lines"


_REQUEST_STEPS = {
    RequestPlace.LEAD: RequestHeadBuffer._lead,
    RequestPlace.LEAD_LF: RequestHeadBuffer._lead_lf,
    RequestPlace.METHOD: RequestHeadBuffer._method,
    RequestPlace.TARGET: RequestHeadBuffer._target,
    RequestPlace.VERSION: RequestHeadBuffer._version,
    RequestPlace.LINE_CR: RequestHeadBuffer._line_cr,
    RequestPlace.LINE_LF: RequestHeadBuffer._line_lf,
}

_RESPONSE_STEPS = {
    ResponsePlace.STATUS: ResponseHeadBuffer._status,
    ResponsePlace.AFTER_CODE: ResponseHeadBuffer._after_code,
    ResponsePlace.REASON: ResponseHeadBuffer._reason,
    ResponsePlace.LINE_LF: ResponseHeadBuffer._line_lf,
}

_REQUEST_FAULTS = {
    Fault.BYTE: ("bad_byte", 400),
    Fault.SYNTAX: ("bad_header", 400),
    Fault.LENGTH: ("header_length", 431),
    Fault.COOKIE: ("header_length", 431),
    Fault.COUNT: ("header_length", 431),
}
