"""Requests and responses as the scripted peers read them: plain values, parsed strictly from exact bytes.

This is on purpose not `vegurtx.wire`: a test must not judge the proxy's parser by that same parser. It
knows what a correct peer needs (RFC 9112, sections 3 to 7) and refuses everything else, also what the proxy
promises never to write although the RFC allows it (folded lines, chunk extensions).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import AnyStr

from vegurtx.testing.errors import MalformedMessage, shown

Fields = list[tuple[str, str]]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e]+) HTTP/1\.([01])" % _TOKEN)
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
_FIELD_LINE = re.compile(rb"(%b):([\t\x20-\x7e\x80-\xff]*)" % _TOKEN)


@dataclass(frozen=True)
class Message:
    """What a request and a response have in common. All text is `str` (latin-1, so no byte is lost).

    `headers` and `trailers` are lists of `(name, value)` in the order and case of the wire, `body` is the
    content without its chunked coding, `chunks` the chunks it came in (`None` where the message was not
    chunked), and `raw` every byte of the message, interim responses included.
    """

    version: tuple[int, int]
    headers: Fields
    body: bytes = b""
    raw: bytes = b""
    chunks: list[bytes] | None = None
    trailers: Fields = field(default_factory=list)

    def all(self, name: AnyStr) -> list[AnyStr]:
        """Return the values of every field called `name` (any case), in order; they have the type of
        `name`.
        """
        if isinstance(name, bytes):
            return [value.encode("latin-1") for value in self.all(name.decode("latin-1"))]
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: AnyStr) -> AnyStr | None:
        """Return the value of the field `name` (any case) in the type of `name`, or `None` where there is
        none.

        Raises `AssertionError` where the field came more than once: ask `all` for those.
        """
        values = self.all(name)
        if len(values) > 1:
            raise AssertionError(f"{name!r} came {len(values)} times: {values!r}")
        return values[0] if values else None


@dataclass(frozen=True)
class Request(Message):
    """One request as it reached a scripted back-end."""

    method: str = ""
    target: str = ""


@dataclass(frozen=True)
class Response(Message):
    """One final response as it reached a scripted client, with the interim (1xx) responses that came before
    it.
    """

    status: int = 0
    reason: str = ""
    interim: list[Response] = field(default_factory=list)


def parse_fields(block: bytes) -> Fields:
    """Parse field lines (RFC 9112, section 5), each with its CRLF. Raises `MalformedMessage`."""
    found: Fields = []
    for line in block.split(b"\r\n")[:-1]:
        match = _FIELD_LINE.fullmatch(line)
        if match is None:
            raise MalformedMessage(f"not a field line: {shown(line)}")
        found.append((match[1].decode("ascii"), match[2].strip(b" \t").decode("latin-1")))
    return found


def parse_request_head(head: bytes) -> Request:
    """Parse a whole request head, its empty line included. Raises `MalformedMessage`."""
    line, block = _split_head(head)
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise MalformedMessage(f"not a request line: {shown(line)}")
    return Request(
        method=match[1].decode("ascii"),
        target=match[2].decode("ascii"),
        version=(1, int(match[3])),
        headers=parse_fields(block),
        raw=head,
    )


def parse_response_head(head: bytes) -> Response:
    """Parse a whole response head, its empty line included. Raises `MalformedMessage`."""
    line, block = _split_head(head)
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise MalformedMessage(f"not a status line: {shown(line)}")
    return Response(
        version=(1, int(match[1])),
        status=int(match[2]),
        reason=match[3].decode("latin-1"),
        headers=parse_fields(block),
        raw=head,
    )


def _split_head(head: bytes) -> tuple[bytes, bytes]:
    """Split a head into its first line and its block of field lines."""
    if not head.endswith(b"\r\n\r\n"):
        raise MalformedMessage(f"a head without its empty line: {shown(head)}")
    line, _, block = head[:-2].partition(b"\r\n")
    return line, block
