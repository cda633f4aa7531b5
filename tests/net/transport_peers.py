"""What the tests of transports and endpoints share: the two ends of a loopback connection.

One end is a protocol that records (`Recorder`), on the transport under test. The other is a bare socket
(`Peer`), which shares no code with it and can do what a transport never would: not read, or reset.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.net.endpoints import runs_on_uvloop
from vegurtx.net.uv.flavour import Flavour, PlainFlavour, flavour_of

reactor: Any = _reactor


def plain_flavour() -> Flavour:
    """Twisted's own transports, on whatever reactor the tests have."""
    return PlainFlavour(reactor)


def uvloop_flavour() -> Flavour:
    """uvloop's transports."""
    return flavour_of(reactor)


NO_UVLOOP = "" if runs_on_uvloop(reactor) else "needs VEGURTX_TEST_REACTOR=uvloop"


async def turn() -> None:
    """Let the reactor turn once."""
    await deferLater(reactor, 0)


async def until(condition: Callable[[], Any]) -> None:
    """Turn the reactor until `condition` holds; trial's own time limit ends a wait that is in vain."""
    while not condition():
        await turn()


async def turns(number: int = 20) -> None:
    """Let what is under way happen: used before a test says that nothing more has."""
    for _ in range(number):
        await turn()


async def _first_stream() -> None:
    """libuv opens a descriptor of its own, for good, with a loop's first stream: it is no leak."""
    ours, theirs = socket.socketpair()
    loop: Any = reactor._asyncioEventloop
    opening = loop.connect_accepted_socket(asyncio.Protocol, ours)
    transport, _ = await Deferred.fromFuture(asyncio.ensure_future(opening, loop=loop))
    transport.abort()
    theirs.close()
    await turns(5)


async def open_descriptors(at_most: int | None = None) -> int:
    """How many descriptors this process has, now that the reactor runs (which has its own).

    :param at_most: how many it should have: the last ones may take some turns to go, on uvloop's transports.
    """
    if at_most is None and runs_on_uvloop(reactor):
        await _first_stream()
    await turns(3)
    for _ in range(0 if at_most is None else 500):
        if len(os.listdir("/proc/self/fd")) <= at_most:  # type: ignore[operator]
            break
        await turn()
    return len(os.listdir("/proc/self/fd"))


class Recorder(Protocol):
    """Writes down what its transport tells it; not half-closeable."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.segments = 0
        self.events: list[str] = []
        self.reasons: list[Failure] = []
        self.on_made: Callable[[Recorder], Any] | None = None
        self.on_data: Callable[[bytes], Any] | None = None
        self.t: Any = None

    def connectionMade(self) -> None:
        """Connected."""
        self.t = self.transport
        self.events.append("made")
        if self.on_made is not None:
            self.on_made(self)

    def dataReceived(self, data: bytes) -> None:
        """Bytes."""
        self.segments += 1
        self.data += data
        if self.on_data is not None:
            self.on_data(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The end."""
        self.events.append("lost")
        self.reasons.append(reason)

    @property
    def is_lost(self) -> bool:
        """The end has come."""
        return bool(self.reasons)


@implementer(IHalfCloseableProtocol)
class HalfRecorder(Recorder):
    """The same, half-closeable."""

    def readConnectionLost(self) -> None:
        """The peer has sent all."""
        self.events.append("read lost")

    def writeConnectionLost(self) -> None:
        """We have sent all."""
        self.events.append("write lost")


async def lost(*recorders: Recorder) -> None:
    """Wait for the end of each."""
    await until(lambda: all(recorder.is_lost for recorder in recorders))


async def event(name: str, *recorders: Recorder) -> None:
    """Wait until each has heard of `name`."""
    await until(lambda: all(name in recorder.events for recorder in recorders))


async def received(recorder: Recorder, data: bytes) -> None:
    """Wait until `data`, and nothing else, has arrived."""
    await until(lambda: recorder.data == data)


async def connected(factory: Recorders, count: int = 1) -> None:
    """Wait until `count` protocols are built and connected."""
    await until(lambda: len(factory.built) >= count and all(recorder.t for recorder in factory.built))


class Recorders(Factory):
    """Makes protocols, and keeps them."""

    noisy = False

    def __init__(self, make: Callable[[], Any] = Recorder) -> None:
        self.make = make
        self.built: list[Any] = []
        self.addresses: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        """One more."""
        self.addresses.append(addr)
        protocol = self.make()
        if protocol is not None:
            self.built.append(protocol)
        return protocol


class _Readiness:
    """Fires once when a socket can be read or written."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.ready: Deferred[None] = Deferred()

    def fileno(self) -> int:
        return self._sock.fileno()

    def doRead(self) -> None:
        reactor.removeReader(self)
        reactor.removeWriter(self)
        self.ready.callback(None)

    doWrite = doRead

    def connectionLost(self, reason: Failure) -> None:
        if not self.ready.called:
            self.doRead()

    def logPrefix(self) -> str:
        return "peer"


class Peer:
    """The other end: a bare, non-blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock

    async def receive(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end of the stream."""
        data = bytearray()
        while len(data) < size:
            piece = await self._some(min(size - len(data), 262144))
            if not piece:
                break
            data += piece
        return bytes(data)

    async def receive_all(self) -> bytes:
        """All to the end of the stream; raises `ConnectionResetError` where it does not end cleanly."""
        return await self.receive(1 << 62)

    async def _some(self, size: int) -> bytes:
        while True:
            try:
                return self.sock.recv(size)
            except BlockingIOError:
                readiness = _Readiness(self.sock)
                reactor.addReader(readiness)
                await readiness.ready

    async def send(self, data: bytes) -> None:
        """All of `data`, however long the other end takes."""
        view = memoryview(data)
        while view:
            view = view[self.send_some(view) :]
            if view:
                readiness = _Readiness(self.sock)
                reactor.addWriter(readiness)
                await readiness.ready

    def send_some(self, data: Any) -> int:
        """What the kernel takes of `data` now."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    def finish(self) -> None:
        """Close our half."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Close."""
        self.sock.close()


class FullListener:
    """A listening socket whose backlog is full: whoever connects to it now waits."""

    def __init__(self) -> None:
        self._sock = socket.socket()
        self._sock.bind(("127.0.0.1", 0))
        self._sock.listen(0)
        self.port: int = self._sock.getsockname()[1]
        self._filling: list[socket.socket] = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.port))
            self._filling.append(sock)

    def close(self) -> None:
        """Close all of it."""
        for sock in [self._sock, *self._filling]:
            sock.close()
