"""From the ``OTEL_…`` variables to a `SpanRecorder` that exports. Source: OpenTelemetry's "Environment Variables"."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased

from vegurtx.tracing.ids import TraceIds
from vegurtx.tracing.otel.queue import QueueLimits, SpanQueue
from vegurtx.tracing.otel.recorder import SpanRecorder

_PROTOCOL = "http/protobuf"
_EXPORTERS = ("otlp", "console", "none")
DEFAULT_NAME = "vegurtx"


class ExportedSpans:
    """A recorder, and the queue through which its spans leave.

    :param recorder: for a `TracedRouter`.
    :param queue: `None` where nothing is exported.
    """

    def __init__(self, recorder: SpanRecorder, queue: SpanQueue | None) -> None:
        self.recorder = recorder
        self.queue = queue

    def run_with(self, reactor: Any) -> None:
        """Export while `reactor` runs: from its start to behind its last service's end."""
        if self.queue is not None:
            reactor.callWhenRunning(self.queue.start)
            # Behind the drain: its requests have spans, too. Nobody is served any more, so that waiting hurts nobody.
            reactor.addSystemEventTrigger("after", "shutdown", self.queue.finish)


def spans_from_environment(
    reactor: Any,
    *,
    sample: float | None = None,
    restart: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> ExportedSpans:
    """What the standard variables describe.

    :param reactor: for the queue's time and thread; `ExportedSpans.run_with` is the caller's business.
    :param sample: which part of the traces that begin here is recorded, from 0 to 1; `None`: what
        ``OTEL_TRACES_SAMPLER`` says, else all. Traces that are passed on keep their decision.
    :param restart: as for `Propagation`.
    :param environment: the variables. The SDK reads those that it knows by itself.
    :raises ValueError: one of them has no meaning; the text says which.
    """
    exporter = _exporter(environment)
    limits = QueueLimits.from_environment(environment)
    sampler: Sampler | None = None
    if sample is not None or not environment.get("OTEL_TRACES_SAMPLER"):
        sampler = ParentBased(TraceIdRatioBased(1.0 if sample is None else sample))
    provider = TracerProvider(sampler, _resource(), shutdown_on_exit=False, id_generator=_Ids())
    queue = None
    if exporter is not None:
        queue = SpanQueue(exporter, reactor, limits)
        provider.add_span_processor(queue)
    return ExportedSpans(SpanRecorder(provider, restart), queue)


def check_environment(environment: Mapping[str, str] = os.environ) -> None:
    """See whether `spans_from_environment` could be asked.

    :raises ValueError: as there.
    """
    QueueLimits.from_environment(environment)
    _exporter(environment)


def _exporter(environment: Mapping[str, str]) -> SpanExporter | None:
    name = environment.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    if name not in _EXPORTERS:
        raise ValueError(f"OTEL_TRACES_EXPORTER: {name!r} is not allowed; it must be {', '.join(_EXPORTERS)}")
    if name == "none":
        return None
    if name == "console":
        return ConsoleSpanExporter()
    for variable in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environment.get(variable, "").strip()
        if protocol and protocol != _PROTOCOL:
            raise ValueError(f"{variable}: {protocol!r} is not allowed; it must be {_PROTOCOL}")
        if protocol:
            break
    try:
        return OTLPSpanExporter()
    except Exception as problem:  # a timeout that is no number, a compression that nobody knows
        raise ValueError(f"OTEL_EXPORTER_OTLP_…: {problem}") from None


def _resource() -> Resource:
    resource = Resource.create()
    if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: DEFAULT_NAME}))
    return resource


class _Ids(IdGenerator):
    """Ids that nobody can guess, from the system's source of random bytes."""

    def __init__(self) -> None:
        self._ids = TraceIds()

    def generate_trace_id(self) -> int:
        return int(self._ids.trace(), 16)

    def generate_span_id(self) -> int:
        return int(self._ids.span(), 16)

    def is_trace_id_random(self) -> bool:
        return True
