"""Each tenant has so many connections at once, and a back-end that fails is left alone for five seconds.

Everything that is taken at checkout is given back at checkin: the proxy calls it for every request, whatever happened.

    twistd -n vegur --router examples.tenant_limits_router.TenantLimitsRouter
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vegurtx import Backend, ErrorPage, RouteError, Router

Server = tuple[str, int]
PORTS = os.environ.get("BACKEND_PORTS", "8081,8082").split(",")
TENANTS = {"localhost": [("127.0.0.1", int(port)) for port in PORTS]}
LIMIT = int(os.environ.get("TENANT_LIMIT", "100"))
QUARANTINE = 5.0  # seconds


class TenantLimitsRouter(Router):
    """A tenant is a domain; its back-ends take turns, those in quarantine left out."""

    def __init__(
        self,
        tenants: Mapping[str, Sequence[Server]] = TENANTS,
        limit: int = LIMIT,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tenants = {name: list(servers) for name, servers in tenants.items()}
        self.limit = limit
        self.now = now
        self.open: Counter[str] = Counter()  # connections by tenant
        self.quarantined: dict[Server, float] = {}  # until when

    def lookup_domain_name(self, domain: str, request: Any, state: None) -> str:
        if domain not in self.tenants:
            raise RouteError("not_found")
        return domain

    def checkout_service(self, tenant: str, request: Any, state: None) -> Server:
        if self.open[tenant] >= self.limit:
            raise RouteError("too_many_connections")
        servers = self.tenants[tenant]
        now = self.now()
        for server in servers:
            if self.quarantined.get(server, 0.0) <= now:
                servers.remove(server)  # to the end of the line
                servers.append(server)
                self.open[tenant] += 1
                return server
        raise RouteError("all_quarantined")

    def service_backend(self, server: Server, request: Any, state: None) -> Backend:
        return Backend(*server, keepalive="default")

    def checkin_service(
        self, tenant: Any, server: Any, phase: str, outcome: Any, request: Any, state: None
    ) -> None:
        if server is None:
            return  # nothing was checked out
        self.open[tenant] -= 1
        if phase == "connecting" or (outcome != "normal" and outcome[0] == "downstream"):
            self.quarantined[server] = self.now() + QUARANTINE

    def error_page(self, reason: Any, tenant: Any, request: Any, state: None) -> Any:
        if reason == "too_many_connections":
            return ErrorPage(429, [("Retry-After", "1")], "Too many connections.\n")
        if reason == "all_quarantined":
            return ErrorPage(503, [("Retry-After", str(int(QUARANTINE)))])
        return super().error_page(reason, tenant, request, state)
