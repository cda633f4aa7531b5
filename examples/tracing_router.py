"""A router whose own lookup is a part of the request's trace.

    TENANTS=http://127.0.0.1:9000 twistd -n vegur --tracing propagate --router examples.tracing_router.LookupRouter

The tenant service gets the same trace as the back-end, and the error page names it, for whoever asks the operator.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

import treq

from vegurtx import Backend, ErrorPage, RouteError, Router
from vegurtx.tracing import META


class LookupRouter(Router):
    """Asks ``TENANTS/DOMAIN`` for the port of a tenant's back-end on this machine."""

    def __init__(self) -> None:
        self._tenants = os.environ.get("TENANTS", "http://127.0.0.1:9000")

    async def checkout_service(self, domain_group: Any, request: Any, state: Any) -> str:
        """The port, as the tenant service says it."""
        trace = request.meta.get(META)  # none without --tracing
        headers: dict[str | bytes, str | bytes] = {}
        if trace is not None:
            headers["traceparent"] = trace.traceparent
        url = f"{self._tenants}/{quote(domain_group, safe='')}"
        response = await treq.get(url, headers=headers, timeout=2)
        if response.code != 200:
            raise RouteError("no_tenant", 404)
        return (await response.text()).strip()

    def service_backend(self, service: str, request: Any, state: Any) -> Backend:
        """That port."""
        return Backend("127.0.0.1", int(service), keepalive="default")

    def error_page(self, reason: Any, domain_group: Any, request: Any, state: Any) -> ErrorPage | Any:
        """The default page, with the trace's id in a header field."""
        page = super().error_page(reason, domain_group, request, state)
        trace = request.meta.get(META)
        if trace is not None:
            page.headers = [*page.headers, ("X-Trace-Id", trace.trace_id)]
        return page
