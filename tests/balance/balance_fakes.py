"""What the balancer's tests put in the place of a proxy, a configuration and a strategy."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock

from vegurtx.balance.admission import refusal
from vegurtx.balance.queue import Backlog
from vegurtx.balance.replica import Replica, Service
from vegurtx.message import Backend, Headers


class First:
    """The strategy that a test can foretell: always the first of those that it is given."""

    def __init__(self) -> None:
        self.given: list[list[Replica]] = []
        self.told: list[tuple[Any, ...]] = []

    def choose(self, replicas: Any, request: Any, now: float) -> Replica | None:
        """See `vegurtx.balance.strategies.base`."""
        self.given.append(replicas)
        return replicas[0]

    def finished(self, replica: Replica, seconds: float | None, ok: bool, now: float) -> None:
        """See `vegurtx.balance.strategies.base`."""
        self.told.append((replica, seconds, ok, now))


class FakeLog:
    """A request log that knows what it was told."""

    def __init__(self, **events: float) -> None:
        self.events = events
        self.stamps: list[tuple[str, object]] = []

    def stamp(self, name: str, details: object = None) -> None:
        """See `vegurtx.proxy.log`."""
        self.stamps.append((name, details))

    def event(self, name: str) -> float | None:
        """See `vegurtx.proxy.log`."""
        return self.events.get(name)


class FakeRequest:
    """A request as the balancer sees it."""

    def __init__(
        self, target: str = "/", *, host: str = "example.org", method: str = "GET", **fields: str
    ) -> None:
        self.method = method
        self.host = host
        self.target = self.forward_target = target
        self.path, _, self.query = target.partition("?")
        self.headers = Headers(
            (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in fields.items()
        )
        self.response_headers = Headers()
        self.response_code: int | None = None
        self.suggested_code: int | None = None
        self.peer = SimpleNamespace(host="127.0.0.1", port=40000)
        self.log = FakeLog()


def replica(name: str = "http://127.0.0.1:8081", **options: Any) -> Replica:
    """A replica with that key."""
    return Replica(name, Backend("127.0.0.1", 8081), **options)


def service(*names: str, clock: Clock | None = None, length: int = 0, timeout: float = 5.0) -> Service:
    """A service with replicas of these names, the strategy `First` and a queue."""
    made = Service("web", SimpleNamespace(), First(), [replica(name) for name in names])
    made.queue = Backlog(clock or Clock(), length, timeout, refusal=partial(refusal, made))
    return made
