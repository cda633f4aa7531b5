"""The routers that the measured program loads with ``--router``; ``BENCH_BACKEND`` is the back-end's port."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.defer import Deferred

from vegurtx import Backend, Router


class Pooled(Router):
    """One back-end, whose connections are kept."""

    def __init__(self) -> None:
        self.backend = Backend("127.0.0.1", int(os.environ["BENCH_BACKEND"]), keepalive="default")

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Any:
        """There is one service."""
        return self.backend

    def service_backend(self, service: Any, request: Any, state: Any) -> Any:
        """It is its back-end."""
        return service


class Unpooled(Pooled):
    """One back-end, with a connection for each request."""

    def __init__(self) -> None:
        super().__init__()
        self.backend = Backend(self.backend.host, self.backend.port, keepalive=None)


class Deferring(Pooled):
    """One back-end that is looked up as in a database: the answer comes in a later turn of the reactor."""

    def __init__(self) -> None:
        super().__init__()
        # The program has installed it before it loads us.
        from twisted.internet import reactor

        self.reactor: Any = reactor

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Deferred[Any]:
        """There is one service, and it takes a moment to find."""
        waiting: Deferred[Any] = Deferred()
        self.reactor.callLater(0, waiting.callback, self.backend)
        return waiting
