"""`SpanRecorder`: makes the spans of a request, in the reactor's thread; nothing here waits for anybody."""

from __future__ import annotations

from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TracerProvider,
    TraceState,
    set_span_in_context,
)
from twisted.logger import Logger

from vegurtx import __version__
from vegurtx.ops.access_log.codes import ending, label_of
from vegurtx.proxy.observing import durations
from vegurtx.tracing.context import KNOWN_FLAGS
from vegurtx.tracing.otel.attributes import (
    at_begin,
    at_end,
    method_of,
    of_try,
    route_of,
    span_name,
)
from vegurtx.tracing.propagation import Incoming, Propagation
from vegurtx.tracing.trace import Pairs, Trace

_log = Logger()

_NOWHERE = Context()  # never the context of whoever happens to run


class RecordedTrace(Trace):
    """A request's trace, of which spans are recorded.

    ``span`` is the server span; ``asking`` the client span of the present try, if one is under way; ``tries`` how many
    there were.
    """

    __slots__ = ("asking", "method", "tries")

    asking: Span | None
    method: str
    tries: int


class SpanRecorder:
    """Records a server span for each request, and a client span for each try to ask a back-end.

    :param provider: makes the spans, and sends them wherever it sends them.
    :param restart: as for `Propagation`.
    """

    #: see `Propagation.records`
    records = True

    def __init__(self, provider: TracerProvider, restart: bool = False) -> None:
        self.restart = restart
        self._tracer = provider.get_tracer("vegurtx", __version__)
        self._propagation = Propagation(0.0, restart)

    def begin(self, request: Any, accepted_at: float) -> Trace:
        """The trace of `request`, which has just been accepted. The provider's sampler says whether it is recorded."""
        try:
            return self._begin(request, accepted_at)
        except Exception:  # a sampler of the user's own may raise anything
            _log.failure("a span could not begin")
            return self._propagation.begin(request, accepted_at)

    def _begin(self, request: Any, accepted_at: float) -> Trace:
        incoming = Incoming(request, self.restart)
        parent = incoming.parent
        around = _NOWHERE
        if parent is not None:
            state = TraceState.from_header([incoming.state]) if incoming.state else TraceState()
            caller = SpanContext(
                int(parent.trace_id, 16), int(parent.parent_id, 16), True, TraceFlags(parent.flags), state
            )
            around = set_span_in_context(NonRecordingSpan(caller), _NOWHERE)
        method = method_of(request)
        span = self._tracer.start_span(
            span_name(method),
            around,
            SpanKind.SERVER,
            at_begin(request, method),
            start_time=_nanoseconds(accepted_at),
        )
        context = span.get_span_context()
        if not context.is_valid:  # a provider that is switched off
            return self._propagation.begin(request, accepted_at)
        # the sampler may have put in something of its own
        state_text = context.trace_state.to_header() if context.trace_state else ""
        state_pair: Pairs = incoming.state_pair
        if state_text != incoming.state:
            state_pair = (("tracestate", state_text or None),)
        trace = RecordedTrace(
            f"{context.trace_id:032x}",
            f"{context.span_id:016x}",
            None if parent is None else parent.parent_id,
            context.trace_flags & KNOWN_FLAGS,
            state_text,
            state_pair,
        )
        trace.span = span
        trace.asking = None
        trace.method = method
        trace.tries = 0
        return trace

    def sent(self, request: Any, trace: Trace) -> Pairs:
        """The fields for the back-end. Its spans are children of the try's."""
        if not isinstance(trace, RecordedTrace) or not trace.span.is_recording():
            return trace.pairs(trace.span_id)
        trace.asking = span = self._ask(request, trace)
        return trace.pairs(f"{span.get_span_context().span_id:016x}")

    def _ask(self, request: Any, trace: RecordedTrace) -> Span:
        begun = request.log.event("pre_connect")
        span = self._tracer.start_span(
            span_name(trace.method),
            set_span_in_context(trace.span, _NOWHERE),
            SpanKind.CLIENT,
            of_try(request, request.exchange.backend, trace.method, trace.tries),
            start_time=None if begun is None else _nanoseconds(begun),
        )
        trace.tries += 1
        return span

    def failed(self, request: Any, trace: Trace, reason: Any) -> None:
        """A try has come to nothing, and another one may follow."""
        if not isinstance(trace, RecordedTrace) or not trace.span.is_recording():
            return
        span = trace.asking or self._ask(request, trace)  # a connect that failed has sent nothing
        trace.asking = None
        _timed(span, request)
        # of a failed connect, the check-in has the bare word
        _failed(span, label_of(("downstream", reason) if isinstance(reason, str) else reason))
        span.end(_now(request))

    def ended(self, request: Any, trace: Trace, service: Any, reason: Any) -> None:
        """The request has ended: with ``"normal"``, or with what went wrong."""
        if not isinstance(trace, RecordedTrace) or not trace.span.is_recording():
            return
        at = _now(request)
        asking, trace.asking = trace.asking, None
        if asking is not None:
            self._answered(asking, request, reason, at)
        span = trace.span
        route = route_of(service)
        if route:
            span.update_name(span_name(trace.method, route))
        span.set_attributes(at_end(request, trace.method, route))
        code = request.response_code
        if reason != "normal":
            end = ending(request, reason)
            span.set_attribute("error.type", end.code or end.label)
            # what is the client's fault is no error of the server's (as for 4xx)
            if end.blame != "upstream":
                span.set_status(StatusCode.ERROR, end.description)
        elif code is not None and code >= 500:
            _failed(span, str(code))
        span.end(at)

    def _answered(self, span: Span, request: Any, reason: Any, at: int) -> None:
        _timed(span, request)
        code = None if hasattr(request.exchange, "page_size") else request.response_code
        if code is not None:
            span.set_attribute("http.response.status_code", code)
        if reason != "normal":
            _failed(span, label_of(reason))
        elif code is not None and code >= 400:
            _failed(span, str(code))
        log = request.log
        over = log.event("service_time") if log.event_duration("service_time") is not None else None
        span.end(at if over is None else _nanoseconds(over))


def _timed(span: Span, request: Any) -> None:
    """How long the connect took, and the first byte: seconds. A connection of the pool took none."""
    _, connect, first, _, _ = durations(request.log.events)
    span.set_attribute("vegurtx.connection.reused", connect is None)
    if connect is not None:
        span.set_attribute("vegurtx.connect.duration", connect)
    if first is not None:
        span.set_attribute("vegurtx.first_byte.duration", first)


def _failed(span: Span, what: str) -> None:
    span.set_attribute("error.type", what)
    span.set_status(StatusCode.ERROR)


def _now(request: Any) -> int:
    """The time of the latest event, in nanoseconds since the epoch."""
    log = request.log
    at = log.event(log.events[-2])
    return _nanoseconds(at)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
