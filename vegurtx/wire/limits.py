"""How much a peer may send before the codec refuses: the bounds of heads, chunk lines and trailers.

All numbers are bytes or counts. They hold while bytes are still arriving, so they also bound the memory that
a connection can hold before a line ends (rules 3 and 14).
"""

from __future__ import annotations

from typing import NamedTuple


class RequestLimits(NamedTuple):
    """Bounds of a request head (rule 3)."""

    line: int = 8192
    """Request line without its CRLF, bytes."""
    name: int = 1000
    """One field name, bytes."""
    value: int = 8192
    """One field value without the white space around it, bytes."""
    fields: int = 1000
    """Number of field lines."""
    head: int = 1048576
    """The whole head from request line to empty line, bytes."""


class ResponseLimits(NamedTuple):
    """Bounds of a response head (rule 14)."""

    status_line: int = 8192
    """Status line without its CRLF, bytes."""
    field_line: int = 524288
    """One field line without its CRLF, bytes."""
    cookie: int = 8192
    """The value of one ``Set-Cookie``, bytes."""
    fields: int = 1000
    """Number of field lines."""
    head: int = 8388608
    """The whole head from status line to empty line, bytes."""
    interim: int = 262144
    """All interim heads (1xx) before one final response together, bytes."""


class BodyLimits(NamedTuple):
    """Bounds inside a chunked body (rule 6); the body itself has none here."""

    chunk_line: int = 4096
    """Chunk-size line with its extension and without its CRLF, bytes."""
    name: int = 1000
    """One trailer field name, bytes."""
    value: int = 8192
    """One trailer field value without the white space around it, bytes."""
    fields: int = 1000
    """Number of trailer lines."""
    trailer: int = 65536
    """The whole trailer section, bytes."""


DEFAULT_REQUEST_LIMITS = RequestLimits()
DEFAULT_RESPONSE_LIMITS = ResponseLimits()
DEFAULT_BODY_LIMITS = BodyLimits()
