"""vegur's toy router: a random pick of two servers, without those that were tried before. `make demo` runs it."""

import random
from collections.abc import Sequence
from typing import Any

from vegurtx import Backend, ErrorPage, RouteError, Router

Server = tuple[str, int]
SERVERS = [("127.0.0.1", 8081), ("127.0.0.1", 8082)]


class ToyRouter(Router):
    """One object serves all requests; a request's `state` holds the servers that were tried for it."""

    def __init__(self, servers: Sequence[Server] = SERVERS) -> None:
        self.servers = servers

    def init(self, accepted_at: float, request: Any) -> list[Server]:
        return []

    def lookup_domain_name(self, domain: str, request: Any, tried: list[Server]) -> Sequence[Server]:
        return self.servers

    def checkout_service(self, servers: Sequence[Server], request: Any, tried: list[Server]) -> Server:
        available = [server for server in servers if server not in tried]
        if not available:
            raise RouteError("all_blocked")
        pick = random.choice(available)
        tried.append(pick)
        return pick

    def service_backend(self, server: Server, request: Any, tried: list[Server]) -> Backend:
        host, port = server
        return Backend(host, port)  # with keepalive="default" the connection stays open for the next request

    def error_page(self, reason: Any, servers: Any, request: Any, tried: list[Server]) -> Any:
        if reason == "all_blocked":
            return ErrorPage(502)
        return super().error_page(reason, servers, request, tried)
