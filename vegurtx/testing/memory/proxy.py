"""`MemoryProxy`: the whole proxy between clients and back-ends in memory, on a clock that the test turns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from vegurtx.interfaces import IRouter
from vegurtx.message import Backend
from vegurtx.proxy.factory import ProxyFactory
from vegurtx.settings import Settings
from vegurtx.testing.errors import ConversationError
from vegurtx.testing.memory.backend import MemoryBackend, MemoryEndpoint, Place, address_at, place_of
from vegurtx.testing.memory.connection import WINDOW, MemoryClient
from vegurtx.testing.memory.network import Network
from vegurtx.testing.memory.tls_transport import MemoryTlsTransport
from vegurtx.testing.memory.transcript import RecordedRouter, difference, unbalanced
from vegurtx.testing.memory.transport import MemoryTransport
from vegurtx.testing.router import Call

if TYPE_CHECKING:
    from vegurtx.net.endpoints import TlsDetails
    from vegurtx.testing.server import Handler

#: the time of day at which every test begins, in seconds since the epoch
EPOCH = 1_700_000_000.0
#: seconds; for what needs a number
_NO_LIMIT = 86_400.0


class MemoryProxy:
    """A proxy without sockets, for tests of routers, middlewares and settings.

        class MyRouterTests(SynchronousTestCase):
            def test_tenant_is_found(self):
                proxy = MemoryProxy(MyRouter())
                proxy.backend("127.0.0.1", 8081, answering(response_bytes(200, b"hi")))
                response = proxy.client().ask("GET", "http://tenant.example/")
                self.assertEqual(response.body, b"hi")

    All of the proxy's own code is at work; only the network is not there. No reactor runs, and none is imported. Every
    call of a test returns when all that follows from it has happened.

    :param router: the `IRouter` under test. It is asked through a recorder: see `calls` and `transcript`.
    :param settings: as for `ProxyFactory`.
    :param middlewares: as for `ProxyFactory`.
    :param clock: the clock that is turned, where the router or a middleware needs the same one.
    :raises zope.interface.Invalid: the router does not provide `IRouter`.
    :raises SettingsError: a setting is unknown or not in its bounds.
    """

    def __init__(
        self,
        router: Any,
        settings: Settings | Mapping[str, Any] | None = None,
        middlewares: Iterable[Any] | None = None,
        *,
        clock: Clock | None = None,
    ) -> None:
        verifyObject(IRouter, router)  # of the router itself; the recorder provides it always
        self.router = router
        self.clock = Clock() if clock is None else clock
        self.calls: list[Call] = []
        """Every callback of the router so far, in order."""
        self.connects: list[Backend] = []
        """What each connect went to, in order, whether somebody listens there or not."""
        self.clients: list[MemoryClient] = []
        """Every client so far."""
        self._network = Network(self.clock)
        self._backends: dict[Place, MemoryBackend] = {}
        recorded = RecordedRouter(router, self.calls, self._network.note)
        self.factory = ProxyFactory(
            recorded, settings, middlewares, reactor=self.clock, endpoint_for=self._endpoint_for
        )
        start = self.clock.seconds()
        self.factory.wall = lambda: EPOCH + self.clock.seconds() - start
        self._port = MemoryPort(self._network, self.factory)
        self.factory.accepts_on(self._port)

    # -- the cast ----------------------------------------------------------------------------------

    def backend(
        self, host: str = "", port: int = 0, handler: Handler | None = None, *, path: str | None = None
    ) -> MemoryBackend:
        """Return a back-end that listens on `host` and `port`, written as the router writes them.

        Where nobody listens, a connect is refused; a name that is no back-end's has no address.

        :param handler: plays each connection by itself, as `answering(...)`; without it the test does.
        :param path: listen on this UNIX socket instead (no file is made).
        :raises ValueError: somebody listens there already.
        """
        place: Place = (host, port) if path is None else path
        if place in self._backends:
            raise ValueError(f"somebody listens there already: {self._backends[place]}")
        backend = self._backends[place] = MemoryBackend(self._network, place, handler)
        return backend

    def client(
        self,
        *,
        peer: IAddress | tuple[str, int] = ("192.0.2.1", 40000),
        local: IAddress | tuple[str, int] = ("198.51.100.1", 80),
        proxy_peer: IAddress | tuple[str, int] | None = None,
        tls: TlsDetails | None = None,
        window: int = WINDOW,
    ) -> MemoryClient:
        """Connect a client.

        :param peer: its address, for ``request.peer``.
        :param local: the address that it connected to, for ``request.local``.
        :param proxy_peer: it comes through a PROXY listener, to which this proxy had connected: `peer` and `local` are
            then what its header named.
        :param tls: what ``request.tls`` is, as `vegurtx.net.endpoints.TlsDetails`. The bytes stay plain; the
            connection has no half-close then, as any that speaks TLS.
        :param window: bytes that the client has room for while the test pauses it.
        """
        client = MemoryClient(self._network, f"client {len(self.clients) + 1}", window)
        self.clients.append(client)
        ends = (_address(local), _address(peer))
        if tls is None:
            client.transport = MemoryTransport(self._network, client, *ends)
        else:
            client.transport = MemoryTlsTransport(self._network, client, *ends, tls)
        self._port.connect(client.transport, None if proxy_peer is None else _address(proxy_peer))
        self._network.settle()
        return client

    def _endpoint_for(self, backend: Backend) -> MemoryEndpoint:
        self.connects.append(backend)
        place = place_of(backend)
        limit = backend.connect_timeout or self.factory.settings.downstream_connect_timeout / 1000
        return MemoryEndpoint(self._network, lambda: self._backends.get(place), place, limit or _NO_LIMIT)

    # -- time --------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass: each timeout expires at its own time, and what follows from it has happened then."""
        self._network.advance(seconds)

    def settle(self) -> None:
        """Let arrive what is on its way. Only needed behind what the proxy cannot know of, as a Deferred that the test
        fires; every other call does it by itself.
        """
        self._network.settle()

    # -- what happened -----------------------------------------------------------------------------

    @property
    def transcript(self) -> list[str]:
        """Everything so far, a line each: callbacks (and what they raised), connects, and what the peers sent (``>``)
        and received (``<``): a message's first line, or how many bytes.
        """
        self._network.settle()
        return list(self._network.lines)

    def assert_transcript(self, expected: str) -> None:
        """The transcript is `expected`, line by line (its indentation does not count).

        Raises `AssertionError` with the difference. What was looked at is forgotten: the next one begins behind it.
        """
        self._network.settle()
        found = difference(expected, self._network.lines)
        if found:
            raise AssertionError(f"the conversation took another turn:\n{found}")
        self._network.lines.clear()

    def of(self, name: str) -> list[Call]:
        """Return every call of the callback `name` so far."""
        self._network.settle()
        return [call for call in self.calls if call.name == name]

    @property
    def pooled(self) -> int:
        """How many connections to back-ends rest in the pool."""
        self._network.settle()
        return len(self.factory.client.pool)

    # -- the end -----------------------------------------------------------------------------------

    def idle(self, pooled: int = 0) -> None:
        """Nothing is left of what the clients did.

        Every request had one final ``checkin_service`` and one ``terminate``. No client's connection is left (close
        them before), no connection to a back-end but `pooled` ones that rest in the pool, and no delayed call but
        those of the pool. Raises `ConversationError` with what is left.
        """
        self._network.settle()
        left = self._left_over()
        resting = len(self.factory.client.pool)
        if resting != pooled:
            left.append(f"the pool has {resting} connections, not {pooled}")
        links = sum(not isinstance(end.other, MemoryClient) for end in self._network.open)
        if links != resting:
            left.append(f"{links} connections to back-ends, {resting} of them in the pool")
        self._complain(left)

    def stop(self) -> None:
        """Stop the proxy, as at the end of its process; then nothing at all may be left. For ``addCleanup``.

        Raises `ConversationError` with what is left, or with requests that did not end as the contract says.
        """
        self.factory.stop()
        self._network.settle()
        self._complain(self._left_over() + [repr(end) for end in self._network.open])

    def _left_over(self) -> list[str]:
        left = unbalanced(self.calls)
        left += [f"connected: {connection.transport}" for connection in self.factory.connections]
        calls: list[Any] = list(self.clock.getDelayedCalls())
        for call in calls:
            if getattr(call.func, "__self__", None) is not self.factory.client:
                left.append(f"a delayed call: {call}")
        return left

    def _complain(self, left: list[str]) -> None:
        if left:
            raise ConversationError("something is left:\n  " + "\n  ".join(left))


class MemoryPort:
    """Where clients connect: an ``IListeningPort`` as far as `ProxyFactory.accepts_on` needs one.

    While the proxy takes no more clients (``max_connections``) they wait here, connected and not spoken to.
    """

    def __init__(self, network: Network, factory: ProxyFactory) -> None:
        self._network = network
        self._factory = factory
        self._paused = False
        self._backlog: list[tuple[MemoryTransport, IAddress | None]] = []

    def connect(self, transport: MemoryTransport, proxy_peer: IAddress | None) -> None:
        """A client comes."""
        self._backlog.append((transport, proxy_peer))
        self._network.later(self._accept)

    def pauseProducing(self) -> None:
        """Leave new clients in the backlog."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Accept again."""
        self._paused = False
        self._network.later(self._accept)

    def _accept(self) -> None:
        while self._backlog and not self._paused:
            transport, proxy_peer = self._backlog.pop(0)
            connection = self._factory.buildProtocol(transport.getPeer())
            transport.open(connection)
            if proxy_peer is not None:
                connection.proxy_peer = proxy_peer
                connection.destination_port = getattr(transport.getHost(), "port", None)


def _address(address: IAddress | tuple[str, int]) -> IAddress:
    return address_at(address) if isinstance(address, tuple) else address
