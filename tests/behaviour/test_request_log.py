"""The request log: each event and duration, to the millisecond, on each way that a request can take."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Backend, ErrorPage, Redirect, Response, RouteError, default_middlewares
from vegurtx.testing import MemoryProxy, RecordingRouter
from vegurtx.testing.memory.connection import MemoryClient, MemoryConnection
from vegurtx.testing.memory.proxy import EPOCH

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
DURATIONS = (
    "start_to_proxy",
    "route",
    "connect",
    "send_headers",
    "service",
    "request_proxy",
    "response_proxy",
    "total",
)


class Logged(SynchronousTestCase):
    """A proxy in memory, whose back-ends are `one` and `two`, and what its log says."""

    def stage(
        self, *, keepalive: Any = None, middlewares: Any = None, answers: Any = None, **settings: Any
    ) -> None:
        """Start it."""
        places = [Backend("10.0.0.1", 80, keepalive=keepalive), Backend("10.0.0.2", 80, keepalive=keepalive)]
        self.router = RecordingRouter(places, **(answers or {}))
        self.proxy = MemoryProxy(self.router, settings, middlewares)
        self.addCleanup(self.proxy.stop)
        self.one, self.two = (self.proxy.backend(place.host, 80) for place in places)

    def asked(self, request: bytes = GET) -> tuple[MemoryClient, MemoryConnection]:
        """A client has sent `request`, and the first back-end has it."""
        client = self.proxy.client()
        client.send(request)
        return client, self.one.accept()

    def wait(self, milliseconds: float) -> None:
        """Let them pass."""
        self.proxy.advance(milliseconds / 1000)

    def durations(self, which: int = -1) -> dict[str, int | None]:
        """Those of a request, by name."""
        request = self.router.requests[which]
        return {name: getattr(request, f"{name}_duration") for name in DURATIONS}

    def assert_durations(self, which: int = -1, **expected: int | None) -> None:
        """These; those that are not named are ``None``."""
        self.assertEqual(self.durations(which), dict.fromkeys(DURATIONS) | expected)

    def events(self, which: int = -1) -> list[tuple[int, str, object]]:
        """All events of a request in the order of their times: milliseconds since it was accepted, name, details."""
        log = self.router.requests[which].log
        start = next(iter(log))[0]
        found = [(round((at - start) * 1000), name, details) for at, name, details in log]
        return sorted(found, key=lambda event: event[0])


class Plain(Logged):
    """A request without detours."""

    def test_every_event(self) -> None:
        """Each event at its time, each duration to the millisecond, and the report."""
        waits: dict[str, Deferred[Any]] = {}

        def later(name: str, value: Any) -> Any:
            def answer(*arguments: Any) -> Any:
                key = f"{name} {arguments[0]}" if name in ("additional_headers", "feature") else name
                waits[key] = Deferred()
                return waits[key].addCallback(lambda _: value)

            return answer

        self.stage(
            answers={
                "init": later("init", "state"),
                "lookup_domain_name": later("lookup", "group"),
                "checkout_service": later("checkout", "service"),
                "service_backend": later("backend", Backend("10.0.0.1", 80)),
                "feature": later("feature", False),
                "additional_headers": later("additional_headers", ()),
            }
        )
        self.one.ignores()
        client = self.proxy.client()
        client.send(POST + b"bo")
        for milliseconds, name in (
            (1, "init"),
            (2, "lookup"),
            (4, "checkout"),
            (8, "backend"),  # 15: pre_connect
            (16, "connect"),  # 31: connected, pre_proxy
            (32, "feature peer_port"),
            (64, "additional_headers upstream"),  # 127: sent
            (128, "the rest of the body"),  # 255
            (256, "the response's begin"),  # 511
            (512, "the rest of its head"),  # 1023
            (1024, "additional_headers downstream"),  # 2047
            (2048, "the rest of its body"),  # 4095
        ):
            self.wait(milliseconds)
            if name == "connect":
                self.one.accepts()
                server = self.one.accept()
            elif name == "the rest of the body":
                client.send(b"dy")
            elif name == "the response's begin":
                server.send(HEAD[:20])
            elif name == "the rest of its head":
                server.send(HEAD[20:])
            elif name == "the rest of its body":
                server.send(b"hi")
            else:
                waits[name].callback(None)
                self.proxy.settle()
        self.assertEqual(client.receive_response().body, b"hi")
        self.assertEqual(
            self.events(),
            [
                (0, "accepted", None),
                (15, "pre_connect", None),
                (15, "connect_time", "pre"),
                (31, "connect_time", "post"),
                (31, "pre_proxy", None),
                (127, "headers_formatted", None),
                (127, "headers_sent", None),
                (127, "service_time", "pre"),
                (255, "client_last_packet_sent", None),
                (511, "client_first_packet_recv", None),
                (4095, "client_last_packet_recv", None),
                (4095, "service_time", "post"),
                (4095, "responded", None),
            ],
        )
        self.assert_durations(
            start_to_proxy=31,
            route=15,
            connect=16,
            send_headers=0,
            service=3968,
            request_proxy=128,
            response_proxy=3584,
            total=4095,
        )
        log = self.router.requests[0].log
        self.assertEqual(log.event("accepted"), EPOCH)
        self.assertEqual(self.router.of("init")[0].arguments, (EPOCH,))
        self.assertAlmostEqual(log.event("responded"), EPOCH + 4.095, places=5)
        self.wait(5)
        self.assertEqual(
            log.flatten_report(log.linear_report()),
            [
                ("init", 0),
                ("accepted_to_pre_connect", 15),
                ("pre_connect_to_connect_time", 0),
                ("connect_time", 16),
                ("connect_time_to_pre_proxy", 0),
                ("pre_proxy_to_headers_formatted", 96),
                ("headers_formatted_to_headers_sent", 0),
                ("headers_sent_to_service_time", 0),
                ("service_time_to_client_last_packet_sent", 128),
                ("client_last_packet_sent_to_client_first_packet_recv", 256),
                ("client_first_packet_recv_to_client_last_packet_recv", 3584),
                ("client_last_packet_recv_to_service_time", 0),
                ("service_time_to_responded", 0),
                ("responded_until_end", 5),
                ("total", 4100),
            ],
        )
        self.assertEqual(
            log.linear_report({"accepted", "responded"}.__contains__),
            [("init", 0), ("accepted_to_responded", 4095), ("responded_until_end", 5), ("total", 4100)],
        )

    def test_headers_carry_the_same(self) -> None:
        """``Connect-Time`` and ``Total-Route-Time`` say what the log says; the start is in milliseconds."""
        wait: Deferred[Any] = Deferred()
        self.stage(answers={"lookup_domain_name": lambda *_: wait})
        self.one.ignores()
        client = self.proxy.client()
        client.send(GET)
        self.wait(7)
        wait.callback("group")
        self.wait(11)
        self.one.accepts()
        server = self.one.accept()
        request = server.receive_request()
        self.assertEqual(
            [request.header(name) for name in ("X-Request-Start", "Total-Route-Time", "Connect-Time")],
            [str(int(EPOCH * 1000)), "7", "11"],
        )
        server.send(OK)
        self.assertEqual((self.durations()["route"], self.durations()["connect"]), (7, 11))
        self.assertEqual(client.receive_response().status, 200)

    def test_without_a_body(self) -> None:
        """A request that has no body was sent in no time (``request_proxy_duration`` 0, as in vegur)."""
        for request in (GET, POST.replace(b"4", b"0")):
            self.stage()
            _, server = self.asked(request)
            self.wait(5)
            server.send(OK)
            self.assert_durations(
                start_to_proxy=0, route=0, connect=0, send_headers=0, service=5, request_proxy=0,
                response_proxy=0, total=5,
            )  # fmt: skip

    def test_chunked_upload(self) -> None:
        """Its end is the last chunk."""
        self.stage()
        client, server = self.asked(CHUNKED + b"2\r\nab\r\n")
        self.wait(3)
        client.send(b"0\r\n\r\n")
        self.wait(4)
        server.send(OK)
        self.assertEqual((self.durations()["request_proxy"], self.durations()["service"]), (3, 7))

    def test_early_response(self) -> None:
        """An upload that is not waited for has no end."""
        self.stage()
        _, server = self.asked(POST)
        self.wait(2)
        server.send(OK)
        self.assert_durations(
            start_to_proxy=0, route=0, connect=0, send_headers=0, service=2, response_proxy=0, total=2
        )

    def test_interim(self) -> None:
        """The response begins with the final head's first byte; a 1xx is none of it."""
        self.stage()
        _, server = self.asked()
        server.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        self.wait(10)
        server.send(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP")
        self.wait(20)
        server.send(OK[4:])
        self.assertEqual((self.durations()["response_proxy"], self.durations()["service"]), (20, 30))

    def test_byte_pipe(self) -> None:
        """Of a pipe: its service, and the response, last until both directions have ended."""
        self.stage()
        client, server = self.asked(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
        )
        self.wait(5)
        server.send(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nab")
        self.wait(1000)
        client.half_close()
        self.wait(10)
        server.close()
        self.assert_durations(
            start_to_proxy=0, route=0, connect=0, send_headers=0, service=1015, request_proxy=0,
            response_proxy=1010, total=1015,
        )  # fmt: skip
        self.assertEqual(self.proxy.of("terminate")[0].arguments, ("normal",))


class Connects(Logged):
    """Failed connects, the pool, and what is sent twice."""

    def test_retried_connect(self) -> None:
        """Each connect is in the log; the durations, and the headers, are those of the last one."""
        self.stage(downstream_connect_timeout=300)
        self.one.ignores()
        self.two.ignores()
        client = self.proxy.client()
        client.send(GET)
        self.wait(340)
        self.two.accepts()
        server = self.two.accept()
        self.assertEqual(server.receive_request().header("Connect-Time"), "40")
        server.send(OK)
        self.assertEqual(client.receive_response().status, 200)
        self.assertEqual(
            self.events()[:8],
            [
                (0, "accepted", None),
                (0, "pre_connect", None),
                (0, "connect_time", "pre"),
                (300, "connect_time", "post"),
                (300, "pre_connect", None),
                (300, "connect_time", "pre"),
                (340, "connect_time", "post"),
                (340, "pre_proxy", None),
            ],
        )
        self.assertEqual((self.durations()["route"], self.durations()["connect"]), (300, 40))
        log = self.router.requests[0].log
        self.assertEqual(dict(log.flatten_report(log.linear_report()))["connect_time"], 340)

    def test_no_connect(self) -> None:
        """All connects failed: there is no service, and the last connect took its time."""
        self.stage(downstream_connect_timeout=300)
        self.one.refuses()
        self.two.ignores()
        self.proxy.client().send(GET)
        self.wait(300)
        self.assert_durations(route=0, connect=300, total=300)
        self.assertEqual(self.router.of("error_page")[0].arguments[0], "all_blocked")

    def test_pooled(self) -> None:
        """A connection from the pool took no time to connect, and each request has a log of its own."""
        self.stage(keepalive="default")
        client, server = self.asked()
        for which in range(3):
            server.receive_request()
            self.wait(10 + which)
            server.send(OK)
            client.receive_response()
            self.wait(100)
            self.assert_durations(
                which, start_to_proxy=0, route=0, connect=0, send_headers=0, service=10 + which,
                request_proxy=0, response_proxy=0, total=10 + which,
            )  # fmt: skip
            self.assertEqual(len(self.events(which)), 12)
            client.send(GET)
        server.receive_request()
        server.send(OK)
        starts = [request.log.event("accepted") for request in self.router.requests]
        self.assertEqual([round((each - EPOCH) * 1000) for each in starts], [0, 110, 221, 333])

    def test_silent_retry(self) -> None:
        """Rule 23: a pooled connection that was dead: a connect more, and the head is sent twice."""
        self.stage(keepalive="default")
        client, server = self.asked()
        server.send(OK)
        self.one.ignores()
        client.send(GET)
        self.wait(3)
        server.close()
        self.wait(4)
        self.one.accepts()
        fresh = self.one.accept()
        fresh.receive_request()
        self.wait(5)
        fresh.send(OK)
        client.receive_response()
        self.assertEqual(
            self.events()[6:],
            [
                (0, "headers_sent", None),
                (0, "service_time", "pre"),
                (3, "service_time", "post"),
                (3, "connect_time", "pre"),
                (7, "connect_time", "post"),
                (7, "headers_sent", None),
                (7, "service_time", "pre"),
                (12, "client_first_packet_recv", None),
                (12, "client_last_packet_recv", None),
                (12, "service_time", "post"),
                (12, "responded", None),
            ],
        )
        self.assert_durations(
            start_to_proxy=0, route=0, connect=4, send_headers=7, service=5, request_proxy=0,
            response_proxy=0, total=12,
        )  # fmt: skip

    def test_pipelined(self) -> None:
        """A request that waited behind another one begins when its turn comes."""
        self.stage(keepalive="default")
        client, server = self.asked(GET * 2)
        self.wait(50)
        server.send(OK)
        self.wait(7)
        server.send(OK)
        client.receive_response()
        client.receive_response()
        self.assertEqual([self.durations(which)["total"] for which in (0, 1)], [50, 7])
        second = self.router.requests[1].log
        self.assertAlmostEqual(second.event("accepted"), EPOCH + 0.05, places=5)


class Endings(Logged):
    """Requests that no back-end answers, or not to the end."""

    def test_answered_here(self) -> None:
        """Pages and answers of the proxy's own: nothing but their total."""

        def fail(_: Any) -> None:
            raise RouteError("mine")

        for outcome, by_a_stage in (
            (lambda _: Redirect("y"), False),
            (fail, False),
            (lambda _: Response(204), True),
            (fail, True),
        ):
            wait: Deferred[Any] = Deferred().addCallback(outcome)
            if by_a_stage:
                self.stage(middlewares=[lambda _, wait=wait: wait, *default_middlewares()])
            else:
                self.stage(answers={"lookup_domain_name": lambda *_, wait=wait: wait})
            self.proxy.client().send(GET)
            self.wait(9)
            wait.callback(None)
            self.proxy.settle()
            self.assert_durations(total=9)
            self.assertEqual([name for _, name, _ in self.events()], ["accepted", "responded"])

    def test_slow_error_page(self) -> None:
        """The time that the router takes for its page is part of the total, not of the service."""
        page: Deferred[Any] = Deferred()
        self.stage(answers={"error_page": lambda *_: page})
        _, server = self.asked()
        self.wait(20)
        server.close()
        self.wait(30)
        page.callback(ErrorPage(503))
        self.proxy.settle()
        self.assert_durations(
            start_to_proxy=0, route=0, connect=0, send_headers=0, service=20, request_proxy=0, total=50
        )

    def test_back_end_fails(self) -> None:
        """A service has a duration however it ends (as in vegur): a time-out takes its whole limit."""
        self.stage(downstream_timeout=3)
        self.asked()
        self.wait(3000)
        self.assertEqual(self.router.of("error_page")[0].arguments[0], ("downstream", "timeout"))
        self.assert_durations(
            start_to_proxy=0, route=0, connect=0, send_headers=0, service=3000, request_proxy=0, total=3000
        )

    def test_breaks_off(self) -> None:
        """A response that is broken off has begun, and not ended."""
        self.stage()
        _, server = self.asked()
        server.send(HEAD + b"h")
        self.wait(6)
        server.abort()
        self.assertEqual([name for _, name, _ in self.events()][-3:], [
            "client_first_packet_recv", "service_time", "responded"
        ])  # fmt: skip
        self.assertEqual((self.durations()["service"], self.durations()["response_proxy"]), (6, None))

    def test_client_leaves(self) -> None:
        """So does one whose client leaves."""
        self.stage()
        client, _ = self.asked()
        self.wait(8)
        client.abort()
        self.assertEqual((self.durations()["service"], self.durations()["total"]), (8, 8))

    def test_crash_before_it_is_sent(self) -> None:
        """Nothing was sent: there is no service, also where the connection had served another request before."""
        self.stage(keepalive="default")
        client, server = self.asked()
        server.send(OK)
        client.receive_response()
        self.router.on(feature=RuntimeError("boom"))
        client.send(GET)
        self.assertEqual(client.receive_response().status, 503)
        self.assert_durations(start_to_proxy=0, route=0, connect=0, total=0)
        request = self.router.requests[-1]
        self.assertEqual((request.bytes_sent, request.bytes_received), (0, 0))
        self.flushLoggedErrors(RuntimeError)


class WhoSeesIt(Logged):
    """Where the log can be read, and written."""

    def test_callbacks(self) -> None:
        """``additional_headers`` gets the log itself; ``checkin_service`` and ``terminate`` see all of it."""
        seen: list[tuple[str, list[str], Any]] = []

        def look(name: str, log: Any, request: Any) -> None:
            seen.append((name, [event for _, event, _ in log][-1:], request.total_duration))

        def headers(direction: str, log: Any, request: Any, state: Any) -> Any:
            self.assertIs(log, request.log)
            look(direction, log, request)
            return [(f"X-{direction}", str(log.between("accepted", "pre_proxy")))]

        self.stage(
            answers={
                "additional_headers": headers,
                "checkin_service": lambda *args: look("checkin", args[4].log, args[4]),
                "terminate": lambda status, request, state: look("terminate", request.log, request),
            }
        )
        client, server = self.asked()
        self.assertEqual(server.receive_request().header("X-upstream"), "0")
        self.wait(3)
        server.send(OK)
        self.assertEqual(client.receive_response().header("X-downstream"), "0")
        self.assertEqual(
            seen,
            [
                ("upstream", ["pre_proxy"], None),
                ("downstream", ["client_first_packet_recv"], None),
                ("checkin", ["responded"], 3),
                ("terminate", ["responded"], 3),
            ],
        )

    def test_own_stamps(self) -> None:
        """A router's events stand among the proxy's, with their details, durations and steps."""

        def checkout(group: Any, request: Any, state: Any) -> Any:
            request.log.stamp("tenant", "pre")
            waiting: Deferred[Any] = Deferred()
            self.proxy.clock.callLater(0.002, waiting.callback, None)

            def found(_: Any) -> Any:
                request.log.stamp("tenant", "post")
                return Backend("10.0.0.1", 80)

            return waiting.addCallback(found)

        self.stage(answers={"checkout_service": checkout, "terminate": lambda *_: succeed(None)})
        self.proxy.client().send(GET)
        self.wait(2)
        self.one.accept().send(OK)
        log = self.router.requests[0].log
        self.assertEqual(log.event_duration("tenant"), 2)
        self.assertEqual(log.linear_report()[1:4], [
            ("accepted_to_tenant", 0), ("tenant", 2), ("tenant_to_pre_connect", 0)
        ])  # fmt: skip
