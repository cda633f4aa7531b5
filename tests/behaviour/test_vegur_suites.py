"""vegur's suites, ticked off: every situation of theirs is played by a test of ours, the last of them here."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.behaviour.vegur_suites import DIFFERENT, SUITES
from vegurtx import Backend, RouteError, Router
from vegurtx.net.endpoints import TlsDetails
from vegurtx.testing import MemoryProxy, RecordingRouter, router_to
from vegurtx.testing.memory.connection import MemoryClient, MemoryConnection

TESTS = Path(__file__).resolve().parent.parent
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED_OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@cache
def known_tests(file: str) -> frozenset[str]:
    """The tests of a file, each as ``Class.test`` without its ``test_``."""
    (path,) = TESTS.rglob(f"test_{file}.py")
    return frozenset(
        f"{case.name}.{test.name.removeprefix('test_')}"
        for case in ast.parse(path.read_text("utf-8")).body
        if isinstance(case, ast.ClassDef)
        for test in case.body
        if isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef) and test.name.startswith("test_")
    )


class Map(SynchronousTestCase):
    """The map from vegur's situations to our tests."""

    def test_every_test(self) -> None:
        """Each situation has tests, and each of them exists."""
        wrong = [
            (suite, situation, test)
            for suite, situations in SUITES.items()
            for situation, tests in situations.items()
            for test in tests.split() or [""]
            if test.partition(".")[2] not in known_tests(test.partition(".")[0])
        ]
        self.assertEqual(wrong, [])

    def test_different_ones(self) -> None:
        """What is said to differ is a situation."""
        for suite, situation in DIFFERENT:
            self.assertIn(situation, SUITES[suite])

    def test_these(self) -> None:
        """The tests of this file are in the map, but those of the map."""
        named = " ".join(tests for situations in SUITES.values() for tests in situations.values()).split()
        here = {f"vegur_suites.{test}" for test in known_tests("vegur_suites") if not test.startswith("Map.")}
        self.assertEqual(here - set(named), set())


class InMemory(SynchronousTestCase):
    """A proxy in memory with one back-end."""

    def stage(self, *, keepalive: Any = None, **answers: Any) -> MemoryClient:
        """Start it, and connect a client."""
        self.router: RecordingRouter = router_to(Backend("10.0.0.1", 80, keepalive=keepalive), **answers)
        self.proxy = MemoryProxy(self.router)
        self.addCleanup(self.proxy.stop)
        self.backend = self.proxy.backend("10.0.0.1", 80)
        return self.proxy.client()

    def asked(self, request: bytes, **stage: Any) -> tuple[MemoryClient, MemoryConnection]:
        """A client has sent `request`, and the back-end has it, or what there is of it."""
        client = self.stage(**stage)
        client.send(request)
        return client, self.backend.accept()

    def assert_ended(self, phase: str, state: object, status: str) -> None:
        """The last request's end."""
        self.assertEqual(self.proxy.of("checkin_service")[-1].arguments[2:], (phase, state))
        self.assertEqual(self.proxy.of("terminate")[-1].arguments, (status,))


class Secure(InMemory):
    """What vegur's proxy suite sees over HTTPS, too."""

    def test_added(self) -> None:
        """A client that speaks TLS: the same fields as without, with another port and protocol."""
        self.stage(additional_headers=[("Instance-Name", "one")])
        client = self.proxy.client(tls=TlsDetails("TLSv1.3", None, None, None))
        client.send(GET[:-2] + b"X-Request-Id: testid-with-a-valid-length\r\nVia: happyproxy\r\n\r\n")
        request = self.backend.accept().receive_request()
        expected = {
            "X-Request-Id": "testid-with-a-valid-length",
            "X-Request-Start": "1700000000000",
            "Connect-Time": "0",
            "Total-Route-Time": "0",
            "X-Forwarded-For": "192.0.2.1",
            "X-Forwarded-Port": "443",
            "X-Forwarded-Proto": "https",
            "Via": "happyproxy, 1.1 vegur",
            "Instance-Name": "one",
        }
        self.assertEqual({name: request.header(name) for name in expected}, expected)
        client = self.proxy.client(tls=TlsDetails("TLSv1.3", None, None, None))
        client.send(GET.replace(b"Host: x", b"Host: x:8443"))
        request = self.backend.accept().receive_request()
        self.assertEqual(
            (request.header("X-Forwarded-Port"), request.header("X-Forwarded-Proto")), ("8443", "https")
        )


class Chunks(InMemory):
    """Chunked bodies that are cut in unlucky places."""

    def test_short_of_the_last_line(self) -> None:
        """An upload without its last line goes on as far as it came; a response is not to be had before its end."""
        client, server = self.asked(CHUNKED_POST + b"3\r\nabc\r\n0\r\n")
        server.receive_head()
        server.expect(b"3\r\nabc\r\n")
        self.assertEqual((client.received, server.unread), (b"", b""))
        client.send(b"\r\n")
        server.expect(b"0\r\n\r\n")
        server.send(OK)
        self.assertEqual(client.receive_response().body, b"hi")

    def test_early_last_chunk(self) -> None:
        """Chunks behind the last one: 400 where nothing of the response has come, else it breaks off."""
        behind = b"0\r\n5\r\ndefgh\r\n0\r\n\r\n"
        for begun in (False, True):
            client, server = self.asked(CHUNKED_POST + b"3\r\nabc\r\n")
            if begun:
                server.send(CHUNKED_OK + b"3\r\nabc\r\n")
                client.receive_until(b"3\r\nabc\r\n")
            client.send(behind)
            if begun:
                self.assertEqual((client.closed(), client.unread), ("reset", b""))
            else:
                self.assertEqual(client.receive_response().status, 400)
                self.assertEqual(client.closed(), "clean")
            self.assertTrue(server.received.endswith(b"\r\n\r\n3\r\nabc\r\n"))
            server.closed()
            self.assert_ended("connected", ("upstream", ("bad_chunk", "trailer")), "error")

    def test_trailers_of_a_last_request(self) -> None:
        """Trailers go both ways where the client wants its connection closed, and it is closed behind them."""
        chunks = b"3\r\nabc\r\n0\r\nhead1:val1\r\nhead2: val2\r\n\r\n"
        fields = b"Trailer: head1, head2\r\n"
        client, server = self.asked(CHUNKED_POST[:-2] + fields + b"Connection: close\r\n\r\n" + chunks)
        request = server.receive_request()
        self.assertEqual(request.header("Trailer"), "head1, head2")
        self.assertTrue(request.raw.endswith(chunks))
        server.send(CHUNKED_OK[:-2] + fields + b"\r\n" + chunks)
        response = client.receive_response()
        self.assertEqual(
            (response.header("Trailer"), response.header("Connection")), ("head1, head2", "close")
        )
        self.assertEqual(response.trailers, [("head1", "val1"), ("head2", "val2")])
        self.assertEqual((client.closed(), server.closed()), ("clean", "clean"))


#: requests and statuses without a body in the response
BODILESS = [(b"HEAD", b"200 OK"), (b"GET", b"204 No Content"), (b"GET", b"304 Not Modified")]


class NoBody(InMemory):
    """Responses that have no body, whatever is said of one."""

    def test_client_s_close(self) -> None:
        """A client that says ``close`` is closed, as it is without the back-end's ``close``."""
        for method, status in BODILESS:
            for fields in (b"", b"Connection: close\r\n"):
                request = GET.replace(b"GET", method)[:-2] + b"Connection: close\r\n\r\n"
                client, server = self.asked(request)
                server.send(b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n")
                response = client.receive_response(method)
                self.assertEqual((response.header("Connection"), response.body), ("close", b""))
                self.assertEqual((client.closed(), server.closed()), ("clean", "clean"))
                self.assert_ended("connected", "normal", "normal")

    def test_again_on_the_same_connection(self) -> None:
        """A client's connection goes on to its next request, on another back-end connection."""
        for method, status in BODILESS:
            client = self.stage()
            for _ in range(2):
                client.send(GET.replace(b"GET", method))
                server = self.backend.accept()
                server.send(b"HTTP/1.1 " + status + b"\r\nDate: Fri, 31 Dec 1999 23:59:59 GMT\r\n\r\n")
                response = client.receive_response(method)
                self.assertEqual((response.header("Connection"), response.body), ("keep-alive", b""))
                self.assertEqual(server.closed(), "clean")
            self.assertEqual(client.arrival.value, "open")

    def test_stray_body_without_a_length(self) -> None:
        """A stray body that ends by close is dropped, and the back-end's ``close`` is its own business."""
        client, server = self.asked(GET)
        server.send(b"HTTP/1.1 304 OK\r\nconnection:close\r\n\r\nmisplaced body")
        server.close()
        self.assertEqual(client.receive_response().header("Connection"), "keep-alive")
        self.assertEqual((client.unread, client.arrival.value), (b"", "open"))


class Lengths(InMemory):
    """A back-end's ``Content-Length``."""

    def test_blank_behind_it(self) -> None:
        """White space around the number does not count, and goes on as it came; vegur refuses it."""
        client, server = self.asked(GET)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 208062 \r\n\r\n" + bytes(208062))
        self.assertEqual(len(client.receive_response().body), 208062)
        self.assertIn(b"\r\nContent-Length: 208062 \r\n", client.received)
        self.assertEqual(client.arrival.value, "open")


class Kept(InMemory):
    """Several requests on the same two connections."""

    def test_new_among_defaults(self) -> None:
        """``"new"`` opens a connection beside the pooled one, and what follows takes it; the first one rests."""
        client = self.stage()
        servers = []
        for keepalive, opens in (("default", True), ("default", False), ("new", True), ("default", False)):
            self.router.backends[:] = [Backend("10.0.0.1", 80, keepalive=keepalive)]
            client.send(GET)
            if opens:
                servers.append(self.backend.accept())
            self.assertEqual(servers[-1].receive_request().header("Connection"), "keep-alive")
            servers[-1].send(OK)
            self.assertEqual(client.receive_response().header("Connection"), "keep-alive")
        self.assertEqual(([server.arrival.value for server in servers], self.proxy.pooled), (["open"] * 2, 2))

    def test_chunks_again(self) -> None:
        """Chunked requests and chunked responses, one pair after the other."""
        chunks = b"3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n"
        client, server = self.asked(CHUNKED_POST + chunks, keepalive="default")
        for again in (True, False):
            self.assertEqual(server.receive_request().body, b"abcdefgh")
            server.send(CHUNKED_OK + chunks)
            self.assertEqual(client.receive_response().body, b"abcdefgh")
            if again:
                client.send(CHUNKED_POST + chunks)
        self.assertEqual((self.backend.waiting, self.proxy.pooled), (0, 1))

    def test_large_bodies(self) -> None:
        """Bodies of eight thousand bytes and of a million each way, twice on the same two connections."""
        for size in (8000, 1_000_000):
            body = bytes(range(256)) * (size // 256) + b"." * (size % 256)
            head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % size
            client = self.stage(keepalive="default")
            for last in (b"", b"Connection: close\r\n"):
                client.send(head + last + b"\r\n" + body)
                if not last:
                    server = self.backend.accept()
                self.assertTrue(server.receive_request().body == body)
                server.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body)
                self.assertTrue(client.receive_response().body == body)
            self.assertEqual((client.closed(), server.arrival.value), ("clean", "open"))


class Upgraded(InMemory):
    """A 100, a body, and then an upgrade, over a back-end connection that could have been kept."""

    def test_either_side_closes(self) -> None:
        """The pipe ends on both sides whichever closes, and nothing is pooled."""
        request = (
            GET[:-2]
            + b"Content-Length: 10\r\nExpect: 100-continue\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )
        for closing in ("client", "server"):
            client, server = self.asked(request, keepalive="default", feature=True)
            server.receive_head()
            server.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
            client.send(b"0123456789")
            server.expect(b"0123456789")
            server.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            )
            self.assertTrue(client.receive_head().startswith(b"HTTP/1.1 101 "))
            client.send(b"ping")
            server.expect(b"ping")
            server.send(b"pong")
            client.expect(b"pong")
            first, second = (client, server) if closing == "client" else (server, client)
            first.close()
            second.eof()
            second.close()
            self.assert_ended("connected", "normal", "normal")
            self.assertEqual(self.proxy.pooled, 0)


#: what vegur's stub answers to the words of a router
WORDS: dict[Any, int] = {
    "no_route_id": 502, ("backlog_timeout", 100, 100): 503, ("backlog_too_deep", 100, 100): 503,
    ("conn_limit_reached", 100, 100): 503, "route_lookup_failed": 503, "no_web_processes": 503, "crashed": 503,
    "backends_quarantined": 503, "backends_starting": 503, "backends_idle": 503, "app_blank": 503,
    ("app_blank", "app"): 503, "app_not_found": 404, "app_lookup_failed": 503, "maintainance_mode": 503,
    "not_found": 404, "econn_timeout": 503, "econn_refused": 503, "please_die": 503,
}  # fmt: skip


class Words(InMemory):
    """The words that vegur's routers know, with `Router`'s pages."""

    def assert_statuses(self, callback: str, phase: str) -> None:
        """Each word raised by `callback` reaches the check-in as it is, and has vegur's status."""
        for reason, status in WORDS.items():

            def refuse(self: Any, *arguments: Any, reason: Any = reason) -> Any:
                raise RouteError(reason)

            methods = {"checkout_service": refuse, "service_backend": refuse, callback: refuse}
            self.proxy = MemoryProxy(type("Refusing", (Router,), methods)())
            self.addCleanup(self.proxy.stop)
            self.assertEqual(self.proxy.client().ask("GET", "http://x/").status, status, reason)
            self.assert_ended(phase, reason, "error")

    def test_of_the_checkout(self) -> None:
        """Raised by ``checkout_service``."""
        self.assert_statuses("checkout_service", "checkout")

    def test_of_the_lookup(self) -> None:
        """Raised by ``lookup_domain_name``."""
        self.assert_statuses("lookup_domain_name", "lookup")
