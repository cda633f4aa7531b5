"""Rule 26: a proxy that speaks TLS with its clients; what is said and how it ends, on a transport without half-close.

The proxy's side is `vegurtx.net.tls` over either reactor's transports, the client's a socket of Python's `ssl`.
"""

from __future__ import annotations

import random
import socket
import ssl
import warnings
from typing import Any

from tests.behaviour.conversation import CHUNKED_POST, GET, OK, Conversation, HandTurned, Scene, post
from vegurtx import Redirect
from vegurtx.proxy.factory import ProxyFactory
from vegurtx.testing import (
    RunningProxy,
    ScriptedConnection,
    ScriptedServer,
    SecureConnection,
    client_context,
    context_factory,
    router_to,
    self_signed,
)

NAME = "example.org"
UPGRADE = b"GET /chat HTTP/1.1\r\nHost: example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"
LARGE = 3_000_000
BLOB = random.Random(26).randbytes(LARGE)


def limited(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client's context that speaks this version only, however old."""
    context = client_context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is what they are here for
        context.minimum_version = context.maximum_version = version
    return context


def cut_off(client: ScriptedConnection) -> None:
    """End the client's direction beneath TLS: a FIN without a ``close_notify``."""
    socket.socket.shutdown(client._socket, socket.SHUT_WR)


class Https(Conversation):
    """A client that speaks TLS, before a proxy before a plain back-end."""

    async def stage(self, *, clock: bool = False, tls: bool = True, **options: Any) -> RunningProxy:
        """Start back-end and proxy; `options` are the router's answers, but for `keepalive`."""
        self.back: ScriptedServer = await self.backend()
        router = router_to(self.back, **options)
        certificate = context_factory(self_signed(NAME)) if tls else None
        if not clock:
            return await self.proxy(router, tls=certificate)
        self.clock = HandTurned(self.reactor)
        factory = ProxyFactory(router, {}, reactor=self.clock)
        return await self.listen(factory, router=router, tls=certificate)

    async def speak(
        self, proxy: RunningProxy, context: ssl.SSLContext | None = None, server_name: str | None = NAME
    ) -> SecureConnection:
        """A client that has done its handshake."""
        client = await proxy.connect(tls=context or client_context(), server_name=server_name)
        assert isinstance(client, SecureConnection)
        return client

    async def ask(self, request: bytes = GET, *, whole: bool = True, **options: Any) -> Scene:
        """A request that stands at its back-end."""
        proxy = await self.stage(**options)
        client = await self.speak(proxy)
        client.send(request)
        server = await self.back.accept()
        received = await server.receive_request() if whole else await server.receive_head()
        return Scene(self.back, proxy.router, proxy, client, server, received)


class Known(Https):
    """What the router and the back-end learn."""

    async def test_details(self) -> None:
        """Rule 26: `request.tls` has the protocol, the cipher and the name that the client asked for."""
        proxy = await self.stage()
        for version, name in [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]:
            for server_name in (NAME, "other.example", None):
                with self.row(name, server_name):
                    client = await self.speak(proxy, limited(version), server_name)
                    client.send(GET)
                    server = await self.back.accept()
                    await server.receive_request()
                    server.send(OK)
                    await client.receive_response()
                    tls = proxy.router.requests[-1].tls
                    self.assertEqual(tls.protocol, name)
                    self.assertEqual((tls.protocol, tls.cipher), (client.protocol, client.cipher))
                    self.assertEqual(tls.server_name, server_name)
                    self.assertIs(tls.application_protocol, None)

    async def test_known_from_init_on(self) -> None:
        """Rule 26: and it is there when ``init`` is called."""
        seen: list[Any] = []
        scene = await self.ask(init=lambda _, request: seen.append(request.tls))
        self.assertEqual(seen[0].protocol, "TLSv1.3")
        self.assertEqual(scene.router.requests[0].tls, seen[0])

    async def test_alpn(self) -> None:
        """Rule 26: the protocol that ALPN settled on; where there is none in common, it goes on without."""
        back = await self.backend()
        proxy = await self.proxy(router_to(back), tls=context_factory(self_signed(NAME)))
        for offered, settled in [(("h2", "http/1.1"), "http/1.1"), ((), None), (("h2",), None)]:
            client = await self.speak(proxy, client_context(protocols=offered))
            client.send(GET)
            await (await back.accept()).receive_request()
            self.assertEqual(client.application_protocol, settled)
            self.assertEqual(proxy.router.requests[-1].tls.application_protocol, settled)

    async def test_forwarded(self) -> None:
        """Rules 12, 26: ``X-Forwarded-Proto`` is https, the port `Host`'s or else 443."""
        proxy = await self.stage(keepalive="default")
        client = await self.speak(proxy)
        server: Any = None
        for host, port in [
            (NAME, "443"),
            (f"{NAME}:443", "443"),
            (f"{NAME}:8443", "8443"),
            (f"{NAME}:80", "80"),
        ]:
            with self.row(host):
                client.send(
                    f"GET / HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: http\r\n\r\n".encode("ascii")
                )
                server = server or await self.back.accept()
                request = await server.receive_request()
                self.assertEqual(request.all("X-Forwarded-Proto"), ["https"])
                self.assertEqual(request.all("X-Forwarded-Port"), [port])
                self.assertEqual(request.all("X-Forwarded-For"), ["127.0.0.1"])
                server.send(OK)
                await client.receive_response()

    async def test_redirect(self) -> None:
        """Settled: a redirect's scheme is https on TLS."""
        proxy = await self.stage(lookup_domain_name=lambda *_: Redirect("example.net"))
        client = await self.speak(proxy)
        client.send(b"GET /a?b HTTP/1.1\r\nHost: example.org\r\n\r\n")
        response = await client.receive_response()
        self.assertEqual((response.status, response.header("Location")), (301, "https://example.net/a?b"))


class Bodies(Https):
    """Bytes in both directions."""

    async def test_upload(self) -> None:
        """Rule 26: a large body with a length reaches the back-end, byte for byte."""
        scene = await self.ask(post(LARGE), whole=False)
        scene.client.send(BLOB)
        self.assertTrue(await scene.server.receive(LARGE) == BLOB)
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")

    async def test_chunked_upload(self) -> None:
        """Rule 26: and so does a chunked one."""
        proxy = await self.stage()
        client = await self.speak(proxy)
        client.send(CHUNKED_POST)
        for at in range(0, LARGE, 100_000):
            client.send(b"%x\r\n%b\r\n" % (100_000, BLOB[at : at + 100_000]))
        client.send(b"0\r\n\r\n")
        request = await (await self.back.accept()).receive_request()
        self.assertTrue(request.body == BLOB)

    async def test_download(self) -> None:
        """Rule 26: a large response comes home, also to a client that reads late."""
        for head in (
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE,
            b"HTTP/1.1 200 OK\r\n\r\n",
        ):
            with self.row(head):
                scene = await self.ask()
                scene.client.pause()
                scene.server.send(head + BLOB)
                scene.server.half_close()
                await self.until(lambda scene=scene: scene.proxy.factory.connections)
                await self.turns(20)
                scene.client.resume()
                response = await scene.client.receive_response()
                self.assertTrue(response.body == BLOB)
                await self.assert_ends(scene.router, "connected", "normal", "normal")

    async def test_keep_alive(self) -> None:
        """Rules 19, 26: one connection serves one request after the other."""
        proxy = await self.stage(keepalive="default")
        client = await self.speak(proxy)
        server: Any = None
        for number in range(3):
            client.send(GET)
            server = server or await self.back.accept()
            await server.receive_request()
            server.send(OK)
            response = await client.receive_response()
            self.assertEqual(response.header("Connection"), "keep-alive", number)
        self.assertEqual(len(self.back.connections), 1)
        self.assertEqual(proxy.router.count("terminate"), 3)

    async def test_pipelined(self) -> None:
        """Rules 7, 26: pipelined requests are answered in order."""
        proxy = await self.stage(keepalive="default")
        client = await self.speak(proxy)
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(5)))
        server = await self.back.accept()
        for number in range(5):
            request = await server.receive_request()
            self.assertEqual(request.target, f"/{number}")
            server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
            self.assertEqual((await client.receive_response()).body, b"%d" % number)

    async def test_tunnel(self) -> None:
        """Rules 9, 26: a WebSocket's bytes go both ways, also those that come with the handshakes."""
        scene = await self.ask(UPGRADE)
        scene.server.send(SWITCHING + b"first")
        head = await scene.client.receive_head()
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "))
        await scene.client.expect(b"first")
        blob = BLOB[:300_000]
        for _ in range(3):
            scene.client.send(blob)
            self.assertTrue(await scene.server.receive(len(blob)) == blob)
            scene.server.send(blob)
            self.assertTrue(await scene.client.receive(len(blob)) == blob)
        scene.client.close()
        await scene.server.eof()
        scene.server.close()
        await self.assert_ends(scene.router, "connected", "normal", "normal")


class Ends(Https):
    """How connections end that cannot be half-closed."""

    async def test_close(self) -> None:
        """Rules 19, 26: behind a last response comes a ``close_notify``: nothing was cut off."""
        scene = await self.ask(b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).header("Connection"), "close")
        self.assertEqual(await scene.client.closed(), "clean")

    async def test_truncated(self) -> None:
        """Rules 21, 26: behind a response that broke off there is none."""
        for leave in (ScriptedConnection.close, ScriptedConnection.abort):
            with self.row(leave):
                scene = await self.ask()
                scene.server.send(PART)
                await scene.client.receive_until(b"ab")
                leave(scene.server)
                self.assertEqual(await scene.client.closed(), "reset")
                self.assertEqual(scene.client.unread, b"")
                self.assertEqual((await self.ending(scene.router)).status, "error")

    async def test_client_cut_off_in_body(self) -> None:
        """Rules 21, 26: an upload that ends without its last byte is cancelled, ``close_notify`` or not."""
        for leave in (cut_off, ScriptedConnection.half_close, ScriptedConnection.abort):
            for request in (post(5) + b"ab", CHUNKED_POST + b"2\r\nab\r\n"):
                with self.row(leave, request):
                    scene = await self.ask(request, whole=False)
                    await scene.server.receive_until(b"ab")
                    leave(scene.client)
                    await scene.server.closed()
                    self.assertNotIn(b"0\r\n", scene.server.unread)
                    await self.assert_ends(scene.router, "connected", ("upstream", "closed"), "error")

    async def test_client_leaves_waiting(self) -> None:
        """Rules 21, 26: TLS has no half-close: who ends before the answer does not wait for it."""
        for leave in (cut_off, ScriptedConnection.close, ScriptedConnection.abort):
            with self.row(leave):
                scene = await self.ask()
                leave(scene.client)
                await scene.server.closed()
                await self.assert_ends(scene.router, "connected", ("upstream", "closed"), "error")

    async def test_client_leaves_in_response(self) -> None:
        """Rules 21, 26: nor for the rest of it."""
        for leave in (cut_off, ScriptedConnection.close, ScriptedConnection.abort):
            with self.row(leave):
                scene = await self.ask()
                scene.server.send(PART)
                await scene.client.receive_until(b"ab")
                leave(scene.client)
                await scene.server.closed()
                await self.assert_ends(scene.router, "connected", ("upstream", "closed"), "error")

    async def test_client_leaves_between(self) -> None:
        """Rule 26: between requests, any end is an end."""
        for leave in (
            cut_off,
            ScriptedConnection.half_close,
            ScriptedConnection.close,
            ScriptedConnection.abort,
        ):
            with self.row(leave):
                scene = await self.ask()
                scene.server.send(OK)
                await scene.client.receive_response()
                await self.ending(scene.router)
                leave(scene.client)
                await self.until(lambda scene=scene: not scene.proxy.factory.connections)
                self.assertEqual(scene.router.count("init"), 1)

    async def test_early_response(self) -> None:
        """Rules 20, 26: an early answer arrives whole, with its ``close_notify``, though the upload goes on."""
        scene = await self.ask(post(10_000_000) + b"ab", whole=False)
        scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE + BLOB)
        for _ in range(20):
            scene.client.send(b"more" * 10_000)
            await self.turns(1)
        response = await scene.client.receive_response()
        self.assertTrue(response.body == BLOB)
        self.assertEqual(response.header("Connection"), "close")
        self.assertEqual(await scene.client.closed(), "clean")
        await self.until(lambda: not scene.proxy.factory.connections)

    async def test_lingering_ends(self) -> None:
        """Rules 20, 26: a client that goes on sending behind its early answer is cut off after ``timeout``."""
        scene = await self.ask(post(10_000_000) + b"ab", whole=False, clock=True)
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).header("Connection"), "close")
        await self.ending(scene.router)
        connections = scene.proxy.factory.connections
        for _ in range(10):
            scene.client.send(b"more" * 10_000)
            await self.turns()
        self.clock.advance(61)
        await self.until(lambda: not connections, "the connection to be cut")

    async def test_slow_reader(self) -> None:
        """Rules 20, 26: one that reads slowly gets all of its early answer, on TLS and without."""
        body = BLOB[:300_000]  # so much the kernel takes from the proxy
        for tls in (client_context(), None):
            with self.row(tls):
                proxy = await self.stage(clock=True, tls=tls is not None)
                client = await proxy.connect(tls=tls, receive_buffer=4096)
                client.send(post(10_000_000) + b"ab")
                server = await self.back.accept()
                await server.receive_until(b"ab")
                client.pause()
                server.send(b"HTTP/1.1 413 No\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await self.ending(proxy.router)
                for _ in range(5):
                    self.clock.advance(6)
                    await self.turns()
                client.resume()
                self.assertTrue((await client.receive_response()).body == body)
                await client.eof()
                client.close()
                await self.until(lambda proxy=proxy: not proxy.factory.connections)

    async def test_rejection(self) -> None:
        """Rules 4, 26: what is no request gets its page, and a ``close_notify``."""
        proxy = await self.stage()
        client = await self.speak(proxy)
        client.send(b"nonsense\r\n\r\n")
        self.assertEqual((await client.receive_response()).status, 400)
        self.assertEqual(await client.closed(), "clean")
        self.assertEqual(proxy.router.calls, [])

    async def test_tunnel_cut_off(self) -> None:
        """Rules 9, 21, 26: a pipe whose client ends without a ``close_notify`` has broken off."""
        scene = await self.ask(UPGRADE)
        scene.server.send(SWITCHING)
        await scene.client.receive_head()
        cut_off(scene.client)
        self.assertEqual(await scene.server.closed(), "reset")
        await self.assert_ends(scene.router, "connected", ("upstream", "closed"), "error")


class Handshakes(Https):
    """Connections that never speak HTTP."""

    async def test_old_versions(self) -> None:
        """Rule 26: TLS 1.0 and 1.1 are refused by the proxy, also where the client would accept them."""
        proxy = await self.stage()
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with self.row(version):
                with self.assertRaises(ssl.SSLError) as caught:
                    await self.speak(proxy, limited(version))
                self.assertIn("ALERT_PROTOCOL_VERSION", str(caught.exception))
        await self.until(lambda: not proxy.factory.connections)
        await self.speak(proxy, limited(ssl.TLSVersion.TLSv1_2))
        self.assertEqual(proxy.router.calls, [])

    async def test_no_tls(self) -> None:
        """Rule 26: a client that speaks no TLS is left, and no byte of it is read as a request."""
        proxy = await self.stage()
        for said in (GET, b"\x16\x03\x01\x00\x05hello", b"\0" * 1000):
            with self.row(said):
                client = await proxy.connect()
                client.send(said)
                await client.closed()
                self.assertNotIn(b"HTTP", client.received)
        await self.until(lambda: not proxy.factory.connections)
        self.assertEqual(proxy.router.calls, [])

    async def test_left_in_handshake(self) -> None:
        """Rule 26: a client that leaves before its handshake is done leaves nothing behind."""
        proxy = await self.stage()
        for said in (b"", b"\x16\x03\x01\x02\x00\x01"):
            for leave in (ScriptedConnection.close, ScriptedConnection.abort):
                client = await proxy.connect()
                client.send(said)
                await self.turns()
                leave(client)
        await self.until(lambda: not proxy.factory.connections)
        self.assertEqual(proxy.router.calls, [])

    async def test_silent_in_handshake(self) -> None:
        """Rules 24, 26: a client that never ends its handshake is left after ``timeout``."""
        proxy = await self.stage(clock=True)
        for said in (b"", b"\x16\x03\x01\x02\x00\x01"):
            with self.row(said):
                client = await proxy.connect()
                client.send(said)
                await self.until(lambda: proxy.factory.connections)
                await self.turns()
                self.clock.advance(61)
                await client.closed()
                await self.until(lambda: not proxy.factory.connections)

    async def test_silent_behind_handshake(self) -> None:
        """Rules 24, 26: and so is one that says nothing behind it, with a ``close_notify``."""
        proxy = await self.stage(clock=True)
        client = await self.speak(proxy)
        await self.turns()
        self.clock.advance(61)
        self.assertEqual(await client.closed(), "clean")
        await self.until(lambda: not proxy.factory.connections)
