"""From a request over real sockets to a collector that decodes what it gets."""

from __future__ import annotations

from typing import Any
from unittest import mock

from otlp_receiver import PATIENCE, Receiver, attributes
from twisted.logger import capturedLogs, formatEvent

from vegurtx.testing import ProxyTestCase, ScriptedServer, answering, response_bytes, router_to
from vegurtx.tracing import TracedRouter
from vegurtx.tracing.otel.environment import check_environment, spans_from_environment
from vegurtx.tracing.otel.queue import SpanQueue

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
GET = f"GET /a HTTP/1.1\r\nHost: example.org\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\n\r\n".encode()


class Exported(ProxyTestCase):
    """A proxy whose spans go to a collector of the test's own."""

    def collector(self, status: int = 200) -> Receiver:
        """One that listens."""
        receiver = Receiver(status)
        self.addCleanup(receiver.stop)
        return receiver

    async def stage(self, url: str, /, **variables: str) -> tuple[Any, ScriptedServer, SpanQueue]:
        """A proxy that exports to `url`, its back-end, and its queue. `variables`: more of OpenTelemetry's."""
        given = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_BSP_SCHEDULE_DELAY": "20", **variables}
        with mock.patch.dict("os.environ", given):
            check_environment()
            spans = spans_from_environment(self.reactor)
        queue = spans.queue
        assert queue is not None
        queue.start()
        self.addCleanup(queue.shutdown)
        backend = await self.backend(handler=answering(response_bytes(200, b"hi")))
        proxy = await self.proxy(TracedRouter(router_to(backend, checkout_service="web"), spans.recorder))
        proxy.router.router.on(service_backend=backend.as_backend())
        return proxy, backend, queue

    async def ask(self, proxy: Any, times: int = 1) -> None:
        """So many requests, each on a connection of its own."""
        for _ in range(times):
            client = await proxy.connect()
            client.send(GET)
            self.assertEqual((await client.receive_response()).status, 200)
            client.close()
            await proxy.router.router.finished

    async def test_collector(self) -> None:
        """Both spans reach it, as children of the client's span and of each other, with names and resource."""
        collector = self.collector()
        proxy, _, queue = await self.stage(
            collector.url,
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment=test",
            OTEL_EXPORTER_OTLP_HEADERS="api-key=abc",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        )
        await self.ask(proxy)
        collector.wait(2)
        by_kind = {span.kind: span for span, _ in collector.spans}
        server, client = by_kind[2], by_kind[3]
        self.assertEqual({server.trace_id.hex(), client.trace_id.hex()}, {TRACE})
        self.assertEqual(server.parent_span_id.hex(), PARENT)
        self.assertEqual(client.parent_span_id, server.span_id)
        self.assertEqual(server.name, "GET web")
        self.assertEqual(attributes(server)["http.response.status_code"], 200)
        self.assertIn("vegurtx.connect.duration", attributes(client))
        self.assertLessEqual(server.start_time_unix_nano, client.start_time_unix_nano)
        self.assertLessEqual(client.end_time_unix_nano, server.end_time_unix_nano)
        resource = collector.spans[0][1]
        self.assertEqual(resource["service.name"], "vegurtx")
        self.assertEqual(resource["deployment.environment"], "test")
        self.assertEqual(collector.headers["path"], "/v1/traces")
        self.assertEqual(collector.headers["api-key"], "abc")
        queue.finish(PATIENCE)
        self.assertEqual((queue.exported, queue.lost), (2, 0))

    async def test_recording_back_end(self) -> None:
        """The back-end gets the client span's id, whose span the collector gets."""
        collector = self.collector()
        proxy, backend, _ = await self.stage(collector.url)
        client = await proxy.connect()
        client.send(GET)
        await client.receive_response()
        client.close()
        server = backend.connections[0]
        (line,) = [
            line for line in bytes(server.received).split(b"\r\n") if line.startswith(b"traceparent: ")
        ]
        collector.wait(2)
        (asked,) = [span for span, _ in collector.spans if span.kind == 3]
        self.assertEqual(line.decode(), f"traceparent: 00-{TRACE}-{asked.span_id.hex()}-01")

    async def test_nobody_there(self) -> None:
        """Without a collector requests go on, spans are lost and counted, and the log has one line of it."""
        address = await self.refusing_backend()
        with capturedLogs() as events:
            proxy, _, queue = await self.stage(
                f"http://127.0.0.1:{address.port}", OTEL_EXPORTER_OTLP_TIMEOUT="0.001"
            )
            await self.ask(proxy, 5)
            await self.until(lambda: queue.failed == 10, "all spans are lost")
            await self.turns()
            said = [
                formatEvent(event) or "" for event in events if "tracing" in str(event.get("log_namespace"))
            ]
        self.assertEqual(len(said), 1, said)
        self.assertRegex(said[0], r"tracing: \d+ spans lost so far \(.*spans batch.*\)")

    async def test_refusing_collector(self) -> None:
        """One that wants none of them is no trouble, either."""
        collector = self.collector(403)
        proxy, _, queue = await self.stage(collector.url)
        await self.ask(proxy)
        await self.until(lambda: queue.failed == 2, "both spans are lost")
        queue.finish(PATIENCE)
        self.assertEqual(queue.exported, 0)

    async def test_service_name(self) -> None:
        """The user's own name of the service goes before ours."""
        for given in ({"OTEL_SERVICE_NAME": "edge"}, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=edge"}):
            collector = self.collector()
            proxy, _, queue = await self.stage(collector.url, **given)
            await self.ask(proxy)
            queue.finish(PATIENCE)
            self.assertEqual(collector.spans[0][1]["service.name"], "edge")

    async def test_sampler_variable(self) -> None:
        """``OTEL_TRACES_SAMPLER`` is heard, unless the program says how much is sampled."""
        with mock.patch.dict(
            "os.environ", {"OTEL_TRACES_SAMPLER": "always_off", "OTEL_TRACES_EXPORTER": "none"}
        ):
            for sample, sampled in ((None, False), (1.0, True), (0.0, False)):
                spans = spans_from_environment(self.reactor, sample=sample)
                self.assertIsNone(spans.queue)
                provider: Any = spans.recorder._tracer
                self.assertEqual(provider.start_span("x").is_recording(), sampled, sample)

    async def test_refused_variables(self) -> None:
        """A value that has no meaning is named, in one line."""
        for name, value in (
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "none"),
        ):
            with mock.patch.dict("os.environ", {name: value}):
                problem = str(self.assertRaises(ValueError, check_environment))
            self.assertIn(name, problem)
            self.assertNotIn("\n", problem)
