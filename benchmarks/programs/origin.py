"""The back-end for what nginx cannot be: it reads uploads, sends chunks, echoes WebSocket messages. ``origin.py PORT``.

It also serves what nginx serves in the other cases, for where nginx is missing. It trusts what it reads: the only one
who speaks to it is a proxy that is being measured.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import sys
from typing import cast

SMALL = b"hello world, hello world"
GIGABYTE = 1_000_000_000
_PIECE = bytes(1 << 18)
_BODIES = {b"/small": SMALL, b"/64k": bytes(1 << 16), b"/1m": bytes(1 << 20)}
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
_KEY = re.compile(rb"\r\nsec-websocket-key: *([^\r]+)", re.I)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.I)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(chunks: int = 16, size: int = 1024) -> bytes:
    """Return a response of so many chunks of so many bytes."""
    one = b"%x\r\n%b\r\n" % (size, bytes(size))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (one * chunks)


def accepted(key: bytes) -> bytes:
    """Return the answer to a WebSocket handshake with this key."""
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept
    )


def echoed(frames: bytes) -> tuple[bytes, bytes]:
    """Return the echoes of the whole masked frames (of up to 125 bytes each) in `frames`, and what is left over."""
    answers = []
    at = 0
    while len(frames) - at >= 6:
        size = frames[at + 1] & 0x7F
        end = at + 6 + size
        if len(frames) < end:
            break
        mask = int.from_bytes(frames[at + 2 : at + 6] * (size // 4 + 1), "big")
        text = int.from_bytes(frames[at + 6 : end] + bytes(4 - size % 4), "big") ^ mask
        answers.append(frames[at : at + 1] + bytes([size]) + text.to_bytes(size + 4 - size % 4, "big")[:size])
        at = end
    return b"".join(answers), frames[at:]


_ANSWERS = {path: _whole(body) for path, body in _BODIES.items()} | {b"/chunked": chunked()}
_UPLOADED = _whole(b"")


class Origin(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.rest = b""
        self.missing = 0  # bytes of an upload
        self.left = 0  # bytes of a gigabyte
        self.full = False
        self.closes = False
        self.echoes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A proxy has connected."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        """A segment."""
        if self.echoes:
            answers, self.rest = echoed(self.rest + data)
            self.transport.write(answers)
            return
        if self.missing:
            self.missing -= len(data)
            if not self.missing:
                self.answer(_UPLOADED)
            return
        data = self.rest + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.rest = data
            return
        self.rest = b""
        self.request(data[:end], data[end + 4 :])

    def request(self, head: bytes, behind: bytes) -> None:
        """A head is here, and perhaps the beginning of its body. Proxies do not pipeline."""
        self.closes = _CLOSE.search(head) is not None
        length = _LENGTH.search(head)
        if key := _KEY.search(head):
            self.echoes = True
            self.transport.write(accepted(key[1]))
            return
        if length is not None:
            self.missing = int(length[1]) - len(behind)
            if self.missing:
                return
        path = head.split(b" ", 2)[1]
        if path == b"/1g":
            self.left = GIGABYTE
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIGABYTE)
            self.pour()
        else:
            self.answer(_UPLOADED if length is not None else _ANSWERS.get(path, _ANSWERS[b"/small"]))

    def answer(self, response: bytes) -> None:
        """A whole response."""
        self.transport.write(response)
        if self.closes:
            self.transport.close()

    def pour(self) -> None:
        """As much of a gigabyte as there is room for."""
        while self.left and not self.full:
            size = min(self.left, len(_PIECE))
            self.left -= size
            self.transport.write(_PIECE[:size] if size < len(_PIECE) else _PIECE)
        if not self.left and self.closes:
            self.transport.close()

    def pause_writing(self) -> None:
        """There is no room."""
        self.full = True

    def resume_writing(self) -> None:
        """There is room again."""
        self.full = False
        if self.left:
            self.pour()


async def serve(port: int) -> None:
    """Listen, for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Origin, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(int(sys.argv[1])))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(int(sys.argv[1])))
