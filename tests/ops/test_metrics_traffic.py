"""What is counted of requests and connections, and that it is what has happened."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Backend, RouteError
from vegurtx.ops.metrics import Metrics, Traffic
from vegurtx.ops.metrics.census import census
from vegurtx.proxy.observing import Observers, durations
from vegurtx.testing import MemoryProxy, ProxyTestCase, answering, response_bytes, router_to

A = Backend("127.0.0.1", 8081, keepalive="default")
OK = response_bytes(200, b"hello")
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"


class TrafficCase(SynchronousTestCase):
    """A proxy in memory whose numbers are looked at."""

    def proxy(self, router: Any = None, **settings: Any) -> MemoryProxy:
        """A proxy that is counted; its router leads to `A`, and keeps connections."""
        proxy = MemoryProxy(router_to(A) if router is None else router, settings)
        self.traffic = proxy.factory.observer = Traffic()
        return proxy

    def samples(self, name: str) -> dict[tuple[str, ...], Any]:
        """The samples of a family."""
        return next(each.samples for each in self.traffic.families() if each.name == f"vegurtx_{name}")


class Requests(TrafficCase):
    """Ended requests."""

    def test_by_method_and_class(self) -> None:
        """Methods out of a list; whatever else is ``other``."""
        proxy = self.proxy()
        backend = proxy.backend(A.host, A.port, answering(OK))
        client = proxy.client()
        for method in ("GET", "GET", "POST", "get", "PURGE"):
            client.ask(method, "http://x/")
        del backend
        self.assertEqual(
            self.samples("requests_total"),
            {("http", "2xx", "GET"): 2, ("http", "2xx", "POST"): 1, ("http", "2xx", "other"): 2},
        )
        self.assertEqual(self.traffic.requests, 5)

    def test_errors(self) -> None:
        """By reason and code; a client that has gone is a 4xx."""
        proxy = self.proxy(router_to(A, checkout_service=RouteError("no_replica")))
        proxy.client().send(GET)
        waiting: Deferred[Any] = Deferred()
        proxy.router.on(checkout_service=waiting)
        client = proxy.client()
        client.send(GET)
        client.abort()
        proxy.router.on(checkout_service=RouteError("my own"))
        proxy.client().send(GET)
        self.assertEqual(
            self.samples("request_errors_total"),
            {("no_replica", "H10"): 1, ("upstream.closed", "H27"): 1, ("other", ""): 1},
        )
        self.assertEqual(
            self.samples("requests_total"), {("http", "5xx", "GET"): 2, ("http", "4xx", "GET"): 1}
        )

    def test_rejected(self) -> None:
        """What is no request, by what was wrong with it, and nowhere else."""
        proxy = self.proxy(max_request_line_length=100)
        for data in (b"\x00\r\n\r\n", b"GET /" + b"a" * 100 + b" HTTP/1.1\r\n\r\n"):
            proxy.client().send(data)
        proxy.settle()
        rejected = self.samples("rejected_requests_total")
        self.assertEqual((rejected["line_length",], sum(rejected.values())), (1, 2))
        self.assertEqual(self.traffic.requests, 0)

    def test_durations(self) -> None:
        """Queue, connect, first byte and total, each in its own histogram."""
        routing: Deferred[Any] = Deferred()
        proxy = self.proxy(router_to(checkout_service=lambda *_: routing, service_backend=A))
        backend = proxy.backend(A.host, A.port).ignores()
        proxy.client().send(GET)
        proxy.advance(3)
        routing.callback(A)
        proxy.advance(0.2)
        backend.accepts()
        server = backend.accept()
        server.receive_request()
        proxy.advance(0.03)
        server.send(OK[:-1])
        proxy.advance(0.5)
        server.send(OK[-1:])
        proxy.settle()
        sums = [
            self.samples(f"{name}_duration_seconds")[()].sum
            for name in ("queue", "connect", "first_byte", "request")
        ]
        for found, expected in zip(sums, (3, 0.2, 0.03, 3.73), strict=True):
            self.assertAlmostEqual(found, expected)

    def test_pooled_is_no_connect(self) -> None:
        """A connection from the pool is not in the connects' histogram."""
        proxy = self.proxy()
        backend = proxy.backend(A.host, A.port, answering(OK)).ignores()
        client = proxy.client()
        client.send(GET)
        proxy.advance(0.5)
        backend.accepts()
        client.receive_response()
        client.ask("GET", "http://x/")
        connects = self.samples("connect_duration_seconds")[()]
        self.assertEqual((sum(connects.counts), connects.sum), (1, 0.5))
        self.assertEqual(sum(self.samples("request_duration_seconds")[()].counts), 2)

    def test_bytes(self) -> None:
        """As the back-end has seen them."""
        proxy = self.proxy()
        backend = proxy.backend(A.host, A.port)
        client = proxy.client()
        client.send(GET)
        server = backend.accept()
        request = server.receive_request()
        server.send(OK)
        client.receive_response()
        self.assertEqual(self.samples("backend_sent_bytes_total"), {(): len(request.raw)})
        self.assertEqual(self.samples("backend_received_bytes_total"), {(): len(OK)})


class Connections(TrafficCase):
    """Connections and tunnels, now and so far."""

    def test_clients(self) -> None:
        """Open ones, and all."""
        proxy = self.proxy()
        clients = [proxy.client() for _ in range(3)]
        clients[0].close()
        proxy.settle()
        self.assertEqual(self.samples("client_connections_total"), {("http",): 3})
        self.assertEqual(self.samples("client_connections"), {("http",): 2})

    def test_census(self) -> None:
        """Requests that wait for the router, and for the back-end; tunnels; idle connections."""
        proxy = self.proxy(router_to(A))
        backend = proxy.backend(A.host, A.port)
        self.assertEqual(census(proxy.factory), (0, 0, 0, 0, 0))
        served = proxy.client()
        served.send(GET)
        server = backend.accept()
        server.receive_request()
        self.assertEqual(census(proxy.factory), (1, 1, 0, 1, 0))
        server.send(OK)
        served.receive_response()
        self.assertEqual(census(proxy.factory), (1, 0, 0, 0, 1))
        upgraded = proxy.client()
        upgraded.send(UPGRADE)
        server.receive_request()
        server.send(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        proxy.settle()
        self.assertEqual(census(proxy.factory), (2, 0, 1, 1, 0))
        proxy.router.on(checkout_service=Deferred())
        proxy.client().send(GET)
        self.assertEqual(census(proxy.factory), (3, 1, 1, 1, 0))
        families = {each.name: each.samples for each in census(proxy.factory).families()}
        self.assertEqual(families["vegurtx_backend_connections"], {("in_use",): 1, ("idle",): 0})
        self.assertEqual(families["vegurtx_tunnels"], {(): 1})
        server.close()
        upgraded.close()
        proxy.settle()
        self.assertEqual(self.samples("tunnels_total"), {(): 1})
        self.assertEqual(sum(self.samples("request_duration_seconds")[()].counts), 1)


class Sources(TrafficCase):
    """All numbers of a process."""

    def test_names_are_unique(self) -> None:
        """Each family once, and each name in the form that Prometheus asks for."""
        proxy = self.proxy()
        snapshot = Metrics(proxy.factory, self.traffic).snapshot()
        names = [each.name for each in snapshot]
        self.assertEqual(len(names), len(set(names)))
        for family in snapshot:
            self.assertTrue(family.name.startswith("vegurtx_"))
            self.assertEqual(family.name.endswith("_total"), family.kind == "counter", family.name)
            self.assertTrue(family.description.endswith("."), family.name)

    def test_reloads_and_lines(self) -> None:
        """What others count."""

        class Reloader:
            reloads, failures, problems, last_success = 2, 1, ["bad"], 5.0

        class Writer:
            lines, dropped_queue, dropped_file = 9, 3, 4

        proxy = self.proxy()
        proxy.advance(8)
        metrics = Metrics(proxy.factory, self.traffic, reloader=Reloader(), log_writer=Writer())
        found = {each.name: each.samples for each in metrics.snapshot()}
        self.assertEqual(found["vegurtx_config_reloads_total"], {("success",): 2, ("failure",): 1})
        self.assertEqual(found["vegurtx_config_last_reload_successful"], {(): 0})
        self.assertEqual(
            found["vegurtx_config_last_reload_success_timestamp_seconds"], {(): proxy.factory.wall() - 3}
        )
        self.assertEqual(found["vegurtx_access_log_dropped_lines_total"], {("queue",): 3, ("file",): 4})


class Hook(SynchronousTestCase):
    """`ProxyFactory.observer`."""

    def test_order_and_arguments(self) -> None:
        """An ended request is told before its final check-in; connections when they come and go."""
        told: list[Any] = []

        class Watcher:
            def ended(self, request: Any, status: str, reason: Any, domain_group: Any, service: Any) -> None:
                told.append(("ended", request.response_code, status, reason, domain_group, service))

            def rejected(self, error: Any, connection: Any) -> None:
                told.append(("rejected", error.what, error.status))

            def opened(self, connection: Any) -> None:
                told.append(("opened", connection.peer.host))

            def closed(self, connection: Any) -> None:
                told.append(("closed", connection.peer.host))

        proxy = MemoryProxy(router_to(A, checkin_service=lambda *_: told.append("checkin")))
        proxy.factory.observer = Observers([Watcher()])
        proxy.backend(A.host, A.port, answering(OK))
        client = proxy.client()
        client.ask("GET", "http://x/")
        client.send(b"nonsense\r\n\r\n")
        client.close()
        proxy.settle()
        self.assertEqual(
            told,
            [
                ("opened", "192.0.2.1"),
                ("ended", 200, "normal", "normal", "x", A),
                "checkin",
                ("rejected", "bad_request_line", 400),
                ("closed", "192.0.2.1"),
            ],
        )

    def test_observers_that_raise(self) -> None:
        """It is logged; requests go on, and so do the other observers."""

        class Rude:
            def _raise(self, *arguments: Any) -> None:
                raise RuntimeError("rude")

            ended = rejected = opened = closed = _raise

        for several in (True, False):
            proxy = MemoryProxy(router_to(A))
            traffic = Traffic()
            proxy.factory.observer = Observers([Rude(), traffic]) if several else Rude()
            proxy.backend(A.host, A.port, answering(OK))
            client = proxy.client()
            self.assertEqual(client.ask("GET", "http://x/").status, 200)
            client.send(b"\x00\r\n\r\n")
            client.close()
            proxy.settle()
            proxy.idle(pooled=1)
            self.assertEqual(traffic.requests, int(several))
            self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 4)


class Spans(SynchronousTestCase):
    """How long a request took, whatever way it went: the short way says the same as the long one."""

    def events(self, request: bytes, **answers: Any) -> list[Any]:
        """The events of a request that takes a second for each of its steps."""
        kept: list[list[Any]] = []
        router = router_to(
            A, terminate=lambda status, request, state: kept.append(request.log.events), **answers
        )
        proxy = MemoryProxy(router)
        backend = proxy.backend(A.host, A.port).ignores()
        client = proxy.client()
        client.send(request)
        proxy.advance(1)
        backend.accepts()
        server = backend.accept()
        server.receive_request()
        proxy.advance(2)
        server.send(OK[:20])
        proxy.advance(4)
        server.send(OK[20:])
        client.receive_response()
        return kept[0]

    def test_plain(self) -> None:
        """A plain request, one with a body, and one in whose log the router has stamped."""
        stamp = {"additional_headers": lambda direction, log, request, state: log.stamp("mine") or ()}
        body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n1"
        for request, answers in ((GET, {}), (body, {}), (GET, stamp)):
            self.assertEqual(durations(self.events(request, **answers)), (0, 1, 2, 6, 7))

    def test_not_that_far(self) -> None:
        """What there was not is `None`."""
        self.assertEqual(
            durations([1.0, "accepted", None, 3.5, "responded", None]), (None, None, None, None, 2.5)
        )
        events = [0.0, "accepted", None, 1.0, "pre_connect", None, 1.0, "connect_time", "pre"]
        self.assertEqual(durations([*events, 4.0, "responded", None]), (1.0, None, None, None, 4.0))

    def test_again(self) -> None:
        """Of a request that was sent twice, the last time counts."""
        first = [
            0.0,
            "accepted",
            None,
            1.0,
            "pre_connect",
            None,
            1.0,
            "connect_time",
            "pre",
            2.0,
            "connect_time",
            "post",
        ]
        sent = [2.0, "service_time", "pre", 3.0, "service_time", "post"]
        again = [4.0, "pre_connect", None, 4.5, "connect_time", "pre", 5.5, "connect_time", "post"]
        end = [6.0, "service_time", "pre", 7.0, "client_first_packet_recv", None, 9.0, "service_time", "post"]
        events = [*first, *sent, *again, *end, 10.0, "responded", None]
        self.assertEqual(durations(events), (4.0, 1.0, 1.0, 3.0, 10.0))


class Thousand(ProxyTestCase):
    """Over sockets."""

    async def test_counts_are_those_of_the_load(self) -> None:
        """1000 requests over ten connections: as many are counted, and so are their bytes and connections."""
        from tests.ops.access_log_case import Lines, logfmt
        from vegurtx.ops.access_log import AccessLog
        from vegurtx.ops.recorder import Recorder

        backend = await self.backend(handler=answering(OK))
        proxy = await self.proxy(router_to(backend, keepalive="default"))
        traffic, lines = Traffic(), Lines()
        proxy.factory.observer = Recorder(AccessLog("router", lines, proxy.factory.wall), traffic)
        clients = [await proxy.connect() for _ in range(10)]
        for number in range(100):
            for client in clients:
                client.send(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
            for client in clients:
                self.assertEqual((await client.receive_response()).status, 200)
        found = {each.name: each.samples for each in traffic.families()}
        self.assertEqual(found["vegurtx_requests_total"], {("http", "2xx", "GET"): 1000})
        self.assertEqual(found["vegurtx_backend_received_bytes_total"], {(): 1000 * len(OK)})
        self.assertEqual(found["vegurtx_client_connections"], {("http",): 10})
        for name in ("queue", "first_byte", "request"):
            self.assertEqual(sum(found[f"vegurtx_{name}_duration_seconds"][()].counts), 1000)
        self.assertEqual(len(lines.batch), 1000)
        paths = [logfmt(line)["path"] for line in lines.batch]
        self.assertEqual({path: paths.count(path) for path in paths}, {f"/{n}": 10 for n in range(100)})
        self.assertEqual(census(proxy.factory)[:4], (10, 0, 0, 0))
