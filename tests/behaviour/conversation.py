"""What the behaviour tests share: a request that stands at its back-end, and how the router saw it end.

`Conversation` adds to `ProxyTestCase` the beginning which nearly every transcript has (a client, a proxy, a
back-end that has got the request), the end which every request must have (one final ``checkin_service``, one
``terminate``, in this order and nothing after it), and a proxy whose clock the test turns by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from twisted.internet.task import Clock

from vegurtx.proxy.factory import ProxyFactory
from vegurtx.testing import (
    ProxyTestCase,
    RecordingRouter,
    Request,
    RunningProxy,
    ScriptedConnection,
    ScriptedServer,
    router_to,
)

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: example.org\r\n\r\n"
OLD_GET = b"GET / HTTP/1.0\r\nHost: example.org\r\n\r\n"
OLD_GET_KEEP_ALIVE = b"GET / HTTP/1.0\r\nHost: example.org\r\nConnection: keep-alive\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def post(length: int, method: bytes = b"POST") -> bytes:
    """The head of a request with a body of `length` bytes."""
    return b"%b / HTTP/1.1\r\nHost: example.org\r\nContent-Length: %d\r\n\r\n" % (method, length)


CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n"


class Ending(NamedTuple):
    """How the router saw a request end: the final check-in's phase and state, and ``terminate``'s status."""

    phase: str
    state: Any
    status: str


GOOD = Ending("connected", "normal", "normal")


@dataclass
class Scene:
    """A request that has reached its back-end."""

    backend: ScriptedServer
    router: RecordingRouter
    proxy: RunningProxy
    client: ScriptedConnection
    server: ScriptedConnection
    request: Request | bytes


class HandTurned:
    """A reactor with real sockets whose time stands still until `advance`.

    What is due at once stays with the real reactor. Connects are timed by the transports, which may use the
    event loop's own timers: their deadline is not turned here.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._clock = Clock()
        self._clock.rightNow = 1000.0
        self.seconds = self._clock.seconds

    def callLater(self, delay: float, call: Any, *args: Any, **kwargs: Any) -> Any:
        """As any reactor's."""
        reactor = self._clock if delay > 0 else self._reactor
        return reactor.callLater(delay, call, *args, **kwargs)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, at once."""
        self._clock.advance(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


class Conversation(ProxyTestCase):
    """A test whose transcript begins at the back-end. See the module's text."""

    async def timed_proxy(self, router: Any, **settings: Any) -> tuple[RunningProxy, HandTurned]:
        """A proxy whose clock stands still, and that clock."""
        clock = HandTurned(self.reactor)
        factory = ProxyFactory(router, settings, reactor=clock)
        return await self.listen(factory, router=router), clock

    async def scene(
        self,
        request: bytes = GET,
        *,
        proxy: RunningProxy | None = None,
        backend: ScriptedServer | None = None,
        keepalive: Any = None,
        answers: dict[str, Any] | None = None,
        whole: bool = True,
        **settings: Any,
    ) -> Scene:
        """A client has sent `request`, and the back-end has received it.

        :param proxy: one that runs already, with the `backend` that its router leads to.
        :param keepalive: of the `Backend`.
        :param answers: other answers of the router.
        :param whole: wait for the whole request; else for its head only.
        :param settings: the proxy's.
        """
        backend = backend or await self.backend()
        if proxy is None:
            proxy = await self.proxy(router_to(backend, keepalive=keepalive, **(answers or {})), **settings)
        client = await proxy.connect()
        client.send(request)
        server = await backend.accept()
        received = await server.receive_request() if whole else await server.receive_head()
        return Scene(backend, proxy.router, proxy, client, server, received)

    async def ending(self, router: RecordingRouter) -> Ending:
        """Wait until the next request of `router` has ended; check that it ended once and in order."""
        status = await router.finished
        seen = getattr(router, "_endings_seen", 0)
        router._endings_seen = seen + 1  # type: ignore[attr-defined]
        request = router.of("terminate")[seen].request
        calls = [call for call in router.calls if call.request is request]
        finals = [
            call for call in calls if call.name == "checkin_service" and call.arguments[2] != "connecting"
        ]
        self.assertEqual(len(finals), 1, f"final check-ins: {finals}")
        self.assertEqual([call.name for call in calls[-2:]], ["checkin_service", "terminate"])
        self.assertEqual(sum(call.name == "terminate" for call in calls), 1)
        self.assertIs(calls[-2], finals[0])
        return Ending(finals[0].arguments[2], finals[0].arguments[3], status)

    async def assert_ends(self, router: RecordingRouter, phase: str, state: Any, status: str) -> None:
        """The next request of `router` ends just so."""
        self.assertEqual(await self.ending(router), Ending(phase, state, status))

    async def assert_still_good(self, proxy: RunningProxy, backend: ScriptedServer) -> None:
        """The proxy serves another client as if nothing had happened."""
        client = await proxy.connect()
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        server.send(OK)
        self.assertEqual((await client.receive_response()).body, b"hi")

    @contextmanager
    def row(self, *label: Any) -> Iterator[None]:
        """One row of a table; a failure in it names the row. (trial runs no subtests.)"""
        try:
            yield
        except BaseException as error:
            error.add_note(f"in the row {label!r}")
            raise


class Pooling(Conversation):
    """Conversations with idle connections."""

    async def served(
        self, proxy: RunningProxy, backend: ScriptedServer, *, on: ScriptedConnection | None = None
    ) -> ScriptedConnection:
        """A client of its own is served through `proxy`: on the connection `on`, or else on a new one (returned)."""
        client = await proxy.connect()
        client.send(GET)
        server = on or await backend.accept()
        await server.receive_request()
        server.send(OK)
        self.assertEqual((await client.receive_response()).body, b"hi")
        client.close()
        self.assertEqual(await self.ending(proxy.router), GOOD)
        return server

    async def idle(self, **settings: Any) -> Scene:
        """One connection rests in the pool."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"), **settings)
        server = await self.served(proxy, backend)
        self.assertEqual(len(proxy.factory.client.pool), 1)
        return Scene(backend, proxy.router, proxy, await proxy.connect(), server, b"")

    async def served_by_another(self, scene: Scene) -> None:
        """The pool is empty, and the next request goes over a new connection."""
        await self.until(lambda: len(scene.proxy.factory.client.pool) == 0, "an empty pool")
        scene.client.send(GET)
        server = await scene.backend.accept()
        await server.receive_request()
        server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")


class Timed(Conversation):
    """Conversations on a clock that is turned by hand."""

    clock: HandTurned

    async def timed(
        self, request: bytes = GET, *, whole: bool = True, keepalive: Any = None, **settings: Any
    ) -> Scene:
        """A request that has reached its back-end; from then on the clock is the test's."""
        backend = await self.backend()
        proxy, self.clock = await self.timed_proxy(router_to(backend, keepalive=keepalive), **settings)
        return await self.scene(request, proxy=proxy, backend=backend, whole=whole)

    async def client_only(self, **settings: Any) -> tuple[RunningProxy, Any]:
        """A client that has said nothing yet."""
        proxy, self.clock = await self.timed_proxy(router_to(), **settings)
        client = await proxy.connect()
        await self.until(lambda: proxy.factory.connections)
        return proxy, client

    async def assert_alive_for(self, scene: Scene, seconds: float) -> None:
        """Nothing happens in that time."""
        calls = len(scene.router.calls)
        self.clock.advance(seconds)
        await self.turns()
        self.assertEqual(len(scene.router.calls), calls)
        self.assertEqual((scene.client.arrival.value, scene.server.arrival.value), ("open", "open"))

    async def assert_answered(self, scene: Scene, reason: Any, keeps: bool) -> None:
        """Time is up: the client gets the page for `reason`, the back-end is left."""
        response = await scene.client.receive_response()
        self.assertEqual(
            (response.status, response.header("Connection")), (503, "keep-alive" if keeps else "close")
        )
        await self.assert_ends(scene.router, "connected", reason, "error")
        self.assertEqual(scene.router.of("error_page")[-1].arguments[0], reason)
        self.assertEqual(await scene.server.closed(), "reset")
        self.assertEqual(len(scene.proxy.factory.client.pool), 0)
        if keeps:
            scene.client.send(GET)
            server = await scene.backend.accept()
            await server.receive_request()
            server.send(OK)
            self.assertEqual((await scene.client.receive_response()).body, b"hi")
            self.assertEqual(await self.ending(scene.router), GOOD)
        else:
            await scene.client.eof()

    async def assert_broken_off(self, scene: Scene, reason: Any) -> None:
        """Time is up in the middle of the response: both connections end, and the client's not in order."""
        self.assertEqual(await scene.client.closed(), "reset")
        await scene.server.closed()
        await self.assert_ends(scene.router, "connected", reason, "error")
