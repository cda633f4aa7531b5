"""What goes on in a proxy at this moment, counted when somebody asks: nothing is noted on the requests' way for it."""

from __future__ import annotations

from typing import Any, NamedTuple

from vegurtx.net.tunnel import Tunnel
from vegurtx.ops.metrics.families import Family
from vegurtx.proxy.exchange import Exchange
from vegurtx.proxy.relay import Relay


class Census(NamedTuple):
    """Numbers of one moment."""

    connections: int
    """Clients' connections."""
    requests: int
    """Requests that go on, without tunnels."""
    tunnels: int
    """Connections that have become byte pipes."""
    in_use: int
    """Connections to back-ends that a request or a tunnel has."""
    idle: int
    """Connections to back-ends that rest in the pool."""

    def families(self) -> list[Family]:
        """The numbers that `vegurtx.ops.metrics.traffic` does not have."""
        requests = Family("vegurtx_requests_in_flight", "gauge", "Requests that go on, without tunnels.")
        requests.add(self.requests)
        tunnels = Family("vegurtx_tunnels", "gauge", "Upgraded connections (101) that go on.")
        tunnels.add(self.tunnels)
        links = Family("vegurtx_backend_connections", "gauge", "Connections to back-ends.", ("state",))
        links.add(self.idle, "idle")
        links.add(self.in_use, "in_use")
        return [requests, tunnels, links]


def census(factory: Any) -> Census:
    """Count what `factory`, a `ProxyFactory`, has to do now."""
    requests = tunnels = in_use = 0
    for connection in factory.connections:
        handler = connection.handler
        if isinstance(handler, Tunnel):
            tunnels += 1
        elif isinstance(handler, Relay):
            requests += 1
            in_use += 1
        elif isinstance(handler, Exchange):
            requests += 1
            in_use += handler.link is not None
    return Census(len(factory.connections), requests, tunnels, in_use + tunnels, len(factory.client.pool))
