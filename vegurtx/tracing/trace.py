"""`Trace`: what a request knows of the trace that it belongs to; routers and stages find it in ``request.meta``."""

from __future__ import annotations

from typing import Any

from vegurtx.tracing.context import SAMPLED, parent_text

#: the key of `request.meta` under which a request's `Trace` is kept
META = "trace"

Pairs = tuple[tuple[str, str | None], ...]


class Trace:
    """One request's place in a trace.

    :param trace_id: of the whole trace: 32 hexadecimal digits.
    :param span_id: of the proxy's own span, the parent of what the back-end does: 16 hexadecimal digits.
    :param parent_id: of the client's span; `None` where the trace begins here.
    :param flags: see `vegurtx.tracing.context`.
    :param state: the ``tracestate`` that goes on with it; empty if there is none.
    :param state_pair: the pair for `additional_headers` that makes the request's ``tracestate`` say so; empty where it
        says so already.
    """

    __slots__ = ("flags", "parent_id", "span", "span_id", "state", "state_pair", "trace_id")

    def __init__(
        self, trace_id: str, span_id: str, parent_id: str | None, flags: int, state: str, state_pair: Pairs
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.flags = flags
        self.state = state
        self.state_pair = state_pair
        #: OpenTelemetry's server span, where spans are recorded; for spans of a router's own, as their parent
        self.span: Any = None

    @property
    def sampled(self) -> bool:
        """Whether the trace is recorded, or may be."""
        return bool(self.flags & SAMPLED)

    @property
    def traceparent(self) -> str:
        """The field's value for a request of a router's own that belongs to this one."""
        return parent_text(self.trace_id, self.span_id, self.flags)

    def pairs(self, parent_id: str) -> Pairs:
        """The fields for the back-end, as `additional_headers` returns them.

        :param parent_id: of the span that asks the back-end.
        """
        return (("traceparent", parent_text(self.trace_id, parent_id, self.flags)), *self.state_pair)

    def __repr__(self) -> str:
        return f"<Trace {self.traceparent}>"
