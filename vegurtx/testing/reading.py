"""How a peer reads one message: generators that say what they need next and are sent the bytes.

They stand between the bytes of a connection and the values of `vegurtx.testing.messages`. The same
generator serves the peers on the reactor (`ScriptedConnection`) and those in threads (`BlockingClient`,
`ThreadedBackend`), so that a message means the same to all of them. A generator yields

- an `int`: exactly so many bytes,
- `bytes`: everything up to and including this marker,
- `None`: everything until the other side ends its direction,

and returns the finished message.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TypeAlias, TypeVar

from vegurtx.testing.errors import MalformedMessage, shown
from vegurtx.testing.messages import (
    Fields,
    Message,
    Request,
    Response,
    parse_fields,
    parse_request_head,
    parse_response_head,
)

_T = TypeVar("_T")

Need: TypeAlias = int | bytes | None
Reading: TypeAlias = Generator[Need, bytes, _T]

HEAD_END = b"\r\n\r\n"
CHUNKED = -1
UNTIL_CLOSE = -2

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")


@dataclass
class _Body:
    """A body while it is read: its content, and every byte that it took on the wire."""

    content: bytes = b""
    raw: bytes = b""
    chunks: list[bytes] | None = None
    trailers: Fields = field(default_factory=list)


def read_request() -> Reading[Request]:
    """Read one request, its body by the framing of its head (RFC 9112, section 6.3)."""
    request = parse_request_head((yield HEAD_END))
    body = yield from _read_body(request_framing(request))
    return replace(
        request, body=body.content, raw=request.raw + body.raw, chunks=body.chunks, trailers=body.trailers
    )


def read_response(method: bytes = b"GET") -> Reading[Response]:
    """Read interim responses and the final one that answers a request with `method`. A 101 counts as
    final.
    """
    interim: list[Response] = []
    while True:
        response = parse_response_head((yield HEAD_END))
        if response.status >= 200 or response.status == 101:
            break
        interim.append(response)
    body = yield from _read_body(response_framing(response, method))
    raw = b"".join(earlier.raw for earlier in interim) + response.raw + body.raw
    return replace(
        response, body=body.content, raw=raw, chunks=body.chunks, trailers=body.trailers, interim=interim
    )


def request_framing(request: Request) -> int:
    """Return the length of a request's body in bytes, or `CHUNKED`. Raises `MalformedMessage`."""
    framing = _declared_framing(request)
    return 0 if framing == UNTIL_CLOSE else framing


def response_framing(response: Response, method: bytes) -> int:
    """Return the length of a response's body in bytes, `CHUNKED` or `UNTIL_CLOSE`. Raises
    `MalformedMessage`.
    """
    if method == b"HEAD" or response.status < 200 or response.status in (204, 304):
        return 0
    return _declared_framing(response)


def _declared_framing(message: Message) -> int:
    lengths = message.all("content-length")
    codings = message.all("transfer-encoding")
    if codings:
        if lengths:
            raise MalformedMessage("Content-Length beside Transfer-Encoding")
        if len(codings) > 1 or codings[0].lower() != "chunked":
            raise MalformedMessage(f"Transfer-Encoding is {codings!r}")
        if message.version < (1, 1):
            raise MalformedMessage("Transfer-Encoding in an HTTP/1.0 message")
        return CHUNKED
    if not lengths:
        return UNTIL_CLOSE
    if len(lengths) > 1 or re.fullmatch("[0-9]{1,18}", lengths[0]) is None:
        raise MalformedMessage(f"Content-Length is {lengths!r}")
    return int(lengths[0])


def _read_body(framing: int) -> Reading[_Body]:
    if framing == CHUNKED:
        return (yield from _read_chunks())
    content = b""
    if framing == UNTIL_CLOSE:
        content = yield None
    elif framing:
        content = yield framing
    return _Body(content, content)


def _read_chunks() -> Reading[_Body]:
    """Read a chunked body (RFC 9112, section 7.1). An extension is malformed here: the proxy drops them
    (rule 6).
    """
    chunks: list[bytes] = []
    raw: list[bytes] = []
    while True:
        line = yield b"\r\n"
        raw.append(line)
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise MalformedMessage(f"not a chunk-size line: {shown(line)}")
        size = int(match[1], 16)
        if not size:
            break
        chunk = yield size + 2
        raw.append(chunk)
        if not chunk.endswith(b"\r\n"):
            raise MalformedMessage(f"a chunk of {size} bytes does not end with CRLF: {shown(chunk[-20:])}")
        chunks.append(chunk[:-2])
    block = b""
    while (line := (yield b"\r\n")) != b"\r\n":
        block += line
    raw += [block, line]
    return _Body(b"".join(chunks), b"".join(raw), chunks, parse_fields(block))
