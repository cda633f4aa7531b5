"""What one peer can make last or grow without breaking any single rule: bounded all the same."""

from __future__ import annotations

from twisted.internet.error import ConnectionRefusedError, NoRouteError

from tests.faults.cut_case import GET, OK, CutCase, failed
from vegurtx.testing import MemoryProxy, router_to
from vegurtx.wire.chunked import ChunkedDecoder
from vegurtx.wire.limits import BodyLimits, ResponseLimits

PROCESSING = b"HTTP/1.1 102 Processing\r\n\r\n"


class InterimResponses(CutCase):
    """Rule 17: as many as a back-end likes, as long as all of them together are no longer than a head may be long."""

    def test_as_many_as_the_bound_allows(self) -> None:
        """Rule 17: 256 KiB of them go on, one by one or many at a time."""
        count = ResponseLimits().interim // len(PROCESSING)
        self.start(None)
        for at_once in (1, 100, count):
            with self.row(at_once):
                client = self.proxy.client()
                client.send(GET)
                server = self.backend.accept()
                for _ in range(count // at_once):
                    server.send(PROCESSING * at_once)
                server.send(OK)
                self.assertEqual(len(client.receive_response().interim), count // at_once * at_once)
                client.close()
                self.finish()

    def test_endless(self) -> None:
        """Rules 14, 17: more end the request, whether they come in one segment or for ever."""
        reason = ("downstream", "header_length")
        self.start("default")
        for at_once in (1, 1000, 30_000):
            with self.row(at_once):
                client = self.proxy.client()
                client.send(GET)
                server = self.backend.accept()
                while server.arrival.value == "open":
                    server.send(PROCESSING * at_once)
                    self.assertLess(len(client.received), 2 * ResponseLimits().interim)
                self.assertEqual(client.receive_response().status, 502)
                self.assertEqual(self.ended(), [failed(reason)])
                client.close()
                self.finish()

    def test_of_the_next_response(self) -> None:
        """The bound counts for each response anew."""
        self.start("default")
        client = self.proxy.client()
        server = None
        for _ in range(4):
            client.send(GET)
            server = server or self.backend.accept()
            server.send(PROCESSING * 6000 + OK)
            self.assertEqual(len(client.receive_response().interim), 6000)


class ConnectTries(CutCase):
    """Rule 22: when the cap on tries ends a request, the router and the page can still say what was wrong."""

    def test_last_word(self) -> None:
        """The reason is the cap's; the request has the word of the last connect that failed."""
        proxy = MemoryProxy(router_to(), {"max_connect_tries": 2})
        self.addCleanup(proxy.stop)
        router = proxy.router
        first = proxy.backend("127.0.0.1", 8081).refuses(NoRouteError())
        second = proxy.backend("127.0.0.1", 8082).refuses(ConnectionRefusedError())
        choices = [second, first]
        router.on(checkout_service=lambda *_: choices[router.count("checkout_service") % 2].as_backend())
        client = proxy.client()
        client.send(GET)
        self.assertEqual(client.receive_response().status, 503)
        (page,) = proxy.of("error_page")
        self.assertEqual(page.arguments[0], ("downstream", "connect_tries"))
        self.assertEqual(page.request.connect_error, "econnrefused")
        client.close()

    def test_none(self) -> None:
        """`None` where every connect went well."""
        self.start(None)
        client = self.proxy.client()
        client.send(GET)
        self.backend.accept().send(OK)
        self.assertIsNone(self.proxy.of("init")[0].request.connect_error)
        client.close()


class Trailers(CutCase):
    """Rule 6: trailers have a bound of their own, and so memory has."""

    def test_endless(self) -> None:
        """64 KiB, however they come, on both sides; a response that is out already breaks off."""
        line = b"A: " + b"x" * 61 + b"\r\n"
        limit = BodyLimits().trailer
        self.start(None)
        for at_once in (1, 7, 2000):
            with self.row(at_once):
                client = self.proxy.client()
                client.send(GET)
                server = self.backend.accept()
                server.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n")
                sent = 0
                while server.arrival.value == "open":
                    server.send(line * at_once)
                    sent += len(line) * at_once
                    self.assertLess(sent, limit + len(line) * (at_once + 1) + 1)
                self.assertEqual(client.arrival.value, "reset")
                self.assertEqual(len(self.ended()), 1)
                self.assertEqual(self.ended()[0].state[:1], ("downstream",))
                self.finish()


class TinyChunks(CutCase):
    """Rule 6: chunks of a byte each do not cost many times their bytes while they wait to be sent."""

    def test_pieces_of_a_segment(self) -> None:
        """The 40,000 chunks of one segment come out as a few pieces."""
        pieces = ChunkedDecoder().feed(b"2\r\nxy\r\n" * 40_000)
        self.assertLessEqual(len(pieces), 32)
        self.assertEqual(b"".join(pieces), b"xy" * 40_000)

    def test_few_pieces_are_not_copied(self) -> None:
        """A chunk that is worth it goes on as it came."""
        segment = b"800\r\n%b\r\n" % bytes(2048) * 16
        pieces = ChunkedDecoder().feed(segment)
        self.assertEqual([type(piece) for piece in pieces], [memoryview] * 16)
