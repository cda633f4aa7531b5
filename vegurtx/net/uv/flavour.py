"""Which transports a reactor can have: between the endpoints and the two kinds of transport.

uvloop's where the reactor is Twisted's asyncio reactor on a uvloop loop, Twisted's own everywhere else.
Listening and connecting are written once, on top of the few operations that differ.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from vegurtx.net.uv.adapter import UvloopTransport, log_protocol_errors
from vegurtx.net.uv.plain import PlainTransport


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> object:
        """Not any more."""


class Flavour(Protocol):
    """What listening and connecting need of a reactor."""

    def watch_reads(self, descriptor: Any) -> None:
        """Call ``descriptor.doRead`` whenever its socket can be read, until `unwatch_reads`."""

    def unwatch_reads(self, descriptor: Any) -> None:
        """No more of that; harmless where nothing was watched."""

    def watch_writes(self, descriptor: Any) -> None:
        """Call ``descriptor.doWrite`` whenever its socket can be written, until `unwatch_writes`."""

    def unwatch_writes(self, descriptor: Any) -> None:
        """No more of that; harmless where nothing was watched."""

    def call_later(self, delay: float, function: Callable[[], object]) -> Timer:
        """Call `function` in `delay` seconds."""

    def carry(
        self, sock: socket.socket, protocol: Any, peer: IAddress, opened: Deferred[Any] | None = None
    ) -> Callable[[], None]:
        """Connect `protocol` to `sock` through a transport.

        :param opened: fired with the protocol once it is connected, in a later turn of the reactor; if it has
            been fired by then (cancelled) the protocol is not connected. None: the protocol may be connected
            at once.
        :returns: to be called when `opened` is cancelled.
        """


def _nothing() -> None:
    """Nothing to give up: the cancelled Deferred says it all."""


class PlainFlavour:
    """Twisted's own transports.

    :param reactor: provides `IReactorFDSet` and `IReactorTime`.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def watch_reads(self, descriptor: Any) -> None:
        """See `Flavour`."""
        self._reactor.addReader(descriptor)

    def unwatch_reads(self, descriptor: Any) -> None:
        """See `Flavour`."""
        self._reactor.removeReader(descriptor)

    def watch_writes(self, descriptor: Any) -> None:
        """See `Flavour`."""
        self._reactor.addWriter(descriptor)

    def unwatch_writes(self, descriptor: Any) -> None:
        """See `Flavour`."""
        self._reactor.removeWriter(descriptor)

    def call_later(self, delay: float, function: Callable[[], object]) -> Timer:
        """See `Flavour`."""
        timer: Timer = self._reactor.callLater(delay, function)
        return timer

    def carry(
        self, sock: socket.socket, protocol: Any, peer: IAddress, opened: Deferred[Any] | None = None
    ) -> Callable[[], None]:
        """See `Flavour`."""
        if opened is None:
            self._open(sock, protocol, peer)
        else:
            self._reactor.callLater(0, self._open_later, sock, protocol, peer, opened)
        return _nothing

    def _open_later(self, sock: socket.socket, protocol: Any, peer: IAddress, opened: Deferred[Any]) -> None:
        if opened.called:  # cancelled
            sock.close()
            return
        failure = self._open(sock, protocol, peer)
        if opened.called:
            return
        if failure is None:
            opened.callback(protocol)
        else:
            opened.errback(failure)

    def _open(self, sock: socket.socket, protocol: Any, peer: IAddress) -> Failure | None:
        try:
            PlainTransport(sock, protocol, peer, self._reactor).open()
        except Exception:  # logged, and the protocol has been told
            return Failure()
        return None


class UvloopFlavour:
    """uvloop's transports.

    :param loop: the uvloop loop that the asyncio reactor runs on.
    """

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        log_protocol_errors(loop)

    def watch_reads(self, descriptor: Any) -> None:
        """See `Flavour`."""
        self._loop.add_reader(descriptor.fileno(), descriptor.doRead)

    def unwatch_reads(self, descriptor: Any) -> None:
        """See `Flavour`."""
        if descriptor.fileno() != -1:
            self._loop.remove_reader(descriptor.fileno())

    def watch_writes(self, descriptor: Any) -> None:
        """See `Flavour`."""
        self._loop.add_writer(descriptor.fileno(), descriptor.doWrite)

    def unwatch_writes(self, descriptor: Any) -> None:
        """See `Flavour`."""
        if descriptor.fileno() != -1:
            self._loop.remove_writer(descriptor.fileno())

    def call_later(self, delay: float, function: Callable[[], object]) -> Timer:
        """See `Flavour`."""
        timer: Timer = self._loop.call_later(delay, function)
        return timer

    def carry(
        self, sock: socket.socket, protocol: Any, peer: IAddress, opened: Deferred[Any] | None = None
    ) -> Callable[[], None]:
        """See `Flavour`."""
        transport = UvloopTransport(self._loop, sock, protocol, peer)
        transport.open(opened)
        return transport.abortConnection


def uvloop_of(reactor: object) -> Any | None:
    """The uvloop loop that `reactor` runs on, or None."""
    loop = getattr(reactor, "_asyncioEventloop", None)
    if loop is None:
        return None
    try:
        import uvloop
    except ImportError:
        return None
    return loop if isinstance(loop, uvloop.Loop) else None


def flavour_of(reactor: Any) -> Flavour:
    """The fastest flavour that `reactor` can have."""
    loop = uvloop_of(reactor)
    return PlainFlavour(reactor) if loop is None else UvloopFlavour(loop)
