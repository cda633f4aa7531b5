"""The last stage: the request goes to the back-end, and the response comes home."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from vegurtx.interfaces import IMiddleware


@implementer(IMiddleware)
class Proxy:
    """Hands the request over to the relay; nothing comes behind it."""

    def execute(self, request: Any) -> Any:
        """`TAKEN`, or a Deferred of it."""
        return request.exchange.forward()
