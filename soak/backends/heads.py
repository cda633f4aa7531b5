"""How the soak's back-ends read a request from a stream, and what they say in a head."""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from soak.content import Received

LIMIT = 1 << 18


class Malformed(Exception):
    """The proxy has sent what no proxy may send."""


class Request(NamedTuple):
    """One head, read."""

    method: str
    path: list[str]
    """Its segments."""
    query: dict[str, str]
    fields: dict[str, str]
    """Names in lower case; of several with the same name the last."""

    def number(self, name: str, default: int = 0) -> int:
        """A number of the query."""
        return int(self.query.get(name, default))

    @property
    def id(self) -> str:
        """The request's id."""
        return self.fields.get("x-request-id", "")


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read the next head; `None`: the proxy has closed.

    :raises Malformed: it is none.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as end:
        if end.partial.strip():
            raise Malformed(f"a head is cut short: {end.partial[:200]!r}") from None
        return None
    lines = head.decode("latin-1").split("\r\n")[:-2]
    try:
        method, target, version = lines[0].split(" ")
        fields = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
    except ValueError:
        raise Malformed(f"no request line: {lines[0][:200]!r}") from None
    if version != "HTTP/1.1":
        raise Malformed(f"the proxy speaks {version}")
    parts = urlsplit(target)
    return Request(method, parts.path.strip("/").split("/"), dict(parse_qsl(parts.query)), fields)


async def read_body(
    reader: asyncio.StreamReader, request: Request, key: int, *, keep: bool = False
) -> tuple[Received, dict[str, str]]:
    """Read the request's body; returns it, and its trailers.

    :param keep: whether its bytes are to be had afterwards.
    :raises Malformed: its framing is broken. :raises asyncio.IncompleteReadError: it ends too early.
    """
    received = Received(key, keep=keep)
    if request.fields.get("transfer-encoding", "").lower() == "chunked":
        return received, await _read_chunks(reader, received)
    left = int(request.fields.get("content-length", 0))
    while left:
        data = await reader.read(min(left, LIMIT))
        if not data:
            raise asyncio.IncompleteReadError(b"", left)
        received.feed(data)
        left -= len(data)
    return received, {}


async def _read_chunks(reader: asyncio.StreamReader, received: Received) -> dict[str, str]:
    while True:
        line = await reader.readuntil(b"\r\n")
        try:
            size = int(line, 16)
        except ValueError:
            raise Malformed(f"no chunk size: {line[:100]!r}") from None
        if not size:
            break
        received.feed(await reader.readexactly(size))
        if await reader.readexactly(2) != b"\r\n":
            raise Malformed("a chunk does not end where it should")
    trailers = {}
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        name, _, value = line.decode("latin-1").partition(":")
        trailers[name.lower()] = value.strip()
    return trailers


def head(status: str, *fields: tuple[str, object]) -> bytes:
    """Return a response's head."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1")
