"""What the tests of OpenTelemetry's spans share: a proxy in memory whose spans are kept in a list."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import SpanKind
from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Backend
from vegurtx.testing import MemoryProxy, RecordingRouter, answering, parse_request_head, response_bytes
from vegurtx.testing.memory.connection import MemoryClient
from vegurtx.tracing import META, Trace, TracedRouter
from vegurtx.tracing.otel.recorder import SpanRecorder

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{PARENT}-01"
GET = b"GET /a?secret=1 HTTP/1.1\r\nHost: example.org:8080\r\n\r\n"
HOST, PORT = "10.0.0.1", 8081


class SpansCase(SynchronousTestCase):
    """A proxy whose router is traced, and the spans that it makes."""

    def stage(
        self,
        *,
        sampler: Sampler | None = None,
        restart: bool = False,
        backends: list[Backend] | None = None,
        settings: dict[str, Any] | None = None,
        handler: Any = None,
        middlewares: Any = None,
        **answers: Any,
    ) -> None:
        """Start it. `backends`: others than the one that listens; `handler`: how that one answers."""
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        recorder = SpanRecorder(provider, restart)
        self.router = RecordingRouter(backends or [Backend(HOST, PORT)], **answers)
        self.proxy = MemoryProxy(TracedRouter(self.router, recorder), settings, middlewares)
        self.back = self.proxy.backend(HOST, PORT, handler or answering(response_bytes(200, b"hi")))
        self.addCleanup(self.proxy.stop)

    def asked(self, request: bytes = GET, **client: Any) -> MemoryClient:
        """A client that has sent `request`."""
        made = self.proxy.client(**client)
        made.send(request)
        return made

    def got(self, number: int = -1) -> str | None:
        """The ``traceparent`` that the back-end got on its connection `number`."""
        return parse_request_head(bytes(self.back.connections[number].received)).header("traceparent")

    @property
    def trace(self) -> Trace:
        """The last request's."""
        trace: Trace = self.router.requests[-1].meta[META]
        return trace

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """Every span that has ended, in that order."""
        return self.exporter.get_finished_spans()

    @property
    def server(self) -> ReadableSpan:
        """The one server span."""
        (span,) = (span for span in self.spans if span.kind is SpanKind.SERVER)
        return span

    @property
    def tries(self) -> list[ReadableSpan]:
        """The client spans."""
        return [span for span in self.spans if span.kind is SpanKind.CLIENT]


def said(span: ReadableSpan) -> dict[str, Any]:
    """A span's attributes."""
    return dict(span.attributes or {})


def ids(span: ReadableSpan) -> tuple[str, str]:
    """A span's trace and its own id, in hexadecimal digits."""
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def parent_of(span: ReadableSpan) -> str | None:
    """The id of a span's parent."""
    return None if span.parent is None else f"{span.parent.span_id:016x}"
