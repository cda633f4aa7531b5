"""Asks the router which domain group the request's domain belongs to."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from vegurtx.interfaces import IMiddleware
from vegurtx.message import Redirect, Response
from vegurtx.pending import PENDING, deferred_of


@implementer(IMiddleware)
class LookupDomain:
    """``lookup_domain_name``; a `Redirect` is answered at once."""

    def execute(self, request: Any) -> Any:
        """`None`, a `Response`, or a Deferred of these."""
        exchange = request.exchange
        group = exchange.router.lookup_domain_name(request.host, request, exchange.state)
        kind = group.__class__
        if kind is not str:  # by far the most are
            if PENDING[kind]:
                return deferred_of(group).addCallback(self._found, request)
            if isinstance(group, Redirect):
                return self._found(group, request)
        exchange.found(group)
        return None

    def _found(self, group: Any, request: Any) -> Response | None:
        exchange = request.exchange
        if isinstance(group, Redirect):
            scheme = "https" if exchange.intake.secure else "http"
            # OPTIONS * asks about the server: there is no path to add
            asked = request.origin_form  # by the client, whatever the back-end would be asked for
            target = "" if asked == "*" else asked
            return Response(301, [("Location", f"{scheme}://{group.domain}{target}")])
        exchange.found(group)
        return None
