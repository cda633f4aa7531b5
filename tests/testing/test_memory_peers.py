"""Peers in memory: what they send, receive and refuse, how they end, and who waits for whom."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Backend
from vegurtx.testing import (
    ConversationError,
    MalformedMessage,
    MemoryConnection,
    MemoryProxy,
    PeerClosed,
    PeerSilent,
    response_bytes,
    router_to,
)

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = response_bytes(200, b"hi")
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"


class Peers(SynchronousTestCase):
    """A request that has reached its back-end."""

    def setUp(self) -> None:
        """A proxy; after the test nothing of it may be left."""
        self.proxy = MemoryProxy(router_to(Backend("127.0.0.1", 8081)))
        self.addCleanup(self.proxy.stop)
        self.backend = self.proxy.backend("127.0.0.1", 8081)

    def asked(self, request: bytes = GET) -> tuple[Any, MemoryConnection]:
        """A client, and the connection on which the back-end has got its request's head."""
        client = self.proxy.client()
        client.send(request)
        server = self.backend.accept()
        server.receive_head()
        return client, server


class Receiving(Peers):
    """What is there is consumed, what is not fails at once."""

    def test_silence(self) -> None:
        """It names what did not come, tells the story, and consumes nothing."""
        client, server = self.asked()
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
        for wait in (
            client.receive_response,
            client.receive_all,
            client.eof,
            client.closed,
            lambda: client.receive(1000),
            lambda: client.receive_until(b"?"),
        ):
            error = self.assertRaises(PeerSilent, wait)
            self.assertIn("checkout_service('x')", str(error))
        self.assertRaises(PeerSilent, self.backend.accept)
        server.send(b"llo")
        self.assertEqual(client.receive_response().body, b"hello")
        self.assertEqual((client.unread, len(client.segments)), (b"", 2))

    def test_end(self) -> None:
        """A connection that has ended says so."""
        client, server = self.asked()
        server.send(ENDLESS + b"hello")
        server.close()
        self.assertRaises(PeerClosed, client.receive, 1000)
        client.receive_head()
        self.assertEqual(client.receive_all(), b"hello")
        client.eof()
        self.assertEqual(client.closed(), "clean")

    def test_expect(self) -> None:
        """Exactly these bytes; the first one that differs fails."""
        client, server = self.asked(UPGRADE)
        server.send(SWITCHED)
        client.receive_head()
        server.send(b"abc")
        self.assertRaises(ConversationError, client.expect, b"abd")
        self.assertRaises(PeerSilent, client.expect, b"abcd")
        client.expect(b"ab")
        self.assertEqual(client.receive(1), b"c")

    def test_malformed(self) -> None:
        """A message that is none is not taken for one."""
        client, server = self.asked(UPGRADE)
        server.send(SWITCHED + b"GET  /\r\n\r\n")
        client.receive_head()
        self.assertRaisesRegex(MalformedMessage, "status line", client.receive_response)

    def test_reset(self) -> None:
        """An end in order is not had from a reset."""
        client, server = self.asked()
        server.send(OK[:-1])
        server.abort()
        self.assertRaises(PeerClosed, client.eof)
        self.assertRaises(PeerClosed, client.receive_response)
        self.assertEqual((client.closed(), client.received[-1:]), ("reset", b"h"))


class Sending(Peers):
    """What a peer may do with its own direction."""

    def test_mistakes(self) -> None:
        """To send behind one's own end is a mistake in the script; behind a reset it is lost."""
        client, _ = self.asked()
        client.half_close()
        self.assertRaisesRegex(ConversationError, "ended already", client.send, b"x")
        client, server = self.asked()
        client.close()
        self.assertRaisesRegex(ConversationError, "closed already", client.send, b"x")
        server.send(b"nobody is there")
        client, server = self.asked()
        server.send(b"nonsense")
        server.abort()
        server.send(b"x")

    def test_ends_more_than_once(self) -> None:
        """Ending what has ended does nothing."""
        for ends in ("half_close", "close", "abort"), ("abort", "close", "half_close"), ("close", "abort"):
            client, server = self.asked()
            for end in ends:
                getattr(client, end)()
                getattr(client, end)()
            server.send(OK)
            server.closed()
        self.proxy.idle()

    def test_request(self) -> None:
        """Requests from their parts."""
        client = self.proxy.client()
        client.send_request("POST", "http://x:81/a?b=c", [("X-A", "b")], b"body")
        server = self.backend.accept()
        request = server.receive_request()
        self.assertEqual((request.method, request.target, request.body), ("POST", "/a?b=c", b"body"))
        self.assertEqual((request.header("Host"), request.header("X-A")), ("x:81", "b"))
        server.send(response_bytes(204))
        self.assertEqual(client.receive_response().status, 204)
        client.send_request("HEAD", "http://x")
        self.backend.accept().send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
        self.assertEqual(client.receive_response(b"HEAD").header("Content-Length"), "7")


class Ends(Peers):
    """How an end here looks at the other side."""

    def test_close_beside_unread_bytes(self) -> None:
        """Closing while received bytes lie unread is a reset, as any kernel says it."""
        for paused, expected in ((False, "clean"), (True, "reset")):
            client, server = self.asked(UPGRADE)
            server.send(SWITCHED)
            client.receive_head()
            if paused:
                client.pause()
            server.send(b"news")
            client.close()
            self.assertEqual(server.closed(), expected)
            self.assertEqual(
                self.proxy.of("terminate")[-1].arguments, ("normal" if expected == "clean" else "error",)
            )

    def test_what_came_before_a_reset(self) -> None:
        """It is delivered, then the reset."""
        client, server = self.asked()
        client.pause()
        server.send(ENDLESS)
        server.send(b"x" * 70000)
        server.abort()
        client.resume()
        self.assertEqual(client.closed(), "reset")
        self.assertEqual(len(client.received.partition(b"\r\n\r\n")[2]), 70000)

    def test_pipe_carries_ends(self) -> None:
        """A half-close goes through, and the other direction goes on."""
        client, server = self.asked(UPGRADE)
        server.send(SWITCHED)
        client.receive_head()
        server.half_close()
        client.eof()
        client.send(b"more")
        server.expect(b"more")
        client.half_close()
        server.eof()
        self.proxy.idle()


class BackPressure(Peers):
    """A peer that does not read."""

    def test_client(self) -> None:
        """It takes in its window; the proxy buffers its share, then the back-end waits. All arrives in the end."""
        client, server = self.asked()
        client.window = 1000
        client.pause()
        server.send(ENDLESS)
        for _ in range(100):
            server.send(b"x" * 10000)
        self.assertTrue(server.held_back)
        taken = 1_000_000 - server.unsent
        self.assertTrue(65536 < taken < 3 * 65536, taken)
        self.assertEqual(client.received, b"")
        client.resume()
        self.assertEqual((server.held_back, server.unsent), (False, 0))
        server.close()
        client.receive_head()
        self.assertEqual(len(client.receive_all()), 1_000_000)

    def test_backend(self) -> None:
        """The same the other way."""
        client, server = self.asked(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        server.pause()
        client.send(b"x" * 1_000_000)
        self.assertTrue(client.held_back)
        self.assertGreater(client.unsent, 600_000)
        server.resume()
        self.assertEqual((client.held_back, client.unsent), (False, 0))
        self.assertEqual(len(server.receive(1_000_000)), 1_000_000)

    def test_reader_that_comes_and_goes(self) -> None:
        """Nothing is lost, doubled or moved when reading is paused again and again."""
        client, server = self.asked(UPGRADE)
        server.send(SWITCHED)
        client.receive_head()
        data = bytes(range(256)) * 2048
        for at in range(0, len(data), 32768):
            client.pause()
            server.send(data[at : at + 32768])
            if at % 3:
                client.resume()
        client.resume()
        client.expect(data)

    def test_a_reset_is_not_noticed_while_nobody_reads(self) -> None:
        """As with sockets: a proxy that has paused reading learns of a reset when it reads again or writes."""
        client, server = self.asked()
        client.pause()
        server.send(ENDLESS)
        server.send(b"x" * 500_000)
        server.abort()
        self.assertEqual(self.proxy.of("terminate"), [])
        client.resume()
        self.assertEqual(self.proxy.of("terminate")[0].arguments, ("error",))
