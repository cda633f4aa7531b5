"""Another service knows where a domain lives: it is asked over HTTP, with treq, and its answer is kept for a while.

It needs `pip install treq`. `GET {LOOKUP_URL}/DOMAIN` answers 200 with `{"host": "127.0.0.1", "port": 8081}`, or 404.

    LOOKUP_URL=http://127.0.0.1:9000/domains twistd -n vegur --router examples.http_lookup_router.LookupRouter
"""

import os
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import treq

from vegurtx import Backend, RouteError, Router

URL = os.environ.get("LOOKUP_URL", "http://127.0.0.1:9000/domains")
KEPT = 10.0  # seconds
REMEMBERED = 10_000  # domains: clients can make names up, so there is a bound


class LookupRouter(Router):
    """Where the answer is known the request goes straight on; else it waits, and all the others do not."""

    def __init__(
        self, url: str = URL, get: Callable[..., Any] = treq.get, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.url = url
        self.get = get
        self.now = now
        self.known: dict[str, tuple[float, Backend]] = {}

    def lookup_domain_name(self, domain: str, request: Any, state: None) -> Any:
        until, backend = self.known.get(domain, (0.0, None))
        return backend if until > self.now() else self.ask(domain)

    async def ask(self, domain: str) -> Backend:
        try:
            answer = await self.get(f"{self.url}/{quote(domain, safe='')}", timeout=2)
            found = await answer.json() if answer.code == 200 else None
        except Exception as problem:
            raise RouteError("lookup_failed", 502) from problem
        if found is None:
            raise RouteError("not_found" if answer.code == 404 else "lookup_failed")
        backend = Backend(found["host"], found["port"], keepalive="default")
        if len(self.known) >= REMEMBERED:
            self.known.clear()
        self.known[domain] = (self.now() + KEPT, backend)
        return backend

    def checkout_service(self, backend: Backend, request: Any, state: None) -> Backend:
        return backend

    def service_backend(self, backend: Backend, request: Any, state: None) -> Backend:
        return backend
