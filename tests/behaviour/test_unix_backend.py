"""Back-ends that listen on UNIX sockets are back-ends as any other."""

from __future__ import annotations

import os
import socket
from typing import Any

from tests.behaviour.conversation import GET, OK, Pooling, post
from vegurtx import Backend
from vegurtx.testing import ScriptedConnection, ScriptedServer, router_to

LARGE = 2_000_000


class UnixBackends(Pooling):
    """`Backend.unix`."""

    async def listening(self) -> ScriptedServer:
        """A back-end on a UNIX socket."""
        return await self.backend(path=str(self.folder() / "socket"))

    async def test_request(self) -> None:
        """Rules 12, 13: the fields speak of the client and of its Host: the path is nowhere among them."""
        backend = await self.listening()
        proxy = await self.proxy(router_to(backend))
        client = await proxy.connect()
        client.send(b"GET /a?b HTTP/1.1\r\nHost: example.org:81\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
        server = await backend.accept()
        request = await server.receive_request()
        self.assertEqual((request.target, request.all("Host")), ("/a?b", ["example.org:81"]))
        self.assertEqual(request.header("X-Forwarded-For"), "192.0.2.1, 127.0.0.1")
        self.assertEqual(request.header("X-Forwarded-Port"), "81")
        self.assertEqual(request.header("Connection"), "close")
        assert backend.path is not None
        self.assertNotIn(backend.path.encode(), server.received)
        server.send(OK)
        self.assertEqual((await client.receive_response()).body, b"hi")
        await self.assert_ends(proxy.router, "connected", "normal", "normal")

    async def test_pooled(self) -> None:
        """Rule 23: its connections rest in the pool, by their path."""
        first, second = await self.listening(), await self.listening()
        proxy = await self.proxy(router_to(first, keepalive="default"))
        server = await self.served(proxy, first)
        await self.served(proxy, first, on=server)
        proxy.router.backends[:] = [second.as_backend("default")]
        other = await self.served(proxy, second)
        proxy.router.backends[:] = [first.as_backend("default")]
        await self.served(proxy, first, on=server)
        self.assertEqual((len(first.connections), len(second.connections)), (1, 1))
        self.assertEqual((len(proxy.factory.client.pool), other.arrival.value), (2, "open"))

    async def test_dead_in_pool(self) -> None:
        """Rule 23: one that died there is replaced, and nobody notices."""
        for leave in (ScriptedConnection.close, ScriptedConnection.abort):
            with self.row(leave):
                backend = await self.listening()
                proxy = await self.proxy(router_to(backend, keepalive="default"))
                server = await self.served(proxy, backend)
                leave(server)
                await self.until(lambda proxy=proxy: not len(proxy.factory.client.pool))
                self.assertIsNot(await self.served(proxy, backend), server)

    async def test_bodies(self) -> None:
        """A body goes there and another one back, also to peers that read late."""
        backend = await self.listening()
        scene = await self.scene(post(LARGE), backend=backend, whole=False)
        scene.server.pause()
        scene.client.send(b"x" * LARGE)
        await self.turns(20)
        scene.server.resume()
        self.assertEqual(await scene.server.receive(LARGE), b"x" * LARGE)
        scene.client.pause()
        scene.server.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * LARGE)
        scene.server.close()
        await self.turns(20)
        scene.client.resume()
        self.assertEqual((await scene.client.receive_response()).body, b"y" * LARGE)

    async def test_truncated(self) -> None:
        """Rule 21: a back-end that leaves in the middle breaks the client's connection off."""
        scene = await self.scene(backend=await self.listening())
        scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        await scene.client.receive_until(b"ab")
        scene.server.close()
        self.assertEqual(await scene.client.closed(), "reset")
        await self.assert_ends(scene.router, "connected", ("downstream", "closed"), "error")

    async def test_nobody(self) -> None:
        """Rule 22: no socket there is ``enoent``; one that nobody listens on, or no socket, ``econnrefused``."""
        folder = self.folder()
        left_over = str(folder / "left-over")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(left_over)
        (folder / "file").write_text("no socket")
        for path, word in [
            (str(folder / "absent"), "enoent"),
            (str(folder / "file" / "below"), "enotdir"),
            (left_over, "econnrefused"),
            (str(folder / "file"), "econnrefused"),
        ]:
            with self.row(path):
                await self.refused(Backend.unix(path), word)

    async def test_not_allowed(self) -> None:
        """Rule 22: a socket that the proxy may not use is ``eacces``."""
        backend = await self.listening()
        assert backend.path is not None
        os.chmod(backend.path, 0)
        if os.access(backend.path, os.W_OK):
            self.skipTest("root may use any socket")  # type: ignore[attr-defined]
        await self.refused(backend.as_backend(), "eacces")

    async def refused(self, way: Backend, word: str) -> None:
        """The connect fails so, and the router's next back-end serves the request."""
        backend = await self.backend()
        router = router_to(way, backend)
        client: Any = await (await self.proxy(router)).connect()
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        server.send(OK)
        self.assertEqual((await client.receive_response()).body, b"hi")
        client.close()
        self.assertEqual(router.of("checkin_service")[0].arguments[1:], (way, "connecting", word))
