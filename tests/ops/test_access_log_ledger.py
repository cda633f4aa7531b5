"""The short way for plain requests says and counts what the long one does, whatever comes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred

from tests.ops.access_log_case import GET, KEPT, A, Lines, LogCase
from vegurtx import Backend, Redirect, Response, RouteError
from vegurtx.ops.access_log import FORMATS, AccessLog
from vegurtx.ops.ledger import Ledger
from vegurtx.ops.metrics import Traffic
from vegurtx.proxy.observing import Observers
from vegurtx.testing import MemoryProxy, answering, response_bytes, router_to

OK = response_bytes(200, b"hello")
UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"


class Named:
    """A service with a name."""

    def __init__(self, name: str) -> None:
        self.name = name


class LedgerCase(LogCase):
    """Proxies that are observed twice: by a `Ledger`, and by a log and numbers of their own."""

    def observed(self, router: Any, format: str = "router", **settings: Any) -> MemoryProxy:
        """Such a proxy."""
        proxy = MemoryProxy(router, settings)
        self.short, self.long = Lines(), Lines()
        self.numbers, self.more_numbers = Traffic(), Traffic()
        log, other = (AccessLog(format, lines, proxy.factory.wall) for lines in (self.short, self.long))
        self.ledger = Ledger(log, self.numbers)
        proxy.factory.observer = Observers([self.ledger, other, self.more_numbers])
        return proxy

    def assert_the_same(self, lines: int) -> None:
        """Both have noted the same, and so many lines."""
        self.assertEqual(self.short.batch, self.long.batch)
        self.assertEqual(len(self.short.batch), lines)
        self.assertEqual(self.numbers.families(), self.more_numbers.families())

    def refuse_the_long_way(self) -> None:
        """From now on all must be plain."""

        def otherwise(*_: Any) -> None:
            raise AssertionError("this was no plain request")

        self.patch(self.ledger, "otherwise", otherwise)


class Plain(LedgerCase):
    """Requests that go the short way."""

    def test_formats(self) -> None:
        """The same line in each format, for a connection that is new and for one from the pool."""
        for format in FORMATS:
            proxy = self.observed(router_to(KEPT), format)
            backend = proxy.backend(A.host, A.port, answering(OK)).ignores()
            self.refuse_the_long_way()
            client = proxy.client()
            client.send(GET)
            proxy.advance(0.3)
            backend.accepts()
            client.receive_response()
            for path in ("", "a?b=c%20d", "a%25s", "x" * 3000):
                client.ask("GET", f"http://example.org/{path}", headers=[("User-Agent", "%s %d")])
            self.assert_the_same(5)

    def test_values(self) -> None:
        """Methods, statuses, sizes, durations and paths that are not usual."""
        proxy = self.observed(router_to(KEPT), downstream_timeout=100)
        backend = proxy.backend(A.host, A.port)
        self.refuse_the_long_way()
        client = proxy.client()
        server = None
        statuses = itertools.cycle((200, 204, 304, 404, 500, 599, 600, 999))
        for number, method in enumerate(("GET", "HEAD", "PURGE", "get", "DELETE", "OPTIONS", "!", "PUT")):
            path = ("/", '/"', "/\\", '/a"%b', "/%d", "/~")[number % 6]
            client.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"))
            proxy.settle()
            server = server or backend.accept()
            server.receive_head()
            proxy.advance((0, 0.0005, 0.9996, 1.0235, 1.024, 7, 61, 0.1)[number])
            server.send(response_bytes(next(statuses), b""))
            proxy.advance(0.01)
        self.assert_the_same(8)
        self.assertEqual(sum(self.numbers._doors["http"].requests), 8)

    def test_router_takes_its_time(self) -> None:
        """The time in the queue is in its bucket."""
        waiting: list[Deferred[Any]] = []

        def later(*_: Any) -> Deferred[Any]:
            waiting.append(Deferred())
            return waiting[-1]

        proxy = self.observed(router_to(KEPT, checkout_service=later, service_backend=KEPT))
        proxy.backend(A.host, A.port, answering(OK))
        self.refuse_the_long_way()
        client = proxy.client()
        for seconds in (0.0004, 0.0006, 0.3, 7.0):
            client.send(GET)
            proxy.advance(seconds)
            waiting[-1].callback("x")
            client.receive_response()
        self.assert_the_same(4)
        self.assertEqual(sum(self.numbers.queue.counts[2:]), 2)

    def test_fields_and_services_change(self) -> None:
        """What is remembered of a connection and of a service holds for these alone."""
        services = itertools.cycle((Named("one"), Named("one"), "two", None, Named("x" * 300), Named('"')))
        router = router_to(KEPT, checkout_service=lambda *_: next(services), service_backend=KEPT)
        for format in ("router", "json"):
            proxy = self.observed(router, format)
            proxy.backend(A.host, A.port, answering(OK))
            self.refuse_the_long_way()
            clients = [proxy.client() for _ in range(3)]
            for number in range(24):
                client = clients[number % 3]
                headers = [("X-Forwarded-For", f"192.0.2.{number // 4}, %s")] if number % 2 else []
                client.ask("GET", f"http://host{number // 5}/", headers=headers)
            self.assert_the_same(24)

    def test_without_a_log(self) -> None:
        """Then there are the numbers alone."""
        proxy = self.observed(router_to(KEPT))
        self.ledger = proxy.factory.observer = Ledger(None, self.numbers)
        self.refuse_the_long_way()
        proxy.backend(A.host, A.port, answering(OK))
        client = proxy.client()
        for _ in range(3):
            client.ask("GET", "http://x/")
        self.assertEqual(self.numbers.requests, 3)
        client.send(b"nonsense\r\n\r\n")
        proxy.settle()
        self.assertEqual(self.numbers._rejected, {"bad_request_line": 1})

    def test_nothing_is_kept(self) -> None:
        """Of a connection that is gone, nothing is remembered."""
        proxy = self.observed(router_to(KEPT))
        proxy.backend(A.host, A.port, answering(OK))
        client = proxy.client()
        client.ask("GET", "http://x/")
        self.assertEqual(len(self.ledger._clients), 1)
        client.close()
        proxy.settle()
        self.assertEqual(self.ledger._clients, {})


class Otherwise(LedgerCase):
    """Requests that do not."""

    def conversations(self) -> Iterator[tuple[Any, Any]]:
        """Routers, and what happens between a client's and a back-end's side."""

        def post(proxy: MemoryProxy, client: Any, backend: Any) -> None:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
            server = backend.accept()
            server.receive_request()
            server.send(OK)

        def tunnel(proxy: MemoryProxy, client: Any, backend: Any) -> None:
            client.send(UPGRADE)
            server = backend.accept()
            server.receive_head()
            server.send(SWITCHED + b"12345")
            proxy.advance(2)
            server.close()

        def breaks_off(proxy: MemoryProxy, client: Any, backend: Any) -> None:
            client.send(GET)
            server = backend.accept()
            server.receive_request()
            server.send(OK[:-1])
            proxy.advance(1)
            server.close()

        def leaves(proxy: MemoryProxy, client: Any, backend: Any) -> None:
            client.send(GET)
            backend.accept().receive_request()
            client.abort()

        def asks(proxy: MemoryProxy, client: Any, backend: Any) -> None:
            client.send(GET)

        def times_out(proxy: MemoryProxy, client: Any, backend: Any) -> None:
            client.send(GET)
            backend.accept().receive_request()
            proxy.advance(30)

        def no_request(proxy: MemoryProxy, client: Any, backend: Any) -> None:
            client.send(b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n")

        stamping = router_to(A, additional_headers=lambda direction, log, *_: log.stamp("mine") or ())
        for way in (post, tunnel, breaks_off, leaves, times_out, no_request):
            yield router_to(A), way
        for way in (post, breaks_off):
            yield stamping, way
        yield router_to(lookup_domain_name=Redirect("elsewhere.example")), asks
        yield router_to(lookup_domain_name=RouteError("not_found")), asks
        yield router_to(Backend("127.0.0.1", 1)), asks

    def test_endings(self) -> None:
        """However a request ends, both ways come to the same."""
        for format in FORMATS:
            for router, happens in self.conversations():
                proxy = self.observed(router, format)
                backend = proxy.backend(A.host, A.port)
                client = proxy.client()
                happens(proxy, client, backend)
                proxy.settle()
                proxy.advance(1)
                client.close()
                proxy.settle()
                self.assert_the_same(1)

    def test_a_stage_answers(self) -> None:
        """A page of a middleware's has its size."""
        self.short, self.long = Lines(), Lines()
        proxy = self.observed(router_to(A))
        stage = type("Stage", (), {"execute": lambda self, request: Response(200, (), b"ready")})()
        proxy.factory.plain_stages = proxy.factory.stages = (stage.execute,)
        proxy.client().send(GET)
        proxy.settle()
        self.assert_the_same(1)
