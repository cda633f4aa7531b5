"""Checks a service out and connects to it, again and again until one answers (rule 22)."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from vegurtx.interfaces import IMiddleware


@implementer(IMiddleware)
class LookupService:
    """``checkout_service``, ``service_backend`` and the connect; a failed connect is checked in, and it asks again."""

    def execute(self, request: Any) -> Any:
        """`None` with a connection at hand, or a Deferred of it; raises what the router raises."""
        return request.exchange.checkout()
