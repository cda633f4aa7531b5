"""Domains that have moved, and domains that are closed for maintenance; all others go to one back-end.

`touch /tmp/maintenance/shop.example` closes a domain and `rm` opens it again, while the proxy runs:

    twistd -n vegur --router examples.maintenance_router.MaintenanceRouter
"""

import os
from pathlib import Path
from typing import Any

from vegurtx import Backend, ErrorPage, Redirect, RouteError, Router

MOVED = {"old.example": "www.example", "example": "www.example"}
PAGE = "<!doctype html><title>Back soon</title><p>We are working on it. Please try again in some minutes.\n"


class MaintenanceRouter(Router):
    """A domain's name is a file's name in `folder`: only a known domain is looked up, never what a client makes up."""

    def __init__(
        self,
        domains: tuple[str, ...] = ("www.example", "shop.example"),
        folder: str = os.environ.get("MAINTENANCE", "/tmp/maintenance"),
        backend: tuple[str, int] = ("127.0.0.1", int(os.environ.get("BACKEND_PORT", "8081"))),
    ) -> None:
        self.domains = frozenset(domains)
        self.folder = Path(folder)
        self.backend = Backend(*backend, keepalive="default")

    def lookup_domain_name(self, domain: str, request: Any, state: None) -> Any:
        if domain in MOVED:
            return Redirect(MOVED[domain], reason="moved")
        if domain not in self.domains:
            raise RouteError("not_found")
        return domain

    def checkout_service(self, domain: str, request: Any, state: None) -> Backend:
        if (self.folder / domain).exists():
            raise RouteError("maintenance")
        return self.backend

    def service_backend(self, service: Backend, request: Any, state: None) -> Backend:
        return service

    def error_page(self, reason: Any, domain: Any, request: Any, state: None) -> Any:
        if reason == "maintenance":
            headers = [("Retry-After", "300"), ("Content-Type", "text/html; charset=utf-8")]
            return ErrorPage(503, headers, PAGE)
        return super().error_page(reason, domain, request, state)
