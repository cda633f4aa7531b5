"""The router that the attacked programs load with ``--router``; it runs in the proxy's process.

``FAULTS_PORTS`` has the back-ends' ports on 127.0.0.1, with commas between them. The first label of the domain says
which one is asked, and how its connection is kept: ``0.test``, ``1.test``, ``0-pooled.test``.
``nothing.test`` is answered without any.
"""

from __future__ import annotations

import os
from typing import Any

from vegurtx import Backend, ErrorPage, RouteError, Router


class ByNumber(Router):
    """One try a request; the page says the reason."""

    def __init__(self) -> None:
        self.ports = [int(port) for port in os.environ["FAULTS_PORTS"].split(",")]

    def init(self, accepted_at: float, request: Any) -> list[str]:
        """What has gone wrong."""
        return []

    def checkout_service(self, domain: str, request: Any, state: list[str]) -> str:
        """The domain's first label, once."""
        if domain == "nothing.test":
            raise RouteError("not_found")
        if state:
            raise RouteError(("downstream", state[0]))
        return domain.partition(".")[0]

    def service_backend(self, service: str, request: Any, state: list[str]) -> Backend:
        """By its number."""
        number, _, pooled = service.partition("-")
        return Backend("127.0.0.1", self.ports[int(number)], keepalive="default" if pooled else None)

    def checkin_service(
        self, domain: Any, service: Any, phase: str, service_state: Any, request: Any, state: list[str]
    ) -> None:
        """Remember a failed connect."""
        if phase == "connecting":
            state.append(service_state)

    def error_page(self, reason: Any, domain: Any, request: Any, state: Any) -> ErrorPage:
        """The reason as text."""
        page: ErrorPage = super().error_page(reason, domain, request, state)
        return ErrorPage(page.code, page.headers, repr(reason).encode())
