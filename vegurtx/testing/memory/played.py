"""A connection in memory for an `async` handler: a back-end that plays by itself, as `answering(...)`.

It waits where `MemoryConnection` fails: until the proxy has done something more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vegurtx.testing.connection import Arrival
from vegurtx.testing.errors import PeerSilent
from vegurtx.testing.memory.connection import MemoryConnection
from vegurtx.testing.messages import Request

_T = TypeVar("_T")


class PlayedConnection:
    """The same connection for an `async` handler, which may wait: each wait lasts until the proxy acts.

    It has the methods of `ScriptedConnection`, so one handler serves `MemoryProxy` and `ProxyTestCase`.

    :param connection: the connection.
    """

    def __init__(self, connection: MemoryConnection) -> None:
        self.connection = connection
        self.name = connection.name
        self.timeout = 0.0
        """Of no effect here: time does not pass by itself."""
        self.send = connection.send
        self.half_close = connection.half_close
        self.close = connection.close
        self.abort = connection.abort
        self.pause = connection.pause
        self.resume = connection.resume

    @property
    def received(self) -> bytes:
        """Every byte that ever arrived."""
        return self.connection.received

    @property
    def unread(self) -> bytes:
        """The bytes that arrived and were not consumed."""
        return self.connection.unread

    @property
    def arrival(self) -> Arrival:
        """How the proxy's direction stands."""
        return self.connection.arrival

    async def receive(self, size: int) -> bytes:
        """Wait for exactly `size` bytes."""
        return await self._once(lambda: self.connection.receive(size))

    async def receive_until(self, marker: bytes) -> bytes:
        """Wait for `marker`; return everything up to its end."""
        return await self._once(lambda: self.connection.receive_until(marker))

    async def receive_head(self) -> bytes:
        """Wait for the head of a message."""
        return await self._once(self.connection.receive_head)

    async def receive_request(self) -> Request:
        """Wait for a whole request."""
        return await self._once(self.connection.receive_request)

    async def receive_all(self) -> bytes:
        """Wait for the end of the proxy's direction."""
        return await self._once(self.connection.receive_all)

    async def expect(self, exact: bytes) -> None:
        """Wait until exactly these bytes have come."""
        await self._once(lambda: self.connection.expect(exact))

    async def eof(self) -> None:
        """Wait until the proxy ends its direction in order."""
        await self._once(self.connection.eof)

    async def closed(self) -> str:
        """Wait for the end of the connection."""
        return await self._once(self.connection.closed)

    async def _once(self, take: Callable[[], _T]) -> _T:
        while True:
            try:
                return take()
            except PeerSilent:
                await self.connection.something_happens()
