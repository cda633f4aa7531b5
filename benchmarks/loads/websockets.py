"""WebSocket messages to and fro: each client waits for its echo, and sends the next."""

from __future__ import annotations

import asyncio
import os
from time import perf_counter
from typing import cast

from benchmarks.loads.sample import Sample, measured
from benchmarks.loads.target import Load, Target
from benchmarks.wrk import LoadFailed

_HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def message(size: int) -> bytes:
    """Return a masked text message of `size` bytes, up to 125 (RFC 6455, section 5.2)."""
    mask = b"\x37\xfa\x21\x3d"
    masked = bytes(ord("a") ^ mask[at % 4] for at in range(size))
    return bytes([0x81, 0x80 | size]) + mask + masked


class Client(asyncio.Protocol):
    """One client. It counts echoes from when it is told to."""

    transport: asyncio.Transport

    def __init__(self, size: int) -> None:
        self.frame = message(size)
        self.echo = 2 + size
        self.latencies: list[float] = []
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = b""
        self._came = 0
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self.transport.write(_HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        """The answer, and then echoes."""
        if not self.ready.done():
            self._head += data
            if b"\r\n\r\n" not in self._head:
                return
            if not self._head.startswith(b"HTTP/1.1 101 "):
                self.ready.set_exception(LoadFailed(f"no WebSocket: {self._head[:200]!r}"))
                return
            self.ready.set_result(None)
            self.send()
            return
        self._came += len(data)
        if self._came >= self.echo:
            self._came -= self.echo
            self.latencies.append(perf_counter() - self._sent)
            self.send()

    def send(self) -> None:
        """The next message."""
        self._sent = perf_counter()
        self.transport.write(self.frame)

    def connection_lost(self, problem: Exception | None) -> None:
        """Only we are to end it."""
        if not self.ready.done():
            self.ready.set_exception(LoadFailed(f"the proxy closed: {problem}"))


def echoes(size: int = 64, clients: int = 32) -> Load:
    """Return a load of messages of `size` bytes; its unit is a message and its echo."""

    async def carry(target: Target) -> Sample:
        loop = asyncio.get_running_loop()
        connected = []
        for _ in range(clients):
            _, client = await loop.create_connection(lambda: Client(size), "127.0.0.1", target.proxy.port)
            connected.append(client)
            await asyncio.wait_for(client.ready, 10.0)
        try:
            await asyncio.sleep(0.2)
            for client in connected:
                client.latencies.clear()
            with measured(target.pid) as sample:
                await asyncio.sleep(target.seconds)
            latencies = sorted(latency for client in connected for latency in client.latencies)
        finally:
            for client in connected:
                client.transport.abort()
        if not latencies:
            raise LoadFailed("no echo came")
        sample.units = len(latencies)
        sample.p50 = latencies[len(latencies) // 2]
        sample.p99 = latencies[int(len(latencies) * 0.99)]
        return sample

    def load(target: Target) -> Sample:
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, target.cores.load)
        try:
            try:
                import uvloop
            except ImportError:
                return asyncio.run(carry(target))
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(carry(target))
        finally:
            os.sched_setaffinity(0, before)

    return load
