"""A router for the tests of the proxy's own log: it says and raises what a peer might have sent."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from vegurtx import Router

NAMESPACE = "tests.cli.log_case"
NASTY = "a\n2026-01-01T00:00:00+0000 [vegurtx.service#info] forged\r\x1b[31m\u2028\u202e"

log = Logger(NAMESPACE)


class Talking(Router):
    """Logs twice for each request, and fails."""

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Any:
        """The same in a text, in a field, and in an exception."""
        log.debug("debug {path}", path=NASTY)
        log.info("info {path}", path=NASTY)
        raise RuntimeError(NASTY)

    def service_backend(self, service: Any, request: Any, state: Any) -> Any:
        """It never gets that far."""
        raise AssertionError
