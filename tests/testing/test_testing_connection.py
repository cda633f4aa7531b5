"""The scripted peers against each other, over real sockets and without a proxy."""

from __future__ import annotations

import socket
from pathlib import Path

from twisted.trial.unittest import TestCase

from vegurtx.testing import (
    ConversationError,
    MalformedMessage,
    PeerClosed,
    PeerSilent,
    ProxyTestCase,
    ScriptedConnection,
    SecureConnection,
    answering,
    client_context,
    self_signed,
    server_context,
)
from vegurtx.testing.errors import shown
from vegurtx.testing.stream import Stream


class Conversations(ProxyTestCase):
    """What each end sees of the other."""

    async def pair(self) -> tuple[ScriptedConnection, ScriptedConnection]:
        """A client and the back-end's end of the same connection."""
        backend = await self.backend()
        client = await self.connect(backend.address)
        return client, await backend.accept()

    async def test_exchange(self) -> None:
        """A request and its response, read by their framing."""
        client, server = await self.pair()
        client.send(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET")
        request = await server.receive_request()
        self.assertEqual((request.method, request.body), ("POST", b"abc"))
        self.assertEqual(await server.receive(3), b"GET")
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        self.assertEqual((await client.receive_response()).body, b"hi")
        client.close()
        self.assertEqual(await server.closed(), "clean")

    async def test_addresses(self) -> None:
        """Each end knows both addresses."""
        client, server = await self.pair()
        self.assertEqual((client.local, client.peer), (server.peer, server.local))

    async def test_segments(self) -> None:
        """What is sent when it has been received before is a segment of its own."""
        client, server = await self.pair()
        for piece in (b"one", b"two"):
            client.send(piece)
            await server.expect(piece)
        self.assertEqual(server.segments, [b"one", b"two"])
        self.assertEqual((server.received, server.unread), (b"onetwo", b""))

    async def test_expect_differs(self) -> None:
        """`expect` fails with the first byte that differs, without waiting for the rest."""
        client, server = await self.pair()
        client.send(b"heX")
        with self.assertRaisesRegex(ConversationError, "heX"):
            await server.expect(b"hello")

    async def test_end_in_order(self) -> None:
        """A half-closed direction ends; the other one goes on."""
        client, server = await self.pair()
        client.send(b"question")
        client.half_close()
        self.assertEqual(await server.receive_all(), b"question")
        server.send(b"answer")
        server.close()
        self.assertEqual(await client.receive_all(), b"answer")
        self.assertEqual(await client.closed(), "clean")

    async def test_reset(self) -> None:
        """A reset is told from an orderly end, and what came before it is kept."""
        client, server = await self.pair()
        client.send(b"half a")
        client.abort()
        self.assertEqual(await server.closed(), "reset")
        self.assertEqual(server.unread, b"half a")

    async def test_reset_seen_by_send(self) -> None:
        """The reset still counts where it is a `send` that meets it first."""
        client, server = await self.pair()
        client.send(b"before")
        await server.expect(b"before")
        server.pause()
        client.send(b"last")
        client.abort()
        server.send(b"too late")
        self.assertEqual(await server.closed(), "reset")
        self.assertEqual(server.unread, b"last")
        server.send(b"nobody hears it")

    async def test_end_then_send(self) -> None:
        """An orderly end stays one although what is sent after it meets a reset."""
        client, server = await self.pair()
        client.close()
        await server.eof()
        server.send(b"1")
        await self.turns()
        server.send(b"2")
        self.assertEqual(await server.closed(), "clean")

    async def test_reset_while_waiting(self) -> None:
        """A wait for bytes fails when the connection ends, and says what came."""
        client, server = await self.pair()
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")
        client.abort()
        with self.assertRaisesRegex(PeerClosed, "short"):
            await server.receive_response()
        with self.assertRaises(PeerClosed):
            await server.eof()

    async def test_silence(self) -> None:
        """A wait is bounded, and says what came."""
        client, server = await self.pair()
        client.send(b"not a head")
        server.timeout = 0.05
        with self.assertRaisesRegex(PeerSilent, "not a head"):
            await server.receive_head()

    async def test_malformed(self) -> None:
        """A message that is not correct names the peer and shows the bytes."""
        client, server = await self.pair()
        client.send(b"HTTP/1.1 2000 OK\r\n\r\n")
        with self.assertRaisesRegex(MalformedMessage, "back-end 1 connection 1.*2000"):
            await server.receive_response()

    async def test_big(self) -> None:
        """More than the kernel holds goes through while the reactor turns; an end waits for it."""
        client, server = await self.pair()
        data = bytes(range(256)) * 40_000
        client.send(data)
        client.close()
        self.assertEqual(await server.receive_all(), data)

    async def test_back_pressure(self) -> None:
        """A peer that has paused receives nothing until it resumes."""
        backend = await self.backend(receive_buffer=4096)
        client = await self.connect(backend.address)
        server = await backend.accept()
        server.pause()
        client.send(b"x" * 5_000_000)
        await self.turns(5)
        self.assertEqual(server.received, b"")
        server.resume()
        self.assertEqual(len(await server.receive(5_000_000)), 5_000_000)

    async def test_send_after_end(self) -> None:
        """Sending after closing is a mistake in the script."""
        client, _ = await self.pair()
        client.half_close()
        with self.assertRaises(ConversationError):
            client.send(b"x")

    async def test_unix(self) -> None:
        """The peers speak over a UNIX socket too."""
        path = str(self.folder() / "socket")
        backend = await self.backend(path=path)
        client = await self.connect(path)
        server = await backend.accept()
        client.send(b"x")
        await server.expect(b"x")
        backend.stop()
        self.assertFalse(Path(path).exists())

    async def test_source(self) -> None:
        """A client can come from another loopback address."""
        backend = await self.backend()
        await self.connect(backend.address, source="127.0.0.7")
        self.assertEqual((await backend.accept()).peer[0], "127.0.0.7")

    async def test_answering(self) -> None:
        """A back-end with a handler plays by itself, request after request."""
        backend = await self.backend(
            handler=answering(lambda request: b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + request.body)
        )
        client = await self.connect(backend.address)
        for body in (b"1", b"2"):
            client.send(b"PUT / HTTP/1.1\r\nContent-Length: 1\r\n\r\n" + body)
            self.assertEqual((await client.receive_response()).body, body)

    async def test_refusing(self) -> None:
        """The address that refuses does so."""
        address = await self.refusing_backend()
        with self.assertRaises(ConnectionRefusedError):
            await self.connect((address.host, address.port))

    async def test_silent(self) -> None:
        """The address that is silent lets nobody in."""
        address = await self.silent_backend()
        self.patience = 0.1
        with self.assertRaises(PeerSilent):
            await self.connect((address.host, address.port))

    async def test_accept_in_order(self) -> None:
        """Connections are taken in the order they came, and nobody waits for ever."""
        backend = await self.backend()
        clients = [await self.connect(backend.address) for _ in range(3)]
        taken = [await backend.accept() for _ in clients]
        self.assertEqual([each.peer for each in taken], [each.local for each in clients])
        backend.timeout = 0.05
        with self.assertRaisesRegex(PeerSilent, "has had 3 connections"):
            await backend.accept()


class Secure(ProxyTestCase):
    """The same over TLS."""

    async def secure_pair(self) -> tuple[SecureConnection, SecureConnection]:
        """Both ends of a connection whose names are checked."""
        certificate = self_signed("back.example")
        backend = await self.backend(tls=server_context(certificate, self.folder()))
        client = await self.connect(
            backend.address, tls=client_context(certificate), server_name="back.example"
        )
        server = await backend.accept()
        assert isinstance(client, SecureConnection)
        assert isinstance(server, SecureConnection)
        return client, server

    async def test_exchange(self) -> None:
        """Bytes go both ways, also more than one record."""
        client, server = await self.secure_pair()
        data = bytes(range(256)) * 2000
        client.send(data)
        await server.expect(data)
        self.assertTrue(client.protocol.startswith("TLSv1."))
        server.send(data)
        server.close()
        self.assertEqual(await client.receive_all(), data)
        self.assertEqual(await client.closed(), "clean")

    async def test_truncated(self) -> None:
        """An end without `close_notify` is no orderly end."""
        client, server = await self.secure_pair()
        socket.socket.shutdown(server._socket, socket.SHUT_WR)
        self.assertEqual(await client.closed(), "reset")

    async def test_wrong_name(self) -> None:
        """A certificate for another name fails the handshake, at both ends."""
        certificate = self_signed("back.example")
        backend = await self.backend(tls=server_context(certificate, self.folder()))
        with self.assertRaises(OSError):
            await self.connect(backend.address, tls=client_context(certificate), server_name="other.example")
        await self.until(lambda: backend.failures, "the back-end's handshake to fail")
        backend.failures.clear()


class Records(TestCase):
    """`Stream` and `shown`."""

    def test_search_goes_on(self) -> None:
        """A marker that comes in pieces is found, also when another was looked for between."""
        for between in (b"c", b"\r\n"):
            stream = Stream()
            stream.add(b"ab\r")
            self.assertIsNone(stream.take_until(b"\r\n"))
            self.assertIsNone(stream.take_until(between))
            stream.add(b"\nc")
            self.assertEqual(stream.take_until(b"\r\n"), b"ab\r\n")
            self.assertEqual(stream.take_until(b"c"), b"c")
            self.assertEqual(stream.segments(), [b"ab\r", b"\nc"])

    def test_same_marker_twice(self) -> None:
        """Where a marker was missed does not hide another that lies before it."""
        stream = Stream()
        stream.add(b"a|b|c")
        self.assertIsNone(stream.take_until(b"x"))
        self.assertEqual([stream.take_until(b"|") for _ in range(3)], [b"a|", b"b|", None])
        stream.add(b"|d|")
        self.assertEqual([stream.take_until(b"|") for _ in range(2)], [b"c|", b"d|"])

    def test_shown(self) -> None:
        """A long record is cut in its middle."""
        self.assertEqual(shown(b"abc"), "b'abc'")
        self.assertIn("9996 bytes cut", shown(b"x" * 10000, 4))
