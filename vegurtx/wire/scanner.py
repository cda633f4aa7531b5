"""Reads field lines as they come, byte by byte if need be, and stops at the first byte that cannot be right.

Stands behind ``partial`` (the fields of a head that comes in pieces) and ``chunked`` (trailers). A whole head
is checked by one pattern in ``request`` and ``response``; this is the slow, exact reader that keeps its place
between segments and says *what* is wrong. Each byte is looked at once, whatever the segmentation.
"""

from __future__ import annotations

import sys
from enum import Enum
from typing import NamedTuple

from .grammar import CONTROL, match_field, match_token

UNBOUNDED = sys.maxsize

Buffer = bytes | bytearray


class Fault(Enum):
    """What is wrong with a field line."""

    BYTE = "a control byte, a bare CR or a bare LF"
    SYNTAX = "not a field line"
    LENGTH = "a name, value or line is too long"
    COOKIE = "a Set-Cookie is too long"
    COUNT = "too many lines"


class FieldError(Exception):
    """Raised by the scanner, turned into the caller's own error; never leaves this package."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class FieldBounds(NamedTuple):
    """Limits of a block of field lines, bytes and counts; see ``limits``."""

    name: int = UNBOUNDED
    value: int = UNBOUNDED
    line: int = UNBOUNDED
    cookie: int = UNBOUNDED
    fields: int = UNBOUNDED


class Place(Enum):
    """Where in a block of field lines the next byte belongs."""

    START = "first byte of a line"
    NAME = "inside a name"
    VALUE = "behind the colon"
    LINE_LF = "LF of a field line"
    END_LF = "LF of the empty line"
    DONE = "behind the empty line"


class FieldScanner:
    """Incremental reader of field lines up to the empty line (RFC 9112 section 5, rules 3, 4 and 14)."""

    __slots__ = ("_bounds", "_count", "_limit", "_limit_fault", "_line_at", "_value_at", "place")

    def __init__(self, bounds: FieldBounds) -> None:
        self._bounds = bounds
        self._count = 0
        self._line_at = 0
        self._value_at = -1
        self._limit = bounds.value
        self._limit_fault = Fault.LENGTH
        self.place = Place.START

    def scan(self, held: Buffer, at: int) -> int:
        """Read on in `held` from offset `at`; positions must keep their meaning from call to call.

        :return: the offset of the first byte not read: the end of `held`, or just behind the empty line
            (then ``place`` is ``Place.DONE``)
        :raises FieldError: at the first byte that cannot belong to valid field lines, or that breaks a limit
        """
        size = len(held)
        while at < size and self.place is not Place.DONE:
            at = _STEPS[self.place](self, held, at)
        return at

    def _start(self, held: Buffer, at: int) -> int:
        if held[at] == _CR:
            self.place = Place.END_LF
            return at + 1
        if self._count >= self._bounds.fields:
            raise FieldError(Fault.COUNT)
        self._count += 1
        self._line_at = at
        self.place = Place.NAME
        return at

    def _name(self, held: Buffer, at: int) -> int:
        run = match_token(held, at)
        end = run.end() if run else at
        length = end - self._line_at
        if length > self._bounds.name or length > self._bounds.line:
            raise FieldError(Fault.LENGTH)
        if end == len(held):
            return end
        if held[end] != _COLON or length == 0:
            # A CR means a line without a colon, not a stray control byte.
            raise FieldError(Fault.BYTE if held[end] in CONTROL and held[end] != _CR else Fault.SYNTAX)
        cookie = length == len(_COOKIE) and held[self._line_at : end].lower() == _COOKIE
        self._limit = min(self._bounds.cookie, self._bounds.value) if cookie else self._bounds.value
        self._limit_fault = Fault.COOKIE if cookie else Fault.LENGTH
        self._value_at = -1
        self.place = Place.VALUE
        return end + 1

    def _value(self, held: Buffer, at: int) -> int:
        run = match_field(held, at)
        end = run.end() if run else at
        text = held[at:end]
        # White space before and after the value does not count, so a run of it is measured only once a byte
        # follows.
        if self._value_at < 0 and (begun := text.lstrip(_OWS)):
            self._value_at = end - len(begun)
        last = at + len(text.rstrip(_OWS))
        if last > at and last - self._value_at > self._limit:
            raise FieldError(self._limit_fault)
        if end - self._line_at > self._bounds.line:
            raise FieldError(Fault.LENGTH)
        if end == len(held):
            return end
        if held[end] != _CR:
            raise FieldError(Fault.BYTE)
        self.place = Place.LINE_LF
        return end + 1

    def _line_lf(self, held: Buffer, at: int) -> int:
        if held[at] != _LF:
            raise FieldError(Fault.BYTE)
        self.place = Place.START
        return at + 1

    def _end_lf(self, held: Buffer, at: int) -> int:
        if held[at] != _LF:
            raise FieldError(Fault.BYTE)
        self.place = Place.DONE
        return at + 1


_CR, _LF, _COLON = b"\r\n:"
_OWS = b" \t"
_COOKIE = b"set-cookie"

_STEPS = {
    Place.START: FieldScanner._start,
    Place.NAME: FieldScanner._name,
    Place.VALUE: FieldScanner._value,
    Place.LINE_LF: FieldScanner._line_lf,
    Place.END_LF: FieldScanner._end_lf,
}
