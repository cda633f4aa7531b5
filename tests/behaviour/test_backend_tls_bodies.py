"""Rules 9, 16, 21 and 23 where the back-end speaks TLS: what goes through, how it ends, what is shared."""

from __future__ import annotations

import os
import random
import socket
from typing import Any

from tests.behaviour.conversation import CHUNKED_POST, GET, GOOD, OK, Ending, Scene, post
from tests.behaviour.secure_backends import NAME, Secure
from vegurtx import Backend, BackendTLS
from vegurtx.testing import ScriptedConnection, router_to

LARGE = 3_000_000
BLOB = random.Random(23).randbytes(LARGE)
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nab"


def cut_off(server: ScriptedConnection) -> None:
    """End the back-end's direction beneath TLS: a FIN without a ``close_notify``."""
    socket.socket.shutdown(server._socket, socket.SHUT_WR)


class Bodies(Secure):
    """Bytes in both directions."""

    async def asked(self, request: bytes = GET, *, whole: bool = True, **options: Any) -> Scene:
        """A request that has reached a back-end over TLS."""
        backend = await self.secure()
        proxy = await self.proxy(router_to(Backend(NAME, backend.port, tls=self.trusting(), **options)))
        return await self.scene(request, proxy=proxy, backend=backend, whole=whole)

    async def test_upload(self) -> None:
        """A large body with a length arrives byte for byte, also at a back-end that reads late."""
        scene = await self.asked(post(LARGE), whole=False)
        scene.server.pause()
        scene.client.send(BLOB)
        await self.turns(20)
        scene.server.resume()
        self.assertTrue(await scene.server.receive(LARGE) == BLOB)
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")

    async def test_chunked_upload(self) -> None:
        """And so does a chunked one."""
        scene = await self.asked(CHUNKED_POST, whole=False)
        for at in range(0, LARGE, 100_000):
            scene.client.send(b"%x\r\n%b\r\n" % (100_000, BLOB[at : at + 100_000]))
        scene.client.send(b"0\r\n\r\n")
        received = await scene.server.receive_until(b"\r\n0\r\n\r\n")
        self.assertGreater(len(received), LARGE)
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")

    async def test_download(self) -> None:
        """A large response comes home, whether it has a length or ends with ``close_notify``."""
        for head in (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE, b"HTTP/1.1 200 OK\r\n\r\n"):
            with self.row(head):
                scene = await self.asked()
                scene.client.pause()
                scene.server.send(head + BLOB)
                scene.server.close()
                await self.turns(20)
                scene.client.resume()
                self.assertTrue((await scene.client.receive_response()).body == BLOB)
                self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_forgotten(self) -> None:
        """What ended by its ``close_notify`` is nobody's: nothing waits for it to close."""
        backend = await self.secure()
        proxy, clock = await self.timed_proxy(router_to(Backend(NAME, backend.port, tls=self.trusting())))
        for _ in range(3):
            scene = await self.scene(proxy=proxy, backend=backend)
            scene.server.send(UNTIL_CLOSE)
            scene.server.close()
            self.assertEqual((await scene.client.receive_response()).body, b"ab")
            await self.turns()
        clock.advance(10)
        clock.advance(10)
        self.assertFalse(proxy.factory.client._closing)

    async def test_truncated(self) -> None:
        """Rule 21: an end without ``close_notify`` is no end of a body, with a length or without."""
        for part in (PART, UNTIL_CLOSE):
            for leave in (cut_off, ScriptedConnection.abort):
                with self.row(part, leave):
                    scene = await self.asked()
                    scene.server.send(part)
                    await scene.client.receive_until(b"ab")
                    leave(scene.server)
                    self.assertEqual(await scene.client.closed(), "reset")
                    ending = Ending("connected", ("downstream", "econnreset"), "error")
                    self.assertEqual(await self.ending(scene.router), ending)

    async def test_closed_before_its_end(self) -> None:
        """Rule 21: nor is an orderly one, where bytes are missing."""
        scene = await self.asked()
        scene.server.send(PART)
        await scene.client.receive_until(b"ab")
        scene.server.close()
        self.assertEqual(await scene.client.closed(), "reset")
        ending = Ending("connected", ("downstream", "closed"), "error")
        self.assertEqual(await self.ending(scene.router), ending)

    async def test_client_leaves(self) -> None:
        """Rule 21: a client that leaves ends the request there."""
        scene = await self.asked()
        scene.client.abort()
        await scene.server.closed()
        await self.assert_ends(scene.router, "connected", ("upstream", "closed"), "error")


class Shared(Secure):
    """Rule 23: pooled connections."""

    async def test_reuse(self) -> None:
        """Rule 23: one connection, and one handshake, for one request after the other."""
        backend = await self.secure()
        way = Backend(NAME, backend.port, keepalive="default", tls=self.trusting())
        proxy = await self.proxy(router_to(way))
        await self.ask(proxy, way)
        server = await backend.accept()
        for _ in range(4):
            await self.answer(proxy, server)
            await self.ask(proxy, way)
        await self.answer(proxy, server)
        self.assertEqual((len(backend.connections), self.asked_for), (1, [NAME]))

    async def ask(self, proxy: Any, way: Backend) -> None:
        """A client asks; it is `self.client`."""
        proxy.router.backends[:] = [way]
        self.client = await proxy.connect()
        self.client.send(GET)

    async def answer(self, proxy: Any, server: ScriptedConnection) -> None:
        """And is answered there."""
        await server.receive_request()
        server.send(OK)
        self.assertEqual((await self.client.receive_response()).body, b"hi")
        self.client.close()
        self.assertEqual(await self.ending(proxy.router), GOOD)

    async def test_equal(self) -> None:
        """Rule 23: equal values share connections, whoever made them."""
        backend = await self.secure()
        proxy = await self.proxy(router_to())
        await self.ask(proxy, Backend(NAME, backend.port, keepalive="default", tls=BackendTLS(ca=self.ca)))
        server = await backend.accept()
        await self.answer(proxy, server)
        await self.ask(proxy, Backend(NAME, backend.port, keepalive="default", tls=BackendTLS(ca=self.ca)))
        await self.answer(proxy, server)
        self.assertEqual(len(backend.connections), 1)
        self.assertEqual(len(proxy.factory.client._contexts), 1)

    async def test_different(self) -> None:
        """Rule 23: whatever differs in them keeps connections apart."""
        backend = await self.secure(NAME, "other.example", "127.0.0.1")
        copy = self.folder() / "copy.pem"
        copy.write_bytes(self.authority.certificate)
        both = self.authority.issue("proxy", usage="client").save(self.folder())
        shown = {"certificate": os.fspath(both[0]), "private_key": os.fspath(both[1])}
        ways = [
            Backend(host, backend.port, keepalive="default", tls=tls)
            for host, tls in [
                (NAME, self.trusting()),
                ("other.example", self.trusting()),
                (NAME, self.trusting(server_name="other.example")),
                (NAME, BackendTLS(verify=False)),
                (NAME, BackendTLS(ca=str(copy))),
                (NAME, self.trusting(alpn=())),
                (NAME, self.trusting(minimum="TLSv1.3")),
                (NAME, self.trusting(**shown)),
            ]
        ]
        proxy = await self.proxy(router_to())
        servers = []
        for way in ways:
            await self.ask(proxy, way)
            servers.append(await backend.accept())
            await self.answer(proxy, servers[-1])
        for way, server in zip(ways, servers, strict=True):
            await self.ask(proxy, way)
            await self.answer(proxy, server)
        self.assertEqual(len(backend.connections), len(ways))

    async def test_plain_apart(self) -> None:
        """Rule 23: a connection without TLS serves no request that wants it, nor the other way round."""
        backend = await self.secure()
        proxy = await self.proxy(router_to())
        tls = Backend(NAME, backend.port, keepalive="default", tls=self.trusting())
        await self.ask(proxy, tls)
        await self.answer(proxy, await backend.accept())
        await self.ask(proxy, Backend(NAME, backend.port, keepalive="default"))
        self.assertEqual((await self.client.receive_response()).status, 503)
        self.assertEqual(len(proxy.factory.client.pool), 1)
        await self.until(lambda: backend.failures)
        del backend.failures[:]

    async def test_dead(self) -> None:
        """Rule 23: a pooled connection that is dead is replaced, with a handshake of its own."""
        for leave in (ScriptedConnection.close, ScriptedConnection.abort):
            with self.row(leave):
                backend = await self.secure()
                way = Backend(NAME, backend.port, keepalive="default", tls=self.trusting())
                proxy = await self.proxy(router_to(way))
                await self.ask(proxy, way)
                server = await backend.accept()
                await self.answer(proxy, server)
                await self.ask(proxy, way)
                await server.receive_request()
                leave(server)
                await self.answer(proxy, await backend.accept())
                self.assertEqual(proxy.router.count("checkin_service"), 2)
