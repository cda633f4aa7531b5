"""Rule 23: which back-end connections are used again, and what happens where such a one turns out to be dead."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.behaviour.conversation import (
    GET,
    GOOD,
    OK,
    Pooling,
)
from vegurtx import Backend
from vegurtx.testing import (
    ScriptedConnection,
    in_turn,
    router_to,
    self_signed,
    server_context,
)


def target(name: str) -> bytes:
    """A request for `name`."""
    return GET.replace(b"/ ", b"/%b " % name.encode())


class Reuse(Pooling):
    """Rule 23: pooling."""

    async def test_default(self) -> None:
        """Rule 23: ``"default"`` takes the connection that rests, for any client, and puts it back."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        server = await self.served(proxy, backend)
        for _ in range(5):
            await self.served(proxy, backend, on=server)
        self.assertEqual(len(backend.connections), 1)

    async def test_none(self) -> None:
        """Rule 23: ``None`` opens one for each request, says ``close``, and closes it; it takes none that rests."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        resting = await self.served(proxy, backend)
        proxy.router.backends[:] = [backend.as_backend(None)]
        for _ in range(3):
            server = await self.served(proxy, backend)
            self.assertIn(b"\r\nConnection: close\r\n\r\n", server.received)
            self.assertEqual(await server.closed(), "clean")
        self.assertEqual((len(backend.connections), resting.arrival.value), (4, "open"))

    async def test_new(self) -> None:
        """Rule 23: ``"new"`` always opens one, and pools it for those that may take it."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="new"))
        first = await self.served(proxy, backend)
        second = await self.served(proxy, backend)
        self.assertIn(b"\r\nConnection: keep-alive\r\n\r\n", second.received)
        self.assertEqual(len(proxy.factory.client.pool), 2)
        proxy.router.backends[:] = [backend.as_backend("default")]
        await self.served(proxy, backend, on=second)
        self.assertEqual((len(backend.connections), first.arrival.value), (2, "open"))

    async def test_last_in_first_out(self) -> None:
        """Rule 23: the connection used last is used next."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        clients = [await proxy.connect() for _ in range(3)]
        servers = []
        for client in clients:
            client.send(GET)
            servers.append(await backend.accept())
            await servers[-1].receive_request()
        for number in (1, 2, 0):
            servers[number].send(OK)
            await clients[number].receive_response()
        for number in (0, 2, 1):
            clients[number].send(GET)
            await servers[number].receive_request()
        self.assertEqual(len(backend.connections), 3)

    async def test_key(self) -> None:
        """Rule 23: everything that makes a connection different keeps it apart: host, port, TLS, UNIX path."""
        certificate = self_signed("localhost")
        path = str(self.folder() / "socket")
        tcp, other = await self.backend(), await self.backend()
        unix = await self.backend(path=path)
        secure = await self.backend(tls=server_context(certificate, self.folder()))
        first, second = _client_tls(), _client_tls()
        backends = [
            (tcp, tcp.as_backend("default")),
            (other, other.as_backend("default")),
            (tcp, Backend("127.0.0.1", tcp.port, keepalive="default")),
            (unix, unix.as_backend("default")),
            (secure, secure.as_backend("default", tls=first)),
            (secure, secure.as_backend("default", tls=second)),
            (secure, secure.as_backend("default", tls=first)),
        ]
        router = router_to()
        proxy = await self.proxy(router)
        opened: dict[Any, ScriptedConnection] = {}
        for backend, way in backends:
            with self.row(way):
                router.backends[:] = [way]
                known = opened.get(way.key)
                opened[way.key] = await self.served(proxy, backend, on=known)
        self.assertEqual([len(each.connections) for each in (tcp, other, unix, secure)], [1, 1, 1, 2])

    async def test_bounds(self) -> None:
        """Rule 23: no more than so many rest for one back-end, and in all; the oldest gives way."""
        for settings in ({"pool_max_idle_per_backend": 2}, {"pool_max_idle": 2}):
            with self.row(settings):
                backend = await self.backend()
                proxy = await self.proxy(router_to(backend, keepalive="new"), **settings)
                servers = [await self.served(proxy, backend) for _ in range(4)]
                self.assertEqual(len(proxy.factory.client.pool), 2)
                for server in servers[:2]:
                    self.assertEqual(await server.closed(), "clean")
                self.assertEqual([server.arrival.value for server in servers[2:]], ["open", "open"])

    async def test_bound_over_back_ends(self) -> None:
        """Rule 23: of several back-ends it is the connection that rested longest."""
        first, second = await self.backend(), await self.backend()
        router = router_to()
        proxy = await self.proxy(router, pool_max_idle=2)
        servers = []
        for backend in (first, second, first):
            router.backends[:] = [backend.as_backend("new")]
            servers.append(await self.served(proxy, backend))
        self.assertEqual(await servers[0].closed(), "clean")
        self.assertEqual([server.arrival.value for server in servers[1:]], ["open", "open"])

    async def test_idle_limit(self) -> None:
        """Rule 23: what rested for 60 s (``pool_idle_timeout``) is closed; use begins that time anew."""
        for settings, limit in (({}, 60.0), ({"pool_idle_timeout": 10.0}, 10.0)):
            with self.row(settings):
                backend = await self.backend()
                proxy, clock = await self.timed_proxy(router_to(backend, keepalive="new"), **settings)
                old = await self.served(proxy, backend)
                clock.advance(limit * 0.9)
                young = await self.served(proxy, backend)
                clock.advance(limit * 0.11)
                await old.closed()
                self.assertEqual((young.arrival.value, len(proxy.factory.client.pool)), ("open", 1))
                for _ in range(5):  # the sweep comes round now and then
                    clock.advance(limit / 4)
                await young.closed()
                self.assertEqual(len(proxy.factory.client.pool), 0)

    async def test_stop(self) -> None:
        """Rule 23: a proxy that stops closes what rests."""
        scene = await self.idle()
        scene.proxy.factory.stop()
        await scene.server.closed()

    async def test_after_an_error(self) -> None:
        """Rule 23: a request that ended otherwise than well leaves no connection to others."""
        scene = await self.idle()
        scene.client.send(GET)
        await scene.server.receive_request()
        scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")
        self.assertEqual((await scene.client.receive_response()).status, 502)
        await scene.server.closed()
        await self.served_by_another(scene)


class Idle(Pooling):
    """Rule 23: connections that do not just rest."""

    async def test_closes(self) -> None:
        """Rule 23: one that closes, in whichever way, is dropped at once."""
        for end in ("close", "half_close", "abort"):
            with self.row(end):
                scene = await self.idle()
                getattr(scene.server, end)()
                await self.served_by_another(scene)
                self.assertEqual(scene.router.count("checkin_service"), 2)

    async def test_speaks(self) -> None:
        """Rule 23: one that speaks unasked is dropped at once: no byte of it is taken for an answer."""
        for said in (OK, b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n", b"\r\n", b"H"):
            with self.row(said):
                scene = await self.idle()
                scene.server.send(said)
                await scene.server.closed()
                await self.served_by_another(scene)

    async def test_others_stay(self) -> None:
        """Rule 23: the others of that back-end are still good."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="new"))
        servers = [await self.served(proxy, backend) for _ in range(3)]
        servers[1].close()
        servers[2].send(b"?")
        await self.until(lambda: len(proxy.factory.client.pool) == 1)
        proxy.router.backends[:] = [backend.as_backend("default")]
        await self.served(proxy, backend, on=servers[0])

    async def test_speaks_before_it_is_asked(self) -> None:
        """Rule 23: an answer in the same moment as a request is surplus of the one before; it is not its answer."""
        pairs: Deferred[Any] = Deferred()
        scene = await self.idle()
        scene.router.on(additional_headers=in_turn(lambda *_: pairs, ()))
        scene.client.send(target("mine"))
        await self.until(lambda: scene.router.count("additional_headers") == 3)
        scene.server.send(OK.replace(b"hi", b"no"))
        await scene.server.closed()
        pairs.callback([])
        server = await scene.backend.accept()
        self.assertEqual((await server.receive_request()).target, "/mine")
        server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(scene.router), GOOD)


def _client_tls() -> Any:
    """TLS parameters for a back-end whose certificate nobody signed."""
    from twisted.internet.ssl import CertificateOptions

    return CertificateOptions(verify=False)
