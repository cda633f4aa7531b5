"""What the strategies' tests share: replicas, requests, and a service that counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import settings
from twisted.internet.address import IPv4Address

from vegurtx.balance.config import StrategyConfig
from vegurtx.balance.replica import Replica
from vegurtx.balance.strategies import Strategy, make
from vegurtx.message import Backend, Headers

#: for property tests: the same examples each time, however busy the machine is
repeatable = settings(deadline=None, derandomize=True, database=None)


class Request:
    """What strategies and matchers read of a request."""

    def __init__(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        host: str = "example.com",
        peer: Any = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.target = target
        self.path, _, self.query = target.partition("?")
        self.method = method
        self.host = host
        self.peer = IPv4Address("TCP", "192.0.2.1", 4711) if peer is None else peer
        self.headers = Headers(headers)


def replicas(*weights: float) -> list[Replica]:
    """Replicas of these weights, with the keys ``http://r0:80``, ``http://r1:80``, ..."""
    return [
        Replica(f"http://r{at}:80", Backend("127.0.0.1", 80), weight=weight)
        for at, weight in enumerate(weights)
    ]


def strategy(name: str, options: Mapping[str, Any] | None = None) -> Strategy:
    """A strategy as the file asks for it."""
    return make(StrategyConfig(name=name, options=dict(options or {})))


def chosen(
    one: Strategy, among: Sequence[Replica], count: int, *, request: Any = None, now: float = 0.0
) -> list[Replica]:
    """The choices for `count` requests, none of which takes any time."""
    found = []
    for _ in range(count):
        replica = one.choose(among, request or Request(), now)
        assert replica is not None
        found.append(replica)
    return found


def word(choices: Sequence[Replica], among: Sequence[Replica]) -> str:
    """The choices as letters: ``a`` is the first of `among`."""
    return "".join("abcdefghijklmnop"[among.index(replica)] for replica in choices)


def shares(choices: Sequence[Replica], among: Sequence[Replica]) -> list[int]:
    """How often each of `among` was chosen."""
    counts = Counter(choices)
    return [counts[replica] for replica in among]
