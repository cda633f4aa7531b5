"""`TracedRouter`: a router around a router. It is built on the router's contract alone, as a user's own would be.

Not a stage of the chain: a stage sees no request that an earlier one has refused, and only a router adds fields to the
request for the back-end (``additional_headers``). ``init`` is the first call of every request, so each callback, each
stage and each observer finds the trace in ``request.meta["trace"]``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import Logger
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from vegurtx.interfaces import IRouter
from vegurtx.pending import PENDING, then
from vegurtx.tracing.propagation import Propagation
from vegurtx.tracing.trace import META, Pairs, Trace

_log = Logger()

#: the names of ours that a router may set itself; its own win
_OURS = frozenset({"traceparent", "tracestate"})
_UPSTREAM = "upstream"
_BEFORE_THE_END = frozenset({"connecting", "retrying"})


class TracedRouter:
    """Does what `router` does, and makes each request part of a trace.

    :param router: provides `IRouter`. What it adds to a request for the back-end wins over the trace's own fields.
    :param tracer: a `Propagation`, or what records spans (`vegurtx.tracing.otel.SpanRecorder`); without it, traces are
        passed on or begun, and all that begin here are sampled.
    :raises zope.interface.Invalid: the router does not provide `IRouter`.
    """

    # The router's own methods, bound: what is not ours to do costs nothing.
    lookup_domain_name: Callable[..., Any]
    checkout_service: Callable[..., Any]
    service_backend: Callable[..., Any]
    checkin_service: Callable[..., Any]
    feature: Callable[..., Any]
    error_page: Callable[..., Any]
    terminate: Callable[..., Any]

    def __init__(self, router: Any, tracer: Any = None) -> None:
        verifyObject(IRouter, router)
        directlyProvides(self, IRouter)
        self.router = router
        self.tracer: Any = Propagation() if tracer is None else tracer
        self._begin = self.tracer.begin
        self._sent = self.tracer.sent
        self._init = router.init
        self._additional_headers = router.additional_headers
        self._checkin_service = router.checkin_service
        self.lookup_domain_name = router.lookup_domain_name
        self.checkout_service = router.checkout_service
        self.service_backend = router.service_backend
        self.feature = router.feature
        self.error_page = router.error_page
        self.terminate = router.terminate
        self.checkin_service = self._checked_in if self.tracer.records else router.checkin_service

    def init(self, accepted_at: float, request: Any) -> Any:
        """The request's trace is known from here on."""
        request.meta[META] = self._begin(request, accepted_at)
        return self._init(accepted_at, request)

    def additional_headers(self, direction: str, log: Any, request: Any, state: Any) -> Any:
        """What the router adds, and the trace's fields in the request for the back-end."""
        extra = self._additional_headers(direction, log, request, state)
        if direction != _UPSTREAM:
            return extra
        trace = request.meta.get(META)
        if not isinstance(trace, Trace):  # somebody keeps something of his own there
            return extra
        pairs = self._sent(request, trace)
        if not extra:
            return pairs
        if PENDING[extra.__class__]:
            return then(extra, _joined, pairs)
        return _joined(extra, pairs)

    def _checked_in(
        self, domain_group: Any, service: Any, phase: str, service_state: Any, request: Any, state: Any
    ) -> Any:
        trace = request.meta.get(META)
        if isinstance(trace, Trace):
            try:
                if phase in _BEFORE_THE_END:
                    self.tracer.failed(request, trace, service_state)
                else:
                    self.tracer.ended(request, trace, service, service_state)
            except Exception:  # the router is told, whatever becomes of the span
                _log.failure("a span was lost")
        return self._checkin_service(domain_group, service, phase, service_state, request, state)


def _joined(extra: Any, pairs: Pairs) -> Any:
    """The router's pairs and ours, but for those whose names it has itself."""
    if not extra:
        return pairs
    extra = list(extra)
    own = {_lowered(name) for name, _ in extra} & _OURS
    if own:
        pairs = tuple(pair for pair in pairs if pair[0] not in own)
    return [*pairs, *extra]


def _lowered(name: Any) -> str:
    text = name.decode("latin-1") if isinstance(name, bytes) else str(name)
    return text.lower()
