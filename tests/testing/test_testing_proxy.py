"""The scripted peers on both sides of the real proxy: the shape in which its behaviour is tested."""

from __future__ import annotations

from vegurtx.testing import (
    ProxyTestCase,
    answering,
    client_context,
    context_factory,
    router_to,
    self_signed,
)

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Transcripts(ProxyTestCase):
    """One conversation each."""

    async def test_exchange(self) -> None:
        """A request and its response pass, twice on one connection, and the router is told of the end."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        client = await proxy.connect()
        client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        server = await backend.accept()
        for target in ("/a", "/b"):
            self.assertEqual((await server.receive_request()).target, target)
            server.send(HELLO)
            self.assertEqual((await client.receive_response()).body, b"hi")
            self.assertEqual(await proxy.router.finished, "normal")
            if target == "/a":
                client.send(b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual((proxy.router.count("checkin_service"), backend.waiting), (2, 0))

    async def test_refused_then_served(self) -> None:
        """The router's second back-end serves what the first refuses."""
        refusing = await self.refusing_backend()
        backend = await self.backend(handler=answering(HELLO))
        proxy = await self.proxy(router_to(refusing, backend))
        client = await proxy.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual((await client.receive_response()).status, 200)
        phases = [call.arguments[2:] for call in proxy.router.of("checkin_service")]
        self.assertEqual(phases[0], ("connecting", "econnrefused"))

    async def test_connect_timeout(self) -> None:
        """A setting reaches the proxy: a back-end that is silent is given up."""
        proxy = await self.proxy(router_to(await self.silent_backend()), downstream_connect_timeout=50)
        client = await proxy.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertGreaterEqual((await client.receive_response()).status, 500)
        self.assertEqual(await proxy.router.finished, "error")

    async def test_client_leaves(self) -> None:
        """A client that leaves is noticed on the other side."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend))
        client = await proxy.connect()
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        server = await backend.accept()
        await server.receive_request()
        client.abort()
        self.assertIn(await server.closed(), ("clean", "reset"))
        self.assertEqual(await proxy.router.finished, "error")

    async def test_tls(self) -> None:
        """A listener that speaks TLS."""
        certificate = self_signed("x.example")
        backend = await self.backend(handler=answering(HELLO))
        proxy = await self.proxy(router_to(backend), tls=context_factory(certificate))
        client = await proxy.connect(tls=client_context(certificate), server_name="x.example")
        client.send(b"GET / HTTP/1.1\r\nHost: x.example\r\n\r\n")
        self.assertEqual((await client.receive_response()).body, b"hi")
