"""`bytes_sent` and `bytes_received`: every byte to and from the back-end, on each way that a request can take."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Backend
from vegurtx.testing import MemoryProxy, RecordingRouter
from vegurtx.testing.memory.connection import MemoryClient, MemoryConnection

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OLD_GET = b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
PUT = POST.replace(b"POST", b"PUT")
CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
SWITCH = b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n"
    b"2;extension\r\nhi\r\n000003\r\nyou\r\n0\r\nT: 1\r\n\r\n"
)

#: what a client says, and what the back-end says to it
WHOLE: dict[str, tuple[bytes, bytes]] = {
    "plain": (GET, OK),
    "HTTP/1.0": (OLD_GET, OK),
    "empty": (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "chunked response": (GET, CHUNKED),
    "chunked response, unchunked": (OLD_GET, CHUNKED),
    "HEAD": (HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
    "HEAD, chunked": (HEAD, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "304": (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
    "204": (GET, b"HTTP/1.1 204 No Content\r\n\r\n"),
    "interim responses": (GET, b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" * 2 + OK),
    "body": (POST + b"body", OK),
    "chunked body": (CHUNKED_POST + b"3;x=y\r\nbod\r\n1\r\ny\r\n0\r\nT: 1\r\n\r\n", OK),
    "error of the back-end's": (GET, b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\nno!"),
}


class Bytes(SynchronousTestCase):
    """A proxy in memory; each count is compared with what the back-end itself sent and received."""

    def stage(self, *, keepalive: Any = None, **settings: Any) -> None:
        """Start it."""
        self.router = RecordingRouter([Backend("10.0.0.1", 80, keepalive=keepalive)])
        self.proxy = MemoryProxy(self.router, settings)
        self.addCleanup(self.proxy.stop)
        self.back = self.proxy.backend("10.0.0.1", 80)

    def asked(self, request: bytes = GET) -> tuple[MemoryClient, MemoryConnection]:
        """A client has sent `request`, and the back-end has it."""
        client = self.proxy.client()
        client.send(request)
        return client, self.back.accept()

    def assert_counts(self, sent: int, received: int, which: int = -1) -> None:
        """Of a request that has ended."""
        request = self.router.requests[which]
        self.assertEqual((request.bytes_sent, request.bytes_received), (sent, received))
        self.assertIsNone(request.exchange)

    def test_whole_responses(self) -> None:
        """All of the head, the body and its framing count, in whatever pieces they come."""
        for name, (request, response) in WHOLE.items():
            for piece in (1, 7, 10_000):
                with self.subTest(name, piece=piece):
                    self.stage()
                    _, server = self.asked(request)
                    for at in range(0, len(response), piece):
                        server.send(response[at : at + piece])
                    self.assert_counts(len(server.received), len(response))

    def test_upload_in_pieces(self) -> None:
        """The same where the head comes alone, and the body a byte at a time."""
        for request in (POST + b"body", CHUNKED_POST + b"4\r\nbody\r\n0\r\n\r\n"):
            self.stage()
            head = request.index(b"\r\n\r\n") + 4
            client, server = self.asked(request[:head])
            for at in range(head, len(request)):
                client.send(request[at : at + 1])
            server.send(OK)
            self.assert_counts(len(server.received), len(OK))

    def test_until_close(self) -> None:
        """A body that ends by closing."""
        self.stage()
        _, server = self.asked()
        server.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        server.close()
        self.assert_counts(len(server.received), 24)

    def test_each_request_its_own(self) -> None:
        """On one connection of the client's and one of the back-end's, pipelined or not."""
        for pipelined in (False, True):
            self.stage(keepalive="default")
            requests = [GET, POST + b"body", HEAD, GET]
            responses = [OK, CHUNKED, WHOLE["HEAD"][1], OK]
            client = self.proxy.client()
            if pipelined:
                client.send(b"".join(requests))
            sent = 0
            for which, (request, response) in enumerate(zip(requests, responses, strict=True)):
                if not pipelined:
                    client.send(request)
                (server,) = self.back.connections
                length = len(server.received) - sent
                sent += length
                self.assertGreater(length, len(request))
                server.send(response)
                self.assert_counts(length, len(response), which)

    def test_callbacks(self) -> None:
        """The counts grow while the request goes on: ``additional_headers`` sees them, too."""
        seen: list[tuple[str, int, int]] = []

        def note(name: str, request: Any) -> None:
            seen.append((name, request.bytes_sent, request.bytes_received))

        self.stage(keepalive="default")
        self.router.on(
            additional_headers=lambda direction, log, request, state: note(direction, request) or (),
            checkin_service=lambda *arguments: note("checkin", arguments[4]),
            terminate=lambda status, request, state: note("terminate", request),
        )
        client, server = self.asked()
        sent = len(server.received)
        server.send(OK[:-2])
        server.send(OK[-2:])
        expected = [
            ("upstream", 0, 0),
            ("downstream", sent, len(OK) - 2),
            ("checkin", sent, len(OK)),
            ("terminate", sent, len(OK)),
        ]
        self.assertEqual(seen, expected)
        seen.clear()
        client.send(GET)  # over the same connection: from 0 again
        server.send(OK[:-2])
        server.send(OK[-2:])
        self.assertEqual(seen, expected)

    def test_tunnel(self) -> None:
        """Both directions of a byte pipe, with what came right behind the heads."""
        self.stage()
        client, server = self.asked(UPGRADE + b"early")
        head = len(server.received)
        server.send(SWITCH + b"hello")
        client.send(b"x" * 1000)
        server.send(b"y" * 2000)
        request = self.router.requests[0]
        self.assertEqual(request.bytes_sent, head + 1005)
        self.assertEqual(request.bytes_received, len(SWITCH) + 2005)
        client.half_close()
        server.send(b"z")
        server.close()
        self.assert_counts(head + 1005, len(SWITCH) + 2006)

    def test_broken_tunnel(self) -> None:
        """The same where it breaks off."""
        self.stage()
        client, server = self.asked(UPGRADE)
        head = len(server.received)
        server.send(SWITCH)
        client.send(b"abc")
        client.abort()
        self.assert_counts(head + 3, len(SWITCH))

    def test_pages(self) -> None:
        """The proxy's own pages are not the back-end's bytes; what was said before still is."""
        self.stage(downstream_timeout=5)
        self.router.backends.clear()
        client = self.proxy.client()
        client.send(GET)
        self.assertEqual(client.receive_response().status, 503)
        self.assert_counts(0, 0)
        self.stage(downstream_timeout=5)
        _, server = self.asked()
        self.proxy.advance(5)
        self.assert_counts(len(server.received), 0)
        self.stage()
        _, server = self.asked()
        server.send(b"nonsense\r\n\r\n")
        self.assert_counts(len(server.received), 12)
        self.stage()
        _, server = self.asked()
        server.send(OK[:20])
        server.abort()
        self.assert_counts(len(server.received), 20)

    def test_broken_off(self) -> None:
        """As far as it got: the client leaves in the middle of its body, or the back-end in the middle of its own."""
        self.stage()
        client, server = self.asked(POST + b"bo")
        client.abort()
        self.assert_counts(len(server.received), 0)
        self.stage()
        _, server = self.asked()
        server.send(OK[:-1])
        server.abort()
        self.assert_counts(len(server.received), len(OK) - 1)

    def test_bad_body(self) -> None:
        """A client's bad chunk is not sent."""
        self.stage()
        _, server = self.asked(CHUNKED_POST + b"2\r\nhi\r\nx")
        self.assert_counts(len(server.received), 0)

    def test_silent_retry(self) -> None:
        """Rule 23: the counts are those of the connection that answered."""
        self.stage(keepalive="default")
        client, server = self.asked()
        server.send(OK)
        client.send(PUT + b"body")
        before = len(server.received)
        server.close()
        fresh = self.back.accept()
        self.assertEqual(server.received[-len(fresh.received) :], fresh.received)
        self.assertGreater(before, len(fresh.received))
        fresh.send(OK)
        self.assert_counts(len(fresh.received), len(OK))

    def test_silent_retry_in_vain(self) -> None:
        """Where there is no other connection, those of the dead one: its bytes were sent."""
        self.stage(keepalive="default")
        client, server = self.asked()
        first = len(server.received)
        server.send(OK)
        client.send(GET)
        self.back.refuses()
        server.close()
        self.assertEqual(self.router.requests[-1].response_code, 503)
        self.assert_counts(len(server.received) - first, 0)
