"""``Expect: 100-continue`` (rule 8): the proxy answers it, or, with ``deep_continue``, the back-end does."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from vegurtx.interfaces import IMiddleware
from vegurtx.pending import then


@implementer(IMiddleware)
class Continue:
    """Asks the router for the feature ``deep_continue`` when a client expects a 100."""

    def execute(self, request: Any) -> Any:
        """Raises `RouteError` with ``expectation_failed`` or ``bad_request_header``."""
        exchange = request.exchange
        if not exchange.expects_continue():
            return None
        return then(
            exchange.router.feature("deep_continue", request, exchange.state), self._decided, exchange
        )

    def _decided(self, deep: Any, exchange: Any) -> None:
        if deep is True:
            exchange.deep_continue = True
        elif deep is False:
            exchange.send_continue()
        else:
            raise TypeError(f"feature returned {deep!r}, which is no bool")
