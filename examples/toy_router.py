"""vegur's toy router: a random pick of two servers, without those that were tried before.

    make demo

starts both servers and this router behind port 8080.
"""

import random

from vegurtx import Backend, ErrorPage, RouteError, Router

SERVERS = [("127.0.0.1", 8081), ("127.0.0.1", 8082)]


class ToyRouter(Router):
    """One object serves all requests; what belongs to one request is in its `state`: the servers it has tried."""

    def __init__(self, servers=SERVERS):
        self.servers = servers

    def init(self, accepted_at, request):
        """The state: nothing tried yet."""
        return []

    def lookup_domain_name(self, domain, request, tried):
        """All domains are served by the same servers."""
        return self.servers

    def checkout_service(self, servers, request, tried):
        """Asked again after each connect that failed, until nothing is left."""
        available = [server for server in servers if server not in tried]
        if not available:
            raise RouteError("all_blocked")
        pick = random.choice(available)
        tried.append(pick)
        return pick

    def service_backend(self, server, request, tried):
        """To keep connections open between requests: ``Backend(host, port, keepalive="default")``."""
        host, port = server
        return Backend(host, port)

    def error_page(self, reason, domain_group, request, tried):
        """Our own reason is a 502; the proxy's reasons have their statuses already."""
        if reason == "all_blocked":
            return ErrorPage(502)
        return super().error_page(reason, domain_group, request, tried)
