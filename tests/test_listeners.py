"""`start_http`, `start_https` and `start_proxy`: one call, and a proxy listens."""

from __future__ import annotations

import ssl
from typing import Any

from twisted.internet.interfaces import IListeningPort
from zope.interface.verify import verifyObject

from vegurtx import start_http, start_https, start_proxy
from vegurtx.net.certificates import CertificateError, Certificates
from vegurtx.testing import ProxyTestCase, answering, client_context, router_to, self_signed

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Listeners(ProxyTestCase):
    """What a user starts with one call."""

    async def asked(self, proxy: Any, **options: Any) -> Any:
        """Ask once; returns what ALPN settled on."""
        client = await proxy.connect(**options)
        client.send(GET)
        response = await client.receive_response()
        self.assertEqual((response.status, response.body), (200, b"hi"))
        protocol = getattr(client, "application_protocol", None)
        client.close()
        return protocol

    async def started(self, listening: Any, router: Any) -> Any:
        """The running proxy behind a port."""
        port = await listening
        return self.running(port, router=router, factory=port.proxy)

    async def test_http(self) -> None:
        """start_http listens, and takes settings by name."""
        backend = await self.backend(handler=answering(OK))
        router = router_to(backend)
        proxy = await self.started(
            start_http(0, router, interface="127.0.0.1", reactor=self.reactor, request_id_name="X-Id"), router
        )
        await self.asked(proxy)
        self.assertEqual(proxy.factory.settings.request_id_name, "X-Id")

    async def test_proxy(self) -> None:
        """Rule 25: start_proxy takes its clients' addresses from PROXY headers."""
        backend = await self.backend(handler=answering(OK))
        router = router_to(backend)
        proxy = await self.started(
            start_proxy(0, router, interface="127.0.0.1", reactor=self.reactor), router
        )
        client = await proxy.connect()
        client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 4321 443\r\n" + GET)
        self.assertEqual((await client.receive_response()).status, 200)
        self.assertEqual(router.requests[0].peer.host, "192.0.2.7")

    async def test_https(self) -> None:
        """Rule 26: start_https speaks TLS, says so to the router and to the back-end, and offers http/1.1 by ALPN."""
        backend = await self.backend(handler=answering(OK))
        router = router_to(backend)
        certificate = self_signed("a.example")
        paths = [str(path) for path in certificate.save(self.folder())]
        proxy = await self.started(
            start_https(
                0,
                router,
                certificate=paths[0],
                private_key=paths[1],
                interface="127.0.0.1",
                reactor=self.reactor,
            ),
            router,
        )
        context = client_context(certificate, protocols=("h2", "http/1.1"))
        self.assertEqual(await self.asked(proxy, tls=context, server_name="a.example"), "http/1.1")
        (request,) = router.requests
        self.assertEqual((request.tls[0], request.tls[2]), ("TLSv1.3", "a.example"))

    async def test_several_certificates(self) -> None:
        """Rule 26: of a folder's certificates the one is sent that is for the name; a wildcard's for one label."""
        backend = await self.backend(handler=answering(OK))
        router = router_to(backend)
        folder = self.folder()
        certificates = {name: self_signed(name) for name in ("a.example", "b.example", "*.c.example")}
        for number, certificate in enumerate(certificates.values()):
            (folder / f"{number}.crt").write_bytes(certificate.certificate)
            (folder / f"{number}.key").write_bytes(certificate.key)
        proxy = await self.started(
            start_https(0, router, certificate=str(folder), interface="127.0.0.1", reactor=self.reactor),
            router,
        )
        for asked, sent in {
            "a.example": "a.example",
            "B.example": "b.example",
            "x.c.example": "*.c.example",
        }.items():
            await self.asked(proxy, tls=client_context(certificates[sent]), server_name=asked)
        with self.assertRaises(ssl.SSLError):
            await self.asked(
                proxy, tls=client_context(certificates["a.example"]), server_name="y.x.c.example"
            )

    async def test_stop_listening(self) -> None:
        """``stopListening`` ends the listening alone: a client that is here is served on, a new one is refused."""
        backend = await self.backend(handler=answering(OK))
        port = await start_http(0, router_to(backend), interface="127.0.0.1", reactor=self.reactor)
        proxy = self.running(port, factory=port.proxy)
        client = await proxy.connect()
        client.send(GET)
        await client.receive_response()
        await port.stopListening()
        with self.assertRaises(OSError):
            await proxy.connect()
        client.send(GET)
        self.assertEqual((await client.receive_response()).body, b"hi")

    async def test_stop(self) -> None:
        """``stop`` ends everything: connections of clients and to back-ends, timers (the case looks for these)."""
        backend = await self.backend(handler=answering(OK))
        port = await start_http(
            0, router_to(backend, keepalive="default"), interface="127.0.0.1", reactor=self.reactor
        )
        proxy = self.running(port)  # without its factory: nobody but `stop` ends it
        client = await proxy.connect()
        client.send(GET)
        await client.receive_response()
        await port.stop()
        await client.closed()
        await backend.connections[0].closed()
        with self.assertRaises(OSError):
            await proxy.connect()
        await port.stop()  # once more is no harm

    async def test_is_a_listening_port(self) -> None:
        """What is given is an `IListeningPort`, and knows its address and its proxy."""
        port = await start_proxy(0, router_to(), interface="127.0.0.1", reactor=self.reactor, max_headers=5)
        self.running(port, factory=port.proxy)
        verifyObject(IListeningPort, port)
        self.assertEqual(port.proxy.settings.max_headers, 5)
        self.assertIn(str(port.getHost().port), repr(port))
        self.assertGreater(port.fileno(), 0)

    async def test_tls_1_1_refused(self) -> None:
        """Rule 26: TLS 1.2 and newer only."""
        certificate = self_signed("a.example")
        paths = [str(path) for path in certificate.save(self.folder())]
        router = router_to()
        proxy = await self.started(
            start_https(
                0,
                router,
                certificate=paths[0],
                private_key=paths[1],
                interface="127.0.0.1",
                reactor=self.reactor,
            ),
            router,
        )
        context = client_context(certificate)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises(OSError):
            await self.asked(proxy, tls=context, server_name="a.example")


class CertificateFiles(ProxyTestCase):
    """Certificates that cannot be used are one clear line."""

    def test_misuse(self) -> None:
        """The file that is at fault is named."""
        folder = self.folder()
        good, other = self_signed("a"), self_signed("b")
        certificate, key = good.save(folder)
        (folder / "other.key").write_bytes(other.key)
        (folder / "text").write_text("nothing")
        empty = folder / "empty"
        empty.mkdir()
        cases = [
            (folder / "missing", key, "missing: No such file"),
            (folder / "text", key, "no PEM certificate"),
            (certificate, folder / "text", "no PEM private key"),
            (certificate, folder / "other.key", "is not this certificate's"),
            (empty, None, "no certificate in this folder"),
            (empty, key, "a folder has the keys beside their certificates"),
        ]
        for path, private, message in cases:
            with self.assertRaises(CertificateError) as caught:
                Certificates(str(path), None if private is None else str(private))
            self.assertIn(message, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))

    def test_reload(self) -> None:
        """Read again, a broken file changes nothing."""
        folder = self.folder()
        certificate, key = self_signed("a").save(folder)
        certificates = Certificates(str(certificate), str(key))
        before = certificates.context
        certificate.write_text("broken")
        with self.assertRaises(CertificateError):
            certificates.reload()
        self.assertIs(certificates.context, before)
        self_signed("a").save(folder)
        certificates.reload()
        self.assertIsNot(certificates.context, before)
