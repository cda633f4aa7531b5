"""The first stage: is the request one that can be sent on at all (rules 1, 2, 5)?"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from vegurtx.errors import RouteError
from vegurtx.interfaces import IMiddleware


@implementer(IMiddleware)
class ValidateHeaders:
    """Refuses a request whose Host, target or framing is missing, malformed or contradictory."""

    def execute(self, request: Any) -> None:
        """Raises `RouteError` with ``empty_host``, ``bad_request`` or ``("upstream", "invalid_transfer_encoding")``."""
        problem = request.exchange.problem
        if problem is not None:
            # anew: the kept one would keep the frames that it passes
            raise RouteError(problem.reason, problem.code)
