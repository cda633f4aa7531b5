"""Back-ends' faults, each by the name that a request's target gives it.

Each takes the stream to the proxy, writes what is wrong, and returns whether the connection may be used again. What the
client must see of it stands in `soak.load.faults`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from soak.backends.heads import Request, head
from soak.content import body, chunk

Writer = asyncio.StreamWriter
#: bytes of a body whose end never comes
PART = 20000


def reset(writer: Writer) -> None:
    """Close with a reset (RST) in place of an orderly end."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _close(request: Request, writer: Writer) -> None:
    pass


async def _reset(request: Request, writer: Writer) -> None:
    reset(writer)


async def _half_head(request: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")


async def _hang(request: Request, writer: Writer) -> None:
    await asyncio.sleep(request.number("ms") / 1000)


def _raw(answer: bytes) -> Callable[[Request, Writer], Awaitable[None]]:
    async def write(request: Request, writer: Writer) -> None:
        writer.write(answer)

    return write


def _after_part(
    framing: str, end: Callable[[Request, Writer], Awaitable[None]]
) -> Callable[[Request, Writer], Awaitable[None]]:
    """A good head and a part of the body go out, and then comes `end`."""

    async def write(request: Request, writer: Writer) -> None:
        part = body(request.number("k"), PART)
        mine = ("X-Soak-Id", request.id)
        if framing == "chunked":
            writer.write(head("200 OK", mine, ("Transfer-Encoding", "chunked")))
            part = chunk(part)
        else:
            writer.write(head("200 OK", mine, ("Content-Length", 3 * PART)))
        writer.write(part)
        await writer.drain()
        await asyncio.sleep(0.05)  # so that the proxy has seen it, as a rule
        await end(request, writer)

    return write


async def _surplus(request: Request, writer: Writer) -> None:
    whole = body(request.number("k"), PART)
    mine = ("X-Soak-Id", request.id)
    writer.write(head("200 OK", mine, ("Content-Length", PART)) + whole)
    writer.write(head("200 OK", ("X-Soak-Id", "of nobody"), ("Content-Length", 5)) + b"wrong")


async def _early(request: Request, writer: Writer) -> None:
    writer.write(
        head("413 Too Much", ("X-Soak-Id", request.id), ("Content-Length", 0), ("Connection", "close"))
    )
    await writer.drain()
    await asyncio.sleep(0.2)


_OK = b"HTTP/1.1 200 OK\r\n"
FAULTS: dict[str, Callable[[Request, Writer], Awaitable[None]]] = {
    "close": _close,
    "reset": _reset,
    "half_head": _half_head,
    "hang": _hang,
    "bad_status": _raw(b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n"),
    "rubbish": _raw(b"\x00\x01\x02 nothing that anybody knows\r\n\r\n"),
    "long_status": _raw(b"HTTP/1.1 200 " + b"x" * 9000 + b"\r\nContent-Length: 0\r\n\r\n"),
    "bad_field": _raw(_OK + b"No Colon Here\r\nContent-Length: 0\r\n\r\n"),
    "long_cookie": _raw(_OK + b"Set-Cookie: a=" + b"x" * 9000 + b"\r\nContent-Length: 0\r\n\r\n"),
    "bad_length": _raw(_OK + b"Content-Length: 1x\r\n\r\n"),
    "two_lengths": _raw(_OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    "bad_coding": _raw(_OK + b"Transfer-Encoding: zip, chunked\r\n\r\n0\r\n\r\n"),
    "unasked_101": _raw(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
    "bad_chunk": _after_part("chunked", _raw(b"zz\r\nnever\r\n")),
    "short_chunked": _after_part("chunked", _close),
    "short_length": _after_part("length", _close),
    "reset_body": _after_part("length", _reset),
    "stall_body": _after_part("length", _hang),
    "surplus": _surplus,
    "early": _early,
}
"""By name: what a back-end does. All of them end the connection."""
