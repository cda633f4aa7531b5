"""What connections remember of the last head: it saves time, and must never change what goes on (rules 10, 23)."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.defer import Deferred

from vegurtx import Response, default_middlewares
from vegurtx.testing import ProxyTestCase, router_to

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"
NEW = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Remembered(ProxyTestCase):
    """Equal heads on one back-end connection, for clients of different kinds."""

    async def test_old_and_new_clients(self) -> None:
        """Rules 10 and 23: an HTTP/1.0 client's response says nothing about the next client's."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        server: Any = None
        for request in (OLD, NEW, OLD, NEW, NEW):
            client = await proxy.connect()
            client.send(request)
            server = server or await backend.accept()
            await server.receive_request()
            server.send(CHUNKED)
            raw = await client.receive_all()
            self.assertEqual(b"Transfer-Encoding: chunked\r\n" in raw, request is NEW, raw)
            self.assertEqual(
                raw.partition(b"\r\n\r\n")[2], b"5\r\nhello\r\n0\r\n\r\n" if request is NEW else b"hello"
            )
        self.assertEqual(len(backend.connections), 1)

    async def test_requests(self) -> None:
        """Rule 23: the same fields with another version, target or method are another request."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect()
        server: Any = None
        fields = b"Host: x\r\nConnection: keep-alive\r\nX-Request-Id: 0123456789abcdefghij\r\n\r\n"
        for line in (
            b"GET /a HTTP/1.1",
            b"PUT /b HTTP/1.1",
            b"GET /c HTTP/1.0",
            b"GET http://y/d HTTP/1.1",
            b"GET /e HTTP/1.1",
        ):
            client.send(line + b"\r\n" + fields)
            server = server or await backend.accept()
            request = await server.receive_request()
            method, target, _ = line.decode().split()
            self.assertEqual((request.method, request.target), (method, target.removeprefix("http://y")))
            self.assertEqual(request.header("host"), "y" if "y" in target else "x")
            server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await client.receive_response(method.encode())

    async def test_long_heads_are_forgotten(self) -> None:
        """Rule 3: an idle connection holds on to no long head."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect()
        long = b"".join(b"X-%d: %s\r\n" % (number, b"v" * 1000) for number in range(20))
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + long + b"\r\n")
        server = await backend.accept()
        await server.receive_request()
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + long + b"\r\n")
        await client.receive_response()
        (connection,) = proxy.factory.connections
        (idle,) = proxy.factory.client.pool
        self.assertIsNone(connection._last)
        self.assertIsNone(idle._last)


class Late(ProxyTestCase):
    """Answers that come when nobody waits for them any more, and answers in place of the back-end's."""

    async def test_late_continue(self) -> None:
        """Rule 8: a router that still answers after its deadline draws no 100 into a later response."""
        backend = await self.backend()
        release: Deferred[None] = Deferred()

        async def feature(name: str, *_: Any) -> bool:
            if name == "deep_continue":
                try:
                    await Deferred()
                except BaseException:
                    await release
            return False

        router = router_to(backend, feature=feature)
        proxy = await self.proxy(router, router_timeout=50)
        client = await proxy.connect()
        client.send(b"GET /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual((await client.receive_response()).status, 503)
        client.send(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        server = await backend.accept()
        await server.receive_request()
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await client.receive_until(b"hello")
        release.callback(None)
        await self.turns(3)
        server.send(b"world")
        self.assertEqual(await client.receive(5), b"world")
        self.flushLoggedErrors()

    async def test_answer_with_a_connection_at_hand(self) -> None:
        """Rule 23: a stage behind the lookup answers by itself: the connection, never used, is pooled or closed."""
        for keepalive, idle in (("default", 1), (None, 0)):
            backend = await self.backend()
            router = router_to(backend, keepalive=keepalive)
            chain = default_middlewares()
            chain.insert(5, lambda request: Response(200, [], b"cached"))
            proxy = await self.proxy(router, middlewares=chain)
            client = await proxy.connect()
            for _ in range(3):
                client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual((await client.receive_response()).body, b"cached")
            self.assertEqual(len(proxy.factory.client.pool), idle)
            if keepalive is None:
                for _ in range(3):
                    await (await backend.accept()).closed()
            else:
                self.assertEqual(len(backend.connections), 1)

    async def test_late_headers_and_a_slow_client(self) -> None:
        """Rule 21: headers that the router takes its time over do not undo back-pressure."""
        backend = await self.backend()
        late: Deferred[Any] = Deferred()
        router = router_to(backend, additional_headers=lambda way, *_: late if way == "downstream" else ())
        proxy = await self.proxy(router)
        client = await proxy.connect(receive_buffer=4096)
        client.pause()
        await self.until(lambda: bool(proxy.factory.connections))
        (connection,) = proxy.factory.connections
        # so that what was held for the router is more than the kernel takes
        connection.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        server = await backend.accept()
        await server.receive_request()
        size = 64 << 20
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        await self.until(lambda: router.count("additional_headers") == 2)
        late.callback(())
        await self.turns(200)
        self.assertTrue(connection.full)
        self.assertLess(router.requests[0].exchange.link.received, size // 2)
