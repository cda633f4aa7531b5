"""The routers that the tested programs load with ``--router``; what they need to know is in the environment.

They run in the proxy's process: between the client's request, and the back-ends that the test has started.
``PEERS_PORTS`` holds the back-ends' ports on 127.0.0.1, with commas between them.
"""

from __future__ import annotations

import os
from typing import Any

from examples.toy_router import ToyRouter
from vegurtx import Backend, Router

KEEPALIVE = {"single": None, "pooled": "default", "fresh": "new"}
"""What the domain's first label means to `ByDomain`: the `Backend`'s ``keepalive``."""


def ports() -> list[int]:
    """The ports of the back-ends."""
    return [int(port) for port in os.environ["PEERS_PORTS"].split(",")]


class ByDomain(Router):
    """One back-end; the client says by the name that it asks for how the connection to it is kept.

    ``single.test``: a connection for each request; ``pooled.test``: from the pool and back into it;
    ``fresh.test``: a new one, pooled after. With ``deep-`` before it, the feature ``deep_continue`` is on.
    """

    def __init__(self) -> None:
        self.port = ports()[0]

    def lookup_domain_name(self, domain: str, request: Any, state: Any) -> str:
        """The kind of connection. A name that is none of them is a connection for each request."""
        return domain.removeprefix("deep-").partition(".")[0]

    def checkout_service(self, kind: str, request: Any, state: Any) -> str:
        """There is one service a kind."""
        return kind

    def service_backend(self, kind: str, request: Any, state: Any) -> Backend:
        """Always the same address."""
        return Backend("127.0.0.1", self.port, keepalive=KEEPALIVE.get(kind))

    def feature(self, name: str, request: Any, state: Any) -> bool:
        """``deep_continue`` by name. ``peer_port``, to tell a client's connections apart, is always on."""
        return name == "peer_port" or (name == "deep_continue" and request.host.startswith("deep-"))


def toy() -> ToyRouter:
    """The toy router of the examples, before the back-ends of the test."""
    return ToyRouter([("127.0.0.1", port) for port in ports()])
