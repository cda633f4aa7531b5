"""`Propagation`: reads a request's trace, or begins one. It records nothing; `vegurtx.tracing.otel` does."""

from __future__ import annotations

from typing import Any

from vegurtx.tracing.context import RANDOM, SAMPLED, TraceParent, parsed_parent, parsed_state
from vegurtx.tracing.ids import Ratio, TraceIds
from vegurtx.tracing.trace import Pairs, Trace

#: how both names begin
_NAMES = b"trace"
_NO_STATE: Pairs = (("tracestate", None),)


class Incoming:
    """What a request brings of a trace.

    :param request: the request, whose header fields are read.
    :param restart: what it brings is not believed.
    """

    __slots__ = ("parent", "state", "state_pair")

    def __init__(self, request: Any, restart: bool) -> None:
        self.parent: TraceParent | None = None
        self.state = ""
        self.state_pair: Pairs = ()
        # a look at the bytes is a tenth of the price of reading the fields, and most requests bring none
        if _NAMES not in request.exchange.head.block.lower():
            return
        headers = request.headers
        if not restart:
            self.parent = parsed_parent(headers.getall(b"traceparent"))
        states = headers.getall(b"tracestate")
        if not states:
            return
        if self.parent is not None:  # without it, a tracestate means nothing (section 3.3)
            self.state = parsed_state(states)
        if not self.state:
            self.state_pair = _NO_STATE
        elif len(states) > 1 or states[0] != self.state.encode("ascii"):
            self.state_pair = (("tracestate", self.state),)


class Propagation:
    """Passes traces on with a span id of the proxy's own in them, and begins them where a request brings none.

    :param sample: which part of the traces that begin here is sampled, from 0 to 1. Those that are passed on keep their
        flag.
    :param restart: begin a new trace for each request, whatever it brings: for a proxy whose clients are strangers.
    :raises ValueError: `sample` is not in its bounds.
    """

    #: whether it wants to be told how requests end
    records = False

    def __init__(self, sample: float = 1.0, restart: bool = False) -> None:
        self.restart = restart
        self._ratio = Ratio(sample)
        self._ids = TraceIds()

    def begin(self, request: Any, accepted_at: float) -> Trace:
        """The trace of `request`, which has just been accepted."""
        incoming = Incoming(request, self.restart)
        parent = incoming.parent
        ids = self._ids
        span_id = ids.span()
        if parent is not None:
            return Trace(
                parent.trace_id, span_id, parent.parent_id, parent.flags, incoming.state, incoming.state_pair
            )
        trace_id = ids.trace()
        flags = RANDOM | SAMPLED if self._ratio.takes(trace_id) else RANDOM
        return Trace(trace_id, span_id, None, flags, "", incoming.state_pair)

    def sent(self, request: Any, trace: Trace) -> Pairs:
        """The fields for the back-end: a try to ask it begins."""
        return trace.pairs(trace.span_id)
