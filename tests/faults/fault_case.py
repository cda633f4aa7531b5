"""What the tests of faults over real sockets share: a fault proxy on either side of the proxy under test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from vegurtx.testing import (
    ProxyTestCase,
    RecordingRouter,
    RunningProxy,
    ScriptedConnection,
    ScriptedServer,
    answering,
    router_to,
)
from vegurtx.testing.faults import FaultProxy

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Cast(NamedTuple):
    """A client before the proxy, and a bad network behind it (or between the two)."""

    proxy: RunningProxy
    router: RecordingRouter
    backend: ScriptedServer
    faults: FaultProxy


class FaultCase(ProxyTestCase):
    """Conversations over a bad network. What is left open after a test fails it, as in every `ProxyTestCase`."""

    def setUp(self) -> None:
        """The fault proxies go before the rest is looked at."""
        super().setUp()
        self._faults: list[FaultProxy] = []
        self.addCleanup(self._stop_faults)

    def _stop_faults(self) -> None:
        for faults in self._faults:
            faults.stop()

    def faults(self, target: Any) -> FaultProxy:
        """A fault proxy before `target`, anything with a host and a port."""
        faults = FaultProxy(self.reactor, (target.host, target.port))
        self._faults.append(faults)
        return faults

    async def behind(self, handler: Any = None, *, keepalive: Any = None, **settings: Any) -> Cast:
        """A bad network between the proxy and its back-end."""
        backend = await self.backend(handler=handler)
        faults = self.faults(backend)
        router = router_to(faults, keepalive=keepalive)
        return Cast(await self.proxy(router, **settings), router, backend, faults)

    async def before(self, handler: Any = None, *, keepalive: Any = None, **settings: Any) -> Cast:
        """A bad network between the clients and the proxy."""
        backend = await self.backend(handler=handler)
        router = router_to(backend, keepalive=keepalive)
        proxy = await self.proxy(router, **settings)
        return Cast(proxy, router, backend, self.faults(proxy))

    async def client_of(self, where: Any) -> ScriptedConnection:
        """A client of the proxy, or of a fault proxy."""
        return await self.connect((where.host, where.port))

    async def assert_serves(self, cast: Cast, handler: bytes = OK) -> None:
        """Another client, over a good network, is served as if nothing had been."""
        another = await self.backend(handler=answering(handler))
        proxy = await self.proxy(router_to(another)) if cast.proxy is None else cast.proxy
        client = await proxy.connect()
        client.send(GET)
        response = await client.receive_response()
        self.assertEqual(response.status, 200)
        client.close()

    def ending(self, router: RecordingRouter) -> tuple[str, Any]:
        """Phase and state of the last request's one final check-in, ``terminate`` right behind it."""
        self.assertEqual(router.names[-2:], ["checkin_service", "terminate"])
        request = router.calls[-1].request
        own = [call for call in router.calls if call.request is request]
        finals = [
            call for call in own if call.name == "checkin_service" and call.arguments[2] != "connecting"
        ]
        self.assertEqual((len(finals), sum(call.name == "terminate" for call in own)), (1, 1))
        return finals[0].arguments[2], finals[0].arguments[3]

    @contextmanager
    def row(self, *label: Any) -> Iterator[None]:
        """One row of a table; a failure in it names the row."""
        try:
            yield
        except BaseException as error:
            error.add_note(f"in the row {label!r}")
            raise
