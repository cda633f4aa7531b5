"""What listens in memory: back-ends by address, and the endpoints through which the proxy reaches them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.message import Backend
from vegurtx.net.client import connect_word
from vegurtx.net.uv.addresses import numeric_family
from vegurtx.testing.errors import PeerClosed, PeerSilent
from vegurtx.testing.memory.connection import WINDOW, MemoryConnection
from vegurtx.testing.memory.network import Network
from vegurtx.testing.memory.played import PlayedConnection
from vegurtx.testing.memory.transport import MemoryTransport

if TYPE_CHECKING:
    from vegurtx.testing.server import Handler

#: the proxy's address on every connection to a back-end
_OURS = IPv4Address("TCP", "198.51.100.1", 49152)
#: what leads to one listener: host and port, or the path of a UNIX socket
Place = tuple[str, int] | str


def place_of(backend: Backend) -> Place:
    """Where `backend` is reached."""
    return backend.path if backend.path is not None else (backend.host, backend.port)


def place_text(place: Place) -> str:
    """``HOST:PORT``, or the path."""
    if isinstance(place, str):
        return place
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_at(place: Place) -> IAddress:
    """Twisted's address for `place`."""
    if isinstance(place, str):
        return UNIXAddress(os.fsencode(place))
    host, port = place
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)


class MemoryBackend:
    """A back-end in memory. Tests get one from `MemoryProxy.backend`.

    It accepts every connect, until `refuses` or `ignores` say otherwise. Each connection is taken by one `accept`; with
    a `handler` it plays by itself instead.

    :param network: where it listens.
    :param place: its address.
    :param handler: an `async` function that plays each connection, as `answering(...)`.
    """

    def __init__(self, network: Network, place: Place, handler: Handler | None = None) -> None:
        self.name = place_text(place)
        self.connections: list[MemoryConnection] = []
        """Every connection that ever came, in order."""
        self.window = WINDOW
        """Bytes that a new connection has room for while the test pauses it."""
        self._network = network
        self._place = place
        self._handler = handler
        self._error: Exception | None = None
        self._answers = True
        self._attempts: list[Attempt] = []  # that we do not answer
        self._waiting: deque[MemoryConnection] = deque()

    def as_backend(self, keepalive: Any = None, **options: Any) -> Backend:
        """Return the `vegurtx.Backend` that leads here; `options` as for `Backend`."""
        if isinstance(self._place, str):
            return Backend.unix(self._place, keepalive=keepalive, **options)
        host, port = self._place
        return Backend(host, port, keepalive=keepalive, **options)

    # -- how connects go ---------------------------------------------------------------------------

    def accepts(self) -> MemoryBackend:
        """From now on connects succeed, also those that were ignored and have not been given up. Returns itself."""
        return self._set(True, None)

    def refuses(self, error: Exception | None = None) -> MemoryBackend:
        """From now on connects fail with `error` (a Twisted connect error; refused unless told otherwise).

        Connections that exist go on. Returns itself.
        """
        return self._set(True, error or ConnectionRefusedError())

    def ignores(self) -> MemoryBackend:
        """From now on connects are not answered: they end by their timeout. Returns itself."""
        return self._set(False, None)

    def _set(self, answers: bool, error: Exception | None) -> MemoryBackend:
        self._answers = answers
        self._error = error
        if answers:
            attempts, self._attempts = self._attempts, []
            for attempt in attempts:
                self.reached(attempt)
        self._network.settle()
        return self

    # -- connections -------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many connections have come that no `accept` has taken."""
        self._network.settle()
        return len(self._waiting)

    def accept(self) -> MemoryConnection:
        """Return the next connection that nobody has taken yet. Raises `PeerSilent` where there is none."""
        self._network.settle()
        if not self._waiting:
            lines = "\n  ".join(self._network.lines)
            raise PeerSilent(f"no connection came to {self.name}; what has happened so far:\n  {lines}")
        return self._waiting.popleft()

    def reached(self, attempt: Attempt) -> None:
        """A connect has come this far."""
        if attempt.ended:
            return
        if not self._answers:
            self._attempts.append(attempt)
        elif self._error is not None:
            attempt.fail(self._error)
        else:
            attempt.succeed(self._connection())

    def _connection(self) -> MemoryConnection:
        count = len(self.connections)
        connection = MemoryConnection(
            self._network, self.name if not count else f"{self.name} #{count + 1}", self.window
        )
        self.connections.append(connection)
        if self._handler is None:
            self._waiting.append(connection)
        else:
            self._network.later(lambda: self._play(connection))
        return connection

    def _play(self, connection: MemoryConnection) -> None:
        assert self._handler is not None
        # It has the words of the connection that handlers are written for, but is none.
        stand_in: Any = PlayedConnection(connection)
        Deferred.fromCoroutine(self._handler(stand_in)).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        # That the proxy leaves is how a handler's work ends as a rule.
        if not isinstance(failure.value, PeerClosed):
            self._network.failures.append(cast("BaseException", failure.value))

    def __repr__(self) -> str:
        return f"<back-end {self.name}: {len(self.connections)} connections, {len(self._waiting)} waiting>"


class Attempt:
    """One connect: it is answered by a back-end, given up, or ends by its timeout."""

    def __init__(self, network: Network, place: Place, factory: Any, timeout: float) -> None:
        self.result: Deferred[Any] = Deferred(self._given_up)
        self.ended = False
        self._network = network
        self._place = place
        self._factory = factory
        self._timer = network.clock.callLater(timeout, self._timed_out)

    def succeed(self, connection: MemoryConnection) -> None:
        """The connection stands."""
        self._end("done")
        address = address_at(self._place)
        connection.transport = MemoryTransport(self._network, connection, _OURS, address)
        protocol = self._factory.buildProtocol(address)
        connection.transport.open(protocol)
        self.result.callback(protocol)

    def fail(self, error: Exception) -> None:
        """There is no connection."""
        failure = Failure(error)
        self._end(connect_word(failure))
        self.result.errback(failure)

    def _timed_out(self) -> None:
        self.fail(TimeoutError())

    def _given_up(self, _: object) -> None:
        self._end("given up")
        self.result.errback(Failure(ConnectingCancelledError(address_at(self._place))))

    def _end(self, outcome: str) -> None:
        self.ended = True
        if self._timer.active():
            self._timer.cancel()
        self._network.note(f"connect to {place_text(self._place)}: {outcome}")


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """The way to one address.

    :param network: where it leads through.
    :param listener: returns the back-end that listens there, `None` where nobody does.
    :param place: the address.
    :param timeout: seconds that a connect may take.
    """

    def __init__(
        self, network: Network, listener: Callable[[], MemoryBackend | None], place: Place, timeout: float
    ) -> None:
        self._network = network
        self._listener = listener
        self._place = place
        self._timeout = timeout

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """See `IStreamClientEndpoint`; the outcome comes in a later step, as from a real one."""
        attempt = Attempt(self._network, self._place, protocolFactory, self._timeout)
        self._network.later(lambda: self._arrive(attempt))
        return attempt.result

    def _arrive(self, attempt: Attempt) -> None:
        if attempt.ended:
            return
        listener = self._listener()
        if listener is not None:
            listener.reached(attempt)
        elif isinstance(self._place, tuple) and numeric_family(self._place[0]) is None:
            attempt.fail(DNSLookupError())
        else:
            attempt.fail(ConnectionRefusedError())
