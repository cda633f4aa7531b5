"""`ProxyTestCase`: a test that holds the proxy between a scripted client and a scripted back-end.

Everything is real but the network beyond loopback: sockets, reactor, timers. Whatever a test makes with the
methods here is closed after it, and then nothing of the proxy may be left: no socket, no timer.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.trial.unittest import TestCase

from vegurtx.testing.connection import ScriptedConnection
from vegurtx.testing.leaks import leak_report, open_sockets, pending_timers
from vegurtx.testing.readiness import connected_socket, handshaken
from vegurtx.testing.server import LOOPBACK, Handler, RefusingAddress, ScriptedServer, SilentAddress
from vegurtx.testing.tls import SecureConnection
from vegurtx.testing.waiting import PATIENCE, running_reactor

_T = TypeVar("_T")

_STEP = 0.002


class RunningProxy:
    """A proxy, or anything else, that listens on loopback during a test.

    `router` and `factory` are what it was made from (`None` where the test brought its own port),
    `listening_port` is Twisted's `IListeningPort`.
    """

    def __init__(
        self, case: ProxyTestCase, listening_port: Any, router: Any = None, factory: Any = None
    ) -> None:
        self.router = router
        self.factory = factory
        self.listening_port = listening_port
        self._case = case
        self._stopped = False
        address = listening_port.getHost()
        self.path: str | None = getattr(address, "name", None)
        self.host: str = getattr(address, "host", "")
        self.port: int = getattr(address, "port", 0)

    async def connect(self, **options: Any) -> ScriptedConnection:
        """Connect a scripted client to it; `options` as for `ProxyTestCase.connect`."""
        return await self._case.connect(self.path or (self.host or LOOPBACK, self.port), **options)

    async def stop(self) -> None:
        """Stop listening. Connections that exist go on."""
        if not self._stopped:
            self._stopped = True
            await maybeDeferred(self.listening_port.stopListening)

    def __repr__(self) -> str:
        return f"<proxy at {self.path or (self.host, self.port)}>"


class ProxyTestCase(TestCase):
    """A trial `TestCase` whose tests read like the transcript of a conversation.

        class KeepAlive(ProxyTestCase):
            async def test_one_request(self):
                \"\"\"Rule 19: the client's connection stays open behind a response.\"\"\"
                backend = await self.backend()
                proxy = await self.proxy(router_to(backend))
                client = await proxy.connect()
                client.send(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
                server = await backend.accept()
                await server.receive_request()
                server.send(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
                response = await client.receive_response()
                self.assertEqual(response.body, b"hi")
                self.assertEqual(await proxy.router.finished, "normal")

    Every wait is bounded by `patience`. A subclass that has its own `setUp` calls this one's first.
    """

    timeout = 60.0
    """Seconds that a whole test may last (trial's own limit)."""

    patience = PATIENCE
    """Seconds that one wait may last before the test fails."""

    settle = 2.0
    """Seconds that the proxy has, after its peers are gone, to close its own sockets and timers."""

    def setUp(self) -> None:
        """Remember which sockets are open, and see to it that no more are when the test is over."""
        self.reactor: Any = running_reactor()
        self._sockets_before = open_sockets()
        self._clients: list[ScriptedConnection] = []
        self._servers: list[ScriptedServer | RefusingAddress] = []
        self._listeners: list[RunningProxy] = []
        self.addCleanup(self._take_down)

    # -- the cast ----------------------------------------------------------------------------------

    async def backend(
        self,
        *,
        path: str | None = None,
        tls: ssl.SSLContext | None = None,
        handler: Handler | None = None,
        receive_buffer: int | None = None,
    ) -> ScriptedServer:
        """Return a back-end that listens on a free port of 127.0.0.1; the arguments are
        `ScriptedServer`'s.
        """
        server = ScriptedServer(
            self.reactor,
            path=path,
            tls=tls,
            handler=handler,
            timeout=self.patience,
            receive_buffer=receive_buffer,
            name=f"back-end {len(self._servers) + 1}",
        )
        self._servers.append(server)
        return server

    async def refusing_backend(self) -> RefusingAddress:
        """Return an address where every connect is refused."""
        return self._also(RefusingAddress())

    async def silent_backend(self) -> RefusingAddress:
        """Return an address where a connect never ends (Linux)."""
        return self._also(SilentAddress())

    async def proxy(
        self,
        router: Any,
        *,
        middlewares: Any = None,
        tls: Any = None,
        backlog: int = 1024,
        **settings: Any,
    ) -> RunningProxy:
        """Start a proxy on a free port of 127.0.0.1.

        :param router: the `IRouter` that it asks.
        :param middlewares: the chain, where it is not the default one.
        :param tls: for a listener that speaks TLS: Twisted's `CertificateOptions`, or another pyOpenSSL
            context factory; see `context_factory`.
        :param backlog: connections that the kernel holds before they are accepted.
        :param settings: any setting by its name, as `idle_timeout=0.1`.
        """
        from vegurtx.proxy.factory import ProxyFactory

        factory = ProxyFactory(router, settings, middlewares, reactor=self.reactor)
        return await self.listen(factory, router=router, tls=tls, backlog=backlog)

    async def listen(
        self, factory: Any, *, router: Any = None, tls: Any = None, backlog: int = 1024
    ) -> RunningProxy:
        """Let any Twisted factory listen on a free port, on the same kind of endpoint as the proxy."""
        from vegurtx.net.endpoints import tcp_server, tls_server

        endpoint: Any
        if tls is None:
            endpoint = tcp_server(self.reactor, 0, LOOPBACK, backlog)
        else:
            endpoint = tls_server(self.reactor, 0, tls, LOOPBACK, backlog)
        return self.running(await endpoint.listen(factory), router=router, factory=factory)

    def running(
        self, listening_port: IListeningPort, *, router: Any = None, factory: Any = None
    ) -> RunningProxy:
        """Take a port that the test opened in its own way, as `self.running(await start_http(0, router))`."""
        running = RunningProxy(self, listening_port, router, factory)
        self._listeners.append(running)
        return running

    async def connect(
        self,
        address: Any,
        *,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        before_tls: bytes = b"",
        receive_buffer: int | None = None,
        source: str | None = None,
    ) -> ScriptedConnection:
        """Connect a scripted client.

        :param address: `(host, port)`, the host numeric, or the path of a UNIX socket.
        :param tls: speak TLS with this context; what is returned then is a `SecureConnection`.
        :param server_name: the name that the client asks for in TLS (SNI).
        :param before_tls: bytes sent before the handshake, for a PROXY header.
        :param receive_buffer: bytes of the kernel's receive buffer (Linux doubles it), for tests of
            back-pressure.
        :param source: the local address to connect from, any of 127.0.0.0/8.

        Raises `OSError` where the connect or the handshake fails.
        """
        sock = await connected_socket(
            self.reactor, address, timeout=self.patience, receive_buffer=receive_buffer, source=source
        )
        name = f"client {len(self._clients) + 1}"
        if before_tls:
            sock.send(before_tls)
        if tls is None:
            client = ScriptedConnection(self.reactor, sock, timeout=self.patience, name=name)
        else:
            secure = await handshaken(self.reactor, sock, tls, timeout=self.patience, server_name=server_name)
            client = SecureConnection(self.reactor, secure, timeout=self.patience, name=name)
            client.doRead()  # what came right behind the handshake may lie in OpenSSL already
        self._clients.append(client)
        return client

    def folder(self) -> Path:
        """Return a new folder that is removed after the test. Its path is short enough for a UNIX socket."""
        made = tempfile.TemporaryDirectory(prefix="vegurtx-")
        self.addCleanup(made.cleanup)
        return Path(made.name)

    # -- waiting -----------------------------------------------------------------------------------

    async def turns(self, count: int = 3) -> None:
        """Let the reactor turn `count` times, so that what is on its way inside the proxy gets where it
        goes.
        """
        for _ in range(count):
            await self._pause(0)

    async def until(self, condition: Callable[[], object], what: str = "the condition") -> None:
        """Wait until `condition()` is true, looking every few milliseconds; fails after `patience`."""
        deadline = self.reactor.seconds() + self.patience
        while not condition():
            if self.reactor.seconds() > deadline:
                self.fail(f"waited {self.patience} s for {what}")
            await self._pause(_STEP)

    async def _pause(self, seconds: float) -> None:
        waiting: Deferred[None] = Deferred()
        self.reactor.callLater(seconds, waiting.callback, None)
        await waiting

    # -- after the test ----------------------------------------------------------------------------

    def _also(self, address: RefusingAddress) -> RefusingAddress:
        self._servers.append(address)
        return address

    async def _take_down(self) -> None:
        """Close everything that the test made, then look for what is left."""
        failures: list[BaseException] = []
        for listener in self._listeners:
            await listener.stop()
        for client in self._clients:
            client.abort()
        for server in self._servers:
            server.stop()
            if isinstance(server, ScriptedServer):
                failures += server.failures
                for connection in server.connections:
                    connection.abort()
        sockets = await self._left_over(self._new_sockets)
        for listener in self._listeners:
            # What a proxy keeps between requests, as the timer of its pool, is its right until it is stopped.
            getattr(listener.factory, "stop", lambda: None)()
        timers = await self._left_over(lambda: pending_timers(self.reactor))
        if sockets or timers:
            report = leak_report(sockets, timers)
            for timer in timers:
                timer.cancel()  # reported here; trial would report it again
            self.fail(report)
        if failures:
            raise failures[0]

    def _new_sockets(self) -> list[str]:
        now = open_sockets()
        return [now[identity] for identity in now.keys() - self._sockets_before.keys()]

    async def _left_over(self, look: Callable[[], list[_T]]) -> list[_T]:
        """Wait until `look` finds nothing; return what it finds after `settle` seconds still.

        The proxy closes its own ends when it notices that its peers have gone. No event says so, hence the
        looking.
        """
        deadline = self.reactor.seconds() + self.settle
        await self._pause(0)
        while (found := look()) and self.reactor.seconds() < deadline:
            await self._pause(_STEP)
        return found
