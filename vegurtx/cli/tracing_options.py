"""The options of tracing: a user's words become a `TracingSpec`, and that a router around the router."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from twisted.python import usage

#: what ``--tracing`` may be; the first one is the default
OFF, PROPAGATE, OTEL = MODES = ("off", "propagate", "otel")
_EXTRA = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")

PARAMETERS: list[list[Any]] = [
    [
        "tracing",
        None,
        None,
        "W3C Trace Context. propagate: pass traces on, or begin them; otel: and export spans of them by OpenTelemetry "
        f"as its OTEL_ variables say. [default: {OFF}]",
    ],
    [
        "trace-sample",
        None,
        None,
        "Which part of the traces that begin here is sampled, from 0 to 1. [default: 1]",
    ],
]
FLAGS: list[list[Any]] = [
    [
        "trace-restart",
        None,
        "Begin a new trace for each request, whatever trace its client says it belongs to.",
    ],
]


@dataclass(frozen=True)
class TracingSpec:
    """What the options ask for. Plain data, which another process can have, too."""

    mode: str = OFF
    sample: float | None = None
    restart: bool = False


def tracing_spec(options: Any) -> TracingSpec:
    """What the parsed `options` ask for.

    :raises usage.UsageError: something cannot be used, does not go together, or is not installed. OpenTelemetry's
        variables are looked at, too: a supervisor shall say so, not each of its workers.
    """
    mode = options["tracing"] or OFF
    if mode not in MODES:
        raise usage.UsageError(f"--tracing: {mode!r} is not allowed; it must be {', '.join(MODES)}")
    for name in ("trace-sample", "trace-restart"):
        if mode == OFF and options[name]:
            raise usage.UsageError(f"--{name} needs --tracing")
    if mode == OTEL:
        _check_otel()
    return TracingSpec(mode, _part(options["trace-sample"]), bool(options["trace-restart"]))


def traced(router: Any, spec: TracingSpec, reactor: Any) -> Any:
    """`router`, or what `spec` puts around it. Spans are exported while `reactor` runs."""
    if spec.mode == OFF:
        return router
    from vegurtx.tracing import Propagation, TracedRouter

    if spec.mode == PROPAGATE:
        return TracedRouter(router, Propagation(1.0 if spec.sample is None else spec.sample, spec.restart))
    from vegurtx.tracing.otel.environment import spans_from_environment

    spans = spans_from_environment(reactor, sample=spec.sample, restart=spec.restart)
    spans.run_with(reactor)
    return TracedRouter(router, spans.recorder)


def _part(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        part = float(text)
    except ValueError:
        part = -1.0
    if not 0 <= part <= 1:  # nan is in no bounds, either
        raise usage.UsageError(f"--trace-sample: {text!r} is not allowed; it must be a number from 0 to 1")
    return part


def _check_otel() -> None:
    if not _installed():
        raise usage.UsageError("--tracing otel needs OpenTelemetry: pip install 'vegurtx[otel]'")
    from vegurtx.tracing.otel.environment import check_environment

    try:
        check_environment()
    except ValueError as problem:
        raise usage.UsageError(f"--tracing otel: {problem}") from None


def _installed() -> bool:
    try:
        return all(find_spec(name) is not None for name in _EXTRA)
    except ModuleNotFoundError:  # of what they are in
        return False
