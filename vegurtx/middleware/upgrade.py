"""Reads the client's wish to speak another protocol (rule 9)."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from vegurtx.interfaces import IMiddleware


@implementer(IMiddleware)
class Upgrade:
    """Finds out what a ``Connection: upgrade`` asks for."""

    def execute(self, request: Any) -> None:
        """Raises `RouteError` with ``bad_request_header``."""
        request.exchange.read_upgrade()
