"""Heads of responses to the client (rules 10, 16 to 19), and the pages that the proxy writes itself."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple

from vegurtx.message import ErrorPage
from vegurtx.proxy.additional import lines_of, replaced
from vegurtx.proxy.intake import NO_TOKENS, connection_tokens, persistent
from vegurtx.wire.fields import without
from vegurtx.wire.response import ResponseHead

_SERVER = b"Server: vegur\r\n"
#: the interim responses that all clients know to have no body, whatever their fields say (rule 15)
_KNOWN_INTERIM = frozenset({100, 102, 103})
#: what others must not say (RFC 9110 section 8.6, RFC 9112 section 6.1): who does not know the status, as llhttp, would
#: read a body, and all that follows would be out of step
_FRAMING = frozenset({b"content-length", b"transfer-encoding", b"trailer"})
#: what a back-end's `Connection` field may name, but not take away
_KEPT = frozenset(
    {
        b"close",
        b"connection",
        b"content-length",
        b"keep-alive",
        b"server",
        b"transfer-encoding",
        b"upgrade",
        b"via",
    }
)
_ENDINGS = {True: b"Connection: keep-alive\r\n\r\n", False: b"Connection: close\r\n\r\n", None: b"\r\n"}
_REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}


def response_tokens(head: ResponseHead) -> frozenset[bytes]:
    """The options of the back-end's `Connection` field; what cannot be read counts as ``close``."""
    value = head.known.get(b"connection")
    if value is None:
        return NO_TOKENS
    try:
        return connection_tokens(value)
    except ValueError:
        return frozenset({b"close"})


class Derived(NamedTuple):
    """What follows from a back-end's head for every client of one kind."""

    persistent: bool
    """Whether the back-end keeps its connection open after this response."""
    status_line: bytes
    lines: bytes
    """The field lines for the client; all but what the router adds and the last, `Connection`."""
    kept: bytes
    """Both of them, and the end of a head whose connection stays open."""
    closed: bytes
    """The same for one that is closed."""


def derive(head: ResponseHead, old_client: bool) -> Derived:
    """What goes on of a response's head.

    :param old_client: the client speaks HTTP/1.0: the body, if there is one, goes out without its coding.
    """
    tokens = response_tokens(head)
    known = head.known
    drop = tokens - _KEPT
    special = b""
    if old_client and b"transfer-encoding" in known:
        drop |= {b"transfer-encoding", b"trailer"}
    if head.status == 101:
        drop |= _FRAMING
    elif b"content-length" in head.repeated:  # several that say the same: one
        drop |= {b"content-length"}
        special = b"Content-Length: %b\r\n" % head.repeated[b"content-length"][0]
    if (head.status == 426 or head.status == 101) and b"upgrade" in known:
        special += b"Upgrade: %b\r\n" % known[b"upgrade"]
    via = known.get(b"via")
    lines = b"%b%b%b%b" % (
        without(head.rest, drop) if drop else head.rest,
        special,
        b"Via: 1.1 vegur\r\n" if via is None else b"Via: %b, 1.1 vegur\r\n" % via,
        b"" if b"server" in known else _SERVER,
    )
    status_line = b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason)
    plain = status_line + lines
    kept, closed = plain + _ENDINGS[True], plain + _ENDINGS[False]
    return Derived(persistent(tokens, head.minor), status_line, lines, kept, closed)


def response_head(derived: Derived, extra: object, keep: bool) -> bytes:
    """The whole head of a final response; `keep`: whether the client's connection stays open after it.

    :raises TypeError, ValueError: the router's headers cannot be sent.
    """
    if extra:
        return derived.status_line + replaced(derived.lines, extra) + _ENDINGS[keep]
    return derived.kept if keep else derived.closed


def switching_head(head: ResponseHead, derived: Derived, extra: object) -> bytes:
    """The whole head of a 101."""
    lines = replaced(derived.lines, extra) if extra else derived.lines
    return b"%b%bConnection: Upgrade\r\n\r\n" % (derived.status_line, lines)


def interim_head(head: ResponseHead) -> bytes:
    """A 1xx, as it goes on: its fields but the hop-by-hop ones; what frames a body only where nobody believes it."""
    drop = response_tokens(head) - _KEPT
    if head.status not in _KNOWN_INTERIM:
        drop |= _FRAMING
    return b"HTTP/1.1 %d %b\r\n%b\r\n" % (head.status, head.reason, without(head.rest, drop))


def page(answer: ErrorPage, method: bytes, keep: bool, now: float) -> tuple[bytes, bytes]:
    """A page of the router's or of a middleware's: the field lines, and the whole of its bytes.

    :param now: the time of day, in seconds since the epoch.

    :raises TypeError, ValueError: it cannot be sent.
    """
    code = answer.code
    if not (type(code) is int and 200 <= code <= 599):
        raise ValueError(f"a page's status is a number from 200 to 599, not {code!r}")
    body: Any = answer.body.encode() if isinstance(answer.body, str) else answer.body
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(f"a page's body is bytes, not {type(body).__name__}")
    body = bytes(body)
    pairs = lines_of(answer.headers)
    names = {name for name, _ in pairs}
    lines = b"".join(line for _, line in pairs)
    if b"date" not in names:
        lines += b"Date: %b\r\n" % formatdate(now, usegmt=True).encode("ascii")
    if b"server" not in names:
        lines += _SERVER
    if code != 204 and code != 304:
        lines += b"Content-Length: %d\r\n" % len(body)
    else:
        body = b""
    head = b"HTTP/1.1 %d %b\r\n%b%b" % (code, _REASONS.get(code, b""), lines, _ENDINGS[keep])
    return lines, head + (b"" if method == b"HEAD" else body)
