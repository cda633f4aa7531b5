"""OpenTelemetry's spans: one for each request, one for each try to ask a back-end, and how they hang together."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import StatusCode
from otel_case import GET, GOOD, HOST, PARENT, PORT, TRACE, SpansCase, ids, parent_of, said
from twisted.internet.address import IPv4Address

from vegurtx import Backend, Response, RouteError, default_middlewares
from vegurtx.testing import answering, response_bytes
from vegurtx.testing.memory.connection import MemoryClient
from vegurtx.testing.memory.proxy import EPOCH
from vegurtx.tracing import Propagation, TracedRouter
from vegurtx.tracing.context import parsed_parent
from vegurtx.tracing.otel.recorder import SpanRecorder


class Named:
    """A service with a name, as the balancer's."""

    name = "web"


class Plain(SpansCase):
    """A request that goes well."""

    def connected_late(self, request: bytes) -> MemoryClient:
        """A client that has sent `request`; the connect to its back-end takes a second."""
        self.back.ignores()
        client = self.asked(request)
        self.proxy.clock.advance(1)
        self.back.accepts()
        return client

    def test_two_spans(self) -> None:
        """A server span, and under it a client span, which is the parent that the back-end gets."""
        self.stage()
        self.asked()
        (client,) = self.tries
        self.assertEqual(parent_of(client), ids(self.server)[1])
        self.assertIsNone(self.server.parent)
        self.assertEqual(self.got(), f"00-{ids(client)[0]}-{ids(client)[1]}-03")
        self.assertEqual(ids(self.server), (self.trace.trace_id, self.trace.span_id))
        self.assertEqual(self.server.status.status_code, StatusCode.UNSET)
        self.assertEqual(client.status.status_code, StatusCode.UNSET)

    def test_server_attributes(self) -> None:
        """The semantic conventions' attributes; the query is not among them."""
        self.stage(checkout_service=Named(), service_backend=Backend(HOST, PORT))
        self.asked(GET.replace(b"\r\n\r\n", b"\r\nUser-Agent: curl/8\r\n\r\n"))
        self.assertEqual(self.server.name, "GET web")
        self.assertEqual(
            said(self.server),
            {
                "http.request.method": "GET",
                "url.path": "/a",
                "url.scheme": "http",
                "server.address": "example.org",
                "network.protocol.version": "1.1",
                "client.address": "192.0.2.1",
                "client.port": 40000,
                "network.peer.address": "192.0.2.1",
                "network.peer.port": 40000,
                "user_agent.original": "curl/8",
                "http.route": "web",
                "http.response.status_code": 200,
                "vegurtx.request_id": self.router.requests[0].id,
            },
        )

    def test_client_attributes(self) -> None:
        """The back-end's address, and how long its connect and its first byte took."""
        self.stage()
        self.connected_late(GET)
        attributes = said(self.tries[0])
        self.assertEqual(self.tries[0].name, "GET")
        self.assertEqual(attributes.pop("vegurtx.connect.duration"), 1.0)
        self.assertEqual(attributes.pop("vegurtx.first_byte.duration"), 0.0)
        self.assertEqual(
            attributes,
            {
                "http.request.method": "GET",
                "server.address": HOST,
                "server.port": PORT,
                "url.full": f"http://{HOST}:{PORT}/a",
                "http.response.status_code": 200,
                "vegurtx.connection.reused": False,
            },
        )

    def test_times(self) -> None:
        """Spans begin and end when the request and its parts do, whenever the SDK hears of it."""
        self.stage(handler=_silent)
        self.back.ignores()
        client = self.asked()
        self.proxy.clock.advance(2)
        self.back.accepts()
        self.proxy.clock.advance(3)
        self.back.connections[0].send(response_bytes(200, b"hi"))
        client.receive_response()
        times = [(span.start_time or 0, span.end_time or 0) for span in (self.server, self.tries[0])]
        begin, end = int(EPOCH * 1e9), int((EPOCH + 5) * 1e9)
        for start, stop in times:
            self.assertAlmostEqual(start, begin, delta=1000)
            self.assertAlmostEqual(stop, end, delta=1000)
        attributes = said(self.tries[0])
        self.assertAlmostEqual(attributes["vegurtx.connect.duration"], 2.0)
        self.assertAlmostEqual(attributes["vegurtx.first_byte.duration"], 3.0)

    def test_reused_connection(self) -> None:
        """A connection of the pool took no connect."""
        self.stage(service_backend=Backend(HOST, PORT, keepalive="default"))
        self.router.on(checkout_service="web")
        self.connected_late(GET).send(GET)
        reused = [said(span) for span in self.tries]
        self.assertEqual([each["vegurtx.connection.reused"] for each in reused], [False, True])
        self.assertNotIn("vegurtx.connect.duration", reused[1])

    def test_unix_back_end(self) -> None:
        """One behind a UNIX socket has its path for an address."""
        self.stage(backends=[Backend.unix("/run/app.sock")])
        self.proxy.backend(path="/run/app.sock", handler=answering(response_bytes(200, b"hi")))
        self.asked()
        attributes = said(self.tries[0])
        self.assertEqual(attributes["server.address"], "/run/app.sock")
        self.assertEqual(attributes["url.full"], "http://localhost/a")
        self.assertNotIn("server.port", attributes)

    def test_proxy_protocol(self) -> None:
        """Behind a PROXY listener the client is who its header names, and the peer who has connected."""
        self.stage()
        self.asked(proxy_peer=IPv4Address("TCP", "203.0.113.9", 999))
        attributes = said(self.server)
        self.assertEqual(attributes["client.address"], "192.0.2.1")
        self.assertEqual(attributes["network.peer.address"], "203.0.113.9")

    def test_bounds(self) -> None:
        """What a client chooses is cut, and its methods do not become names of spans."""
        self.stage()
        long = b"x" * 4000
        self.asked(b"FOO%b /%b HTTP/1.1\r\nHost: x\r\nUser-Agent: %b\r\n\r\n" % (long[:600], long, long))
        attributes = said(self.server)
        self.assertEqual(self.server.name, "HTTP")
        self.assertEqual(attributes["http.request.method"], "_OTHER")
        for name in ("http.request.method_original", "url.path", "user_agent.original"):
            self.assertEqual(len(attributes[name]), 512, name)

    def test_each_request_of_a_connection(self) -> None:
        """Each request has a span of its own; none is left over."""
        self.stage(service_backend=Backend(HOST, PORT, keepalive="default"), checkout_service="web")
        client = self.asked()
        client.send(GET * 3)
        self.assertEqual(len(self.spans), 8)
        self.assertEqual(len({ids(span)[0] for span in self.spans}), 4)


class Parents(SpansCase):
    """Traces that come from the client."""

    def test_continued(self) -> None:
        """The server span is the child of the client's span, which is remote."""
        self.stage()
        self.asked(_with(f"traceparent: {GOOD}", "tracestate: a=1"))
        self.assertEqual(ids(self.server)[0], TRACE)
        self.assertEqual(parent_of(self.server), PARENT)
        assert self.server.parent is not None
        self.assertTrue(self.server.parent.is_remote)
        self.assertEqual(self.got(), f"00-{TRACE}-{ids(self.tries[0])[1]}-01")
        self.assertIn(b"\r\ntracestate: a=1\r\n", bytes(self.back.connections[0].received))

    def test_restarted(self) -> None:
        """With `restart` nothing of the client's is believed."""
        self.stage(restart=True)
        self.asked(_with(f"traceparent: {GOOD}", "tracestate: a=1"))
        self.assertNotEqual(ids(self.server)[0], TRACE)
        self.assertIsNone(self.server.parent)
        self.assertNotIn(b"tracestate", bytes(self.back.connections[0].received))

    def test_not_sampled(self) -> None:
        """What is not sampled makes no span, and goes on all the same."""
        self.stage(sampler=ParentBased(ALWAYS_OFF))
        self.asked()
        self.assertEqual(self.spans, ())
        self.assertEqual(self.got(), self.trace.traceparent)
        self.assertFalse(self.trace.sampled)

    def test_parents_decision(self) -> None:
        """A client's decision holds, where the sampler asks for it."""
        self.stage(sampler=ParentBased(ALWAYS_OFF))
        self.asked(_with(f"traceparent: {GOOD}"))
        self.assertEqual(len(self.spans), 2)
        self.stage(sampler=ParentBased(ALWAYS_ON))
        self.asked(_with(f"traceparent: {GOOD[:-2]}00"))
        self.assertEqual(self.spans, ())
        self.assertEqual(self.got(), f"00-{TRACE}-{self.trace.span_id}-00")

    def test_the_samplers_state(self) -> None:
        """What a sampler puts into the ``tracestate`` goes on."""

        class Marking(Sampler):
            def should_sample(
                self, parent_context: Any, trace_id: int, name: str, *rest: Any, **more: Any
            ) -> Any:
                from opentelemetry.sdk.trace.sampling import Decision
                from opentelemetry.trace import TraceState

                return SamplingResult(Decision.RECORD_AND_SAMPLE, trace_state=TraceState([("ot", "th:8")]))

            def get_description(self) -> str:
                return "marking"

        self.stage(sampler=Marking())
        self.asked()
        self.assertIn(b"\r\ntracestate: ot=th:8\r\n", bytes(self.back.connections[0].received))

    def test_broken_sampler(self) -> None:
        """A sampler that raises costs the span, not the request, and the trace goes on."""

        class Broken(Sampler):
            def should_sample(self, *arguments: Any, **more: Any) -> Any:
                raise RuntimeError("boom")

            def get_description(self) -> str:
                return "broken"

        self.stage(sampler=Broken())
        self.assertEqual(self.asked(_with(f"traceparent: {GOOD}")).receive_response().status, 200)
        self.assertEqual(self.spans, ())
        self.assertTrue((self.got() or "").startswith(f"00-{TRACE}-"))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_switched_off(self) -> None:
        """With ``OTEL_SDK_DISABLED`` no span is made, and traces are passed on."""
        self.patch_environment("OTEL_SDK_DISABLED", "true")
        self.stage()
        self.asked()
        sent = parsed_parent([(self.got() or "").encode()])
        assert sent is not None
        self.assertEqual(self.spans, ())

    def patch_environment(self, name: str, value: str) -> None:
        """Set a variable for this test."""
        import os

        self.patch(os, "environ", {**os.environ, name: value})
        import opentelemetry.sdk.trace as sdk

        self.patch(sdk, "environ", os.environ)


class Errors(SpansCase):
    """Requests that go wrong, and tries that do."""

    def failed(self) -> tuple[Any, Any, Any]:
        """Of the server span: ``error.type``, the status code, and the span's status."""
        attributes = said(self.server)
        return (
            attributes.get("error.type"),
            attributes.get("http.response.status_code"),
            self.server.status.status_code,
        )

    def test_refused(self) -> None:
        """A connect that fails is a span, too; the request has Heroku's code."""
        self.stage(exhausted=("downstream", "econnrefused"))
        self.back.refuses()
        self.asked()
        self.assertEqual(self.failed(), ("H21", 503, StatusCode.ERROR))
        (client,) = self.tries
        self.assertEqual(said(client)["error.type"], "downstream.econnrefused")
        self.assertEqual(client.status.status_code, StatusCode.ERROR)
        self.assertNotIn("http.response.status_code", said(client))

    def test_second_back_end(self) -> None:
        """After a failed connect the next try is counted, and the request goes well."""
        self.stage(backends=[Backend("10.0.0.9", 80), Backend(HOST, PORT)])
        self.asked()
        first, second = self.tries
        self.assertEqual(said(first)["error.type"], "downstream.econnrefused")
        self.assertNotIn("http.request.resend_count", said(first))
        self.assertEqual(said(second)["http.request.resend_count"], 1)
        self.assertEqual(said(second)["server.address"], HOST)
        self.assertEqual(self.got(), f"00-{ids(second)[0]}-{ids(second)[1]}-03")
        self.assertEqual(self.failed(), (None, 200, StatusCode.UNSET))

    def test_retried(self) -> None:
        """A try that fails after its connect ends, and another begins."""

        async def closing(connection: Any) -> None:
            await connection.receive_request()
            connection.close()

        self.stage(backends=[Backend("10.0.0.9", 80), Backend(HOST, PORT)], feature={"retry"})
        other = self.proxy.backend("10.0.0.9", 80, closing)
        self.asked()
        first, second = self.tries
        self.assertEqual(said(first)["error.type"], "downstream.closed")
        self.assertEqual(said(second)["http.response.status_code"], 200)
        self.assertIn(ids(first)[1].encode(), bytes(other.connections[0].received))
        self.assertIn(ids(second)[1].encode(), bytes(self.back.connections[0].received))

    def test_no_first_byte(self) -> None:
        """A back-end that says nothing in time: H12, and its span is an error."""
        self.stage(handler=_silent, settings={"downstream_timeout": 3})
        self.asked()
        self.proxy.clock.advance(4)
        self.assertEqual(self.failed(), ("H12", 503, StatusCode.ERROR))
        self.assertEqual(said(self.tries[0])["error.type"], "downstream.timeout")

    def test_client_leaves(self) -> None:
        """A client that leaves is no error of ours; its span says what happened."""
        self.stage(handler=_silent)
        self.asked().abort()
        self.assertEqual(self.failed(), ("H27", None, StatusCode.UNSET))
        self.assertEqual(said(self.tries[0])["error.type"], "upstream.closed")

    def test_back_ends_own_errors(self) -> None:
        """A back-end's 5xx is an error of both spans, its 404 of the client span alone."""
        self.stage(handler=answering(response_bytes(503)))
        self.asked()
        self.assertEqual(self.failed(), ("503", 503, StatusCode.ERROR))
        self.assertEqual(said(self.tries[0])["error.type"], "503")
        self.stage(handler=answering(response_bytes(404)))
        self.asked()
        self.assertEqual(self.failed(), (None, 404, StatusCode.UNSET))
        self.assertEqual(self.tries[0].status.status_code, StatusCode.ERROR)

    def test_refused_by_the_router(self) -> None:
        """A reason of a router's own is one word: whatever it holds, it cannot become a thousand of them."""
        self.stage(checkout_service=RouteError(("blocked", "because of " + "x" * 999), 403))
        self.asked()
        self.assertEqual(self.failed(), ("other", 403, StatusCode.ERROR))
        self.assertEqual(self.tries, [])

    def test_malformed(self) -> None:
        """A request that the first stage refuses has a span, too."""
        self.stage()
        self.asked(b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n")
        self.assertEqual(self.failed()[1:], (400, StatusCode.UNSET))

    def test_a_stages_answer(self) -> None:
        """What a stage answers is no back-end's, and no error."""
        stages = [lambda request: Response(200, [], b"ok"), *default_middlewares()]
        self.stage(middlewares=stages)
        self.asked()
        self.assertEqual(self.failed(), (None, 200, StatusCode.UNSET))
        self.assertEqual(self.tries, [])

    def test_cut_response(self) -> None:
        """A response that breaks off in the middle is an error, whatever its status was."""

        async def breaking(connection: Any) -> None:
            await connection.receive_request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal")
            connection.close()

        self.stage(handler=breaking)
        self.asked()
        self.assertEqual(self.failed(), ("H18", 200, StatusCode.ERROR))
        self.assertEqual(said(self.tries[0])["http.response.status_code"], 200)

    def test_tunnel(self) -> None:
        """A byte pipe's spans end with it."""

        async def upgrading(connection: Any) -> None:
            await connection.receive_request()
            connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")

        self.stage(handler=upgrading)
        client = self.asked(_with("Connection: upgrade", "Upgrade: x"))
        self.assertEqual(self.spans, ())
        client.close()
        self.back.connections[0].close()
        self.assertEqual(said(self.server)["http.response.status_code"], 101)
        self.assertEqual(len(self.spans), 2)

    def test_lost_span(self) -> None:
        """Whatever goes wrong with a span, the router is told of the failed connect and of the request's end."""

        class Failing(Propagation):
            records = True

            def failed(self, *arguments: Any) -> None:
                raise RuntimeError("boom")

            def ended(self, *arguments: Any) -> None:
                raise RuntimeError("boom")

        from vegurtx.testing import MemoryProxy

        self.stage()
        proxy = MemoryProxy(TracedRouter(self.router, Failing()))
        self.addCleanup(proxy.stop)
        proxy.client().send(GET)
        self.assertEqual(self.router.names[-3:], ["error_page", "checkin_service", "terminate"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_recorder_takes_any_provider(self) -> None:
        """The recorder is made of a provider alone: a program that has one already gives its own."""
        self.assertTrue(SpanRecorder(TracerProvider(shutdown_on_exit=False)).records)


async def _silent(connection: Any) -> None:
    await connection.receive_request()


def _with(*fields: str) -> bytes:
    """`GET` with more field lines."""
    return GET[:-2] + "".join(f"{field}\r\n" for field in fields).encode("latin-1") + b"\r\n"
