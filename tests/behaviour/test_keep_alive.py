"""Rule 19: the client's connection stays open when both sides' rules allow, whatever the back-end does with its own.

Also the settled points that belong to it: each final response says ``keep-alive`` or ``close`` and means it, a
client's ``close`` unpools nothing, a half-closed client gets its answer, an error page keeps the connection.
"""

from __future__ import annotations

from typing import Any

from tests.behaviour.conversation import GET, GOOD, HEAD, OK, Conversation, post
from vegurtx import ErrorPage, Response, RouteError
from vegurtx.testing import ScriptedConnection, router_to

CLIENTS = [
    (b"HTTP/1.1", b"", True),
    (b"HTTP/1.1", b"Connection: keep-alive\r\n", True),
    (b"HTTP/1.1", b"connection: Keep-Alive\r\n", True),
    (b"HTTP/1.1", b"Connection: x, y\r\n", True),
    (b"HTTP/1.1", b"Connection: \r\n", True),
    (b"HTTP/1.1", b"Connection: close\r\n", False),
    (b"HTTP/1.1", b"Connection: Close\r\n", False),
    (b"HTTP/1.1", b"Connection: keep-alive, close\r\n", False),
    (b"HTTP/1.1", b"Connection: keep-alive\r\nConnection: close\r\n", False),
    (b"HTTP/1.0", b"", False),
    (b"HTTP/1.0", b"Connection: keep-alive\r\n", True),
    (b"HTTP/1.0", b"Connection: Keep-Alive, x\r\n", True),
    (b"HTTP/1.0", b"Connection: keep-alive, close\r\n", False),
    (b"HTTP/1.0", b"Connection: close\r\n", False),
    (b"HTTP/1.0", b"Proxy-Connection: keep-alive\r\n", False),
]
"""Version and fields of a request, and whether its connection stays."""

BACKENDS = [
    (b"HTTP/1.1", b"", True),
    (b"HTTP/1.1", b"Connection: keep-alive\r\n", True),
    (b"HTTP/1.1", b"Connection: close\r\n", False),
    (b"HTTP/1.1", b"Connection: x\r\nConnection: CLOSE\r\n", False),
    (b"HTTP/1.1", b"Connection: (broken)\r\n", False),
    (b"HTTP/1.0", b"", False),
    (b"HTTP/1.0", b"Connection: keep-alive\r\n", True),
    (b"HTTP/1.0", b"Connection: close\r\n", False),
]
"""Version and fields of a response, and whether its connection may be pooled."""

BODIES = [b"Content-Length: 2\r\n\r\nhi", b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"]


class Persistence(Conversation):
    """Rule 19: every kind of client with every kind of back-end."""

    async def assert_open(self, client: ScriptedConnection, backend: Any) -> None:
        """The connection stays: another request on it reaches the back-end."""
        client.send(GET)
        server = await backend.accept() if backend.waiting or not self.pooled else self.server
        await server.receive_request()
        server.send(OK)
        self.assertEqual((await client.receive_response()).body, b"hi")

    async def test_matrix(self) -> None:
        """Rule 19: the client's side depends on the client alone, the back-end's on the back-end alone."""
        for keepalive in (None, "default", "new"):
            for said, asked, stays in CLIENTS:
                for version, answered, poolable in BACKENDS:
                    with self.row(keepalive, said, asked, version, answered):
                        await self.one(keepalive, said, asked, stays, version, answered, poolable)

    async def one(
        self,
        keepalive: Any,
        said: bytes,
        asked: bytes,
        stays: bool,
        version: bytes,
        answered: bytes,
        poolable: bool,
    ) -> None:
        """One cell of the matrix."""
        scene = await self.scene(b"GET / %b\r\nHost: x\r\n%b\r\n" % (said, asked), keepalive=keepalive)
        self.assertEqual(scene.request.header("Connection"), "close" if keepalive is None else "keep-alive")
        scene.server.send(b"%b 200 OK\r\n%bContent-Length: 2\r\n\r\nhi" % (version, answered))
        response = await scene.client.receive_response()
        self.assertEqual((response.body, response.version), (b"hi", (1, 1)))
        self.assertEqual(response.all("Connection"), ["keep-alive" if stays else "close"])
        self.assertEqual(await self.ending(scene.router), GOOD)
        self.pooled = poolable and keepalive is not None
        self.server = scene.server
        self.assertEqual(len(scene.proxy.factory.client.pool), int(self.pooled))
        if not self.pooled:
            await scene.server.closed()
        if stays:
            if keepalive == "new":
                self.pooled = False  # the next request opens another in any case
            await self.assert_open(scene.client, scene.backend)
        else:
            self.assertEqual(await scene.client.closed(), "clean")
        scene.client.close()
        await scene.proxy.stop()
        scene.proxy.factory.stop()

    async def test_each_framing(self) -> None:
        """Rule 19: a length, chunks, and a body's absence alike leave the connection open."""
        for body in BODIES:
            for answered in (b"", b"Connection: close\r\n"):
                with self.row(body, answered):
                    scene = await self.scene()
                    scene.server.send(b"HTTP/1.1 200 OK\r\n" + answered + body)
                    scene.server.close()
                    self.assertEqual((await scene.client.receive_response()).body, b"hi")
                    self.pooled = False
                    await self.assert_open(scene.client, scene.backend)

    async def test_backend_resets_behind_its_response(self) -> None:
        """Rule 19: even a reset behind a whole response is the back-end's own business."""
        for keepalive in (None, "default"):
            for body in BODIES:
                with self.row(keepalive, body):
                    scene = await self.scene(keepalive=keepalive)
                    scene.server.send(b"HTTP/1.1 200 OK\r\n" + body)
                    scene.server.abort()
                    self.assertEqual((await scene.client.receive_response()).body, b"hi")
                    self.assertEqual(await self.ending(scene.router), GOOD)
                    self.pooled = False
                    await self.assert_open(scene.client, scene.backend)

    async def test_many_requests(self) -> None:
        """Rule 19: one connection carries requests of every kind, one after the other."""
        scene = await self.scene(keepalive="default")
        scene.server.send(OK)
        await scene.client.receive_response()
        for request in (
            GET,
            HEAD,
            post(5) + b"hello",
            post(0),
            GET,
            b"PURGE /x HTTP/1.1\r\nHost: y\r\n\r\n",
        ) * 5:
            with self.row(request):
                scene.client.send(request)
                got = await scene.server.receive_request()
                self.assertEqual(got.body, b"hello" if b"hello" in request else b"")
                scene.server.send(OK[:-2] if got.method == "HEAD" else OK)
                await scene.client.receive_response(got.method.encode())
        self.assertEqual(len(scene.backend.connections), 1)
        self.assertEqual(scene.router.count("terminate"), 31)

    async def test_client_closes_between_requests(self) -> None:
        """Rule 19: a client that leaves between two requests ends nothing but its own connection."""
        for end in ("close", "abort", "half_close"):
            with self.row(end):
                scene = await self.scene(keepalive="default")
                scene.server.send(OK)
                await scene.client.receive_response()
                self.assertEqual(await self.ending(scene.router), GOOD)
                getattr(scene.client, end)()
                await self.until(lambda s=scene: not s.proxy.factory.connections)
                self.assertEqual(len(scene.proxy.factory.client.pool), 1)
                self.assertEqual(scene.router.count("init"), 1)


class Settled(Conversation):
    """What is settled about it."""

    async def test_clients_close_unpools_nothing(self) -> None:
        """Settled: a client's ``Connection: close`` does not unpool a ``"default"`` back-end connection."""
        scene = await self.scene(GET[:-2] + b"Connection: close\r\n\r\n", keepalive="default")
        scene.server.send(OK)
        await scene.client.receive_response()
        self.assertEqual(await scene.client.closed(), "clean")
        client = await scene.proxy.connect()
        client.send(GET)
        await scene.server.receive_request()
        scene.server.send(OK)
        await client.receive_response()
        self.assertEqual(len(scene.backend.connections), 1)

    async def test_half_closed_client(self) -> None:
        """Settled: a client that half-closes after a whole request gets its answer, and the end behind it."""
        for request in (GET, post(5) + b"hello", GET[:-2] + b"Connection: close\r\n\r\n"):
            for body in [*BODIES, b"\r\nhi"]:
                with self.row(request, body):
                    scene = await self.scene(request)
                    scene.client.half_close()
                    await self.turns()
                    scene.server.send(b"HTTP/1.1 200 OK\r\n" + body)
                    scene.server.close()
                    response = await scene.client.receive_response()
                    self.assertEqual((response.body, response.header("Connection")), (b"hi", "close"))
                    self.assertEqual(await scene.client.closed(), "clean")
                    self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_half_closed_at_once(self) -> None:
        """Settled: the same where request and end come in one go, and where several requests came."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend))
        client = await proxy.connect()
        client.send(GET * 3)
        client.half_close()
        for _ in range(3):
            server = await backend.accept()
            await server.receive_request()
            server.send(OK)
            self.assertEqual((await client.receive_response()).body, b"hi")
            self.assertEqual(await self.ending(proxy.router), GOOD)
        self.assertEqual((await client.closed(), client.unread), ("clean", b""))

    async def test_error_page_keeps(self) -> None:
        """Settled: a router's error page keeps the connection when the request's body has been read."""
        for request in (GET, HEAD, post(5) + b"hello"):
            for keeps in (True, False):
                with self.row(request, keeps):
                    proxy = await self.proxy(router_to(lookup_domain_name=RouteError("not_found")))
                    client = await proxy.connect()
                    for _ in range(3 if keeps else 1):
                        close = b"\r\nConnection: close\r\n\r\n"
                        client.send(request if keeps else request.replace(b"\r\n\r\n", close))
                        response = await client.receive_response(request.partition(b" ")[0])
                        self.assertEqual(response.status, 404)
                        self.assertEqual(response.header("Connection"), "keep-alive" if keeps else "close")
                        await self.assert_ends(proxy.router, "lookup", "not_found", "error")
                    if not keeps:
                        self.assertEqual(await client.closed(), "clean")

    async def test_error_page_before_the_body(self) -> None:
        """Settled: with the body still to come, an error page says ``close``, and the connection ends."""
        for request in (post(5) + b"hell", post(5)):
            with self.row(request):
                proxy = await self.proxy(router_to(lookup_domain_name=RouteError("not_found")))
                client = await proxy.connect()
                client.send(request)
                response = await client.receive_response()
                self.assertEqual((response.status, response.header("Connection")), (404, "close"))
                await client.eof()
                client.send(GET)
                await self.turns()
                self.assertEqual(proxy.router.count("init"), 1)

    async def test_error_page_has_its_fields(self) -> None:
        """Rule 18: error pages carry ``Date``, ``Content-Length`` and ``Connection``; to HEAD without the body."""
        router = router_to(
            checkout_service=RouteError("x"),
            error_page=ErrorPage(503, [("A", "1"), ("Server", "me")], b"sorry"),
        )
        proxy = await self.proxy(router)
        client = await proxy.connect()
        for request, body in ((GET, b"sorry"), (HEAD, b""), (GET, b"sorry")):
            client.send(request)
            response = await client.receive_response(request.partition(b" ")[0])
            names = [name for name, _ in response.headers]
            self.assertEqual(sorted(names), ["A", "Connection", "Content-Length", "Date", "Server"])
            self.assertEqual((response.header("Content-Length"), response.body), ("5", body))
            self.assertEqual(response.header("Server"), "me")

    async def test_stages_answer_keeps(self) -> None:
        """Rule 19: so does an answer of a middleware's."""
        router = router_to()
        proxy = await self.proxy(router, middlewares=[lambda request: Response(200, [], b"pong")])
        client = await proxy.connect()
        for _ in range(3):
            client.send(post(5) + b"hello")
            response = await client.receive_response()
            self.assertEqual((response.body, response.header("Connection")), (b"pong", "keep-alive"))
            await self.assert_ends(router, "lookup", "normal", "normal")

    async def test_draining(self) -> None:
        """Rule 19: a proxy that drains says ``close`` with each response, and means it."""
        scene = await self.scene()
        scene.proxy.factory.draining = True
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).header("Connection"), "close")
        self.assertEqual(await scene.client.closed(), "clean")
