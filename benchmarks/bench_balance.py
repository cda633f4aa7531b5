"""Times the load balancer's two decisions: microseconds for each match and each choice. Run it as a script.

Each line is the best of several timings, because no machine is ever quiet: compare ratios within one run. The goals:
a choice takes 3 us with 10 replicas and 10 us with 1,000, the match in a plain table 1 us.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

from vegurtx.balance.config import MatcherConfig, StrategyConfig
from vegurtx.balance.matching import Routes
from vegurtx.balance.replica import Replica, Service
from vegurtx.balance.strategies import STRATEGIES, make
from vegurtx.message import Backend, Headers


class Peer:
    """Where a request comes from."""

    host = "192.0.2.7"


class Request:
    """What matchers and strategies read of a request, taken out of bytes as the real one does."""

    def __init__(self, target: bytes, host: str = "www.example.com") -> None:
        self._target = target
        self.host = host
        self.method = "GET"
        self.peer = Peer()
        self.headers = Headers([(b"Host", host.encode()), (b"X-User", b"4711"), (b"Accept", b"*/*")])

    @property
    def path(self) -> str:
        """The target's path."""
        return self._target.partition(b"?")[0].decode("latin-1")

    @property
    def query(self) -> str:
        """The target's query."""
        return self._target.partition(b"?")[2].decode("latin-1")


def measure(label: str, act: Callable[[], object], goal: float | None = None, number: int = 5000) -> None:
    """Print the microseconds that one `act` takes, the best of nine rounds, beside its goal."""
    best = min(timeit.repeat(act, number=number, repeat=9)) / number * 1e6
    print(f"{label:<58} {best:8.2f} us" + (f"   goal {goal} us" if goal else ""))


def replicas(count: int) -> list[Replica]:
    """Replicas of weights 1 to 7."""
    return [
        Replica(f"http://10.0.{at // 250}.{at % 250}:8080", Backend("127.0.0.1", 80), weight=1 + at % 7)
        for at in range(count)
    ]


def choices() -> None:
    """Each strategy: a choice alone; with the end of the request told; and for a retry, without one replica."""
    request = Request(b"/api/v1/users?id=7")
    for count, goal in ((10, 3), (1000, 10)):
        for name in STRATEGIES:
            for options in ({}, {"bounded_load": 1.25}) if name == "ConsistentHash" else ({},):
                strategy = make(StrategyConfig(name=name, options=options))
                listed = Service("bench", None, strategy, replicas(count)).available

                def choose(strategy: Any = strategy, listed: Any = listed) -> Any:
                    return strategy.choose(listed, request, 0.0)

                def whole(strategy: Any = strategy, listed: Any = listed) -> None:
                    replica = strategy.choose(listed, request, 0.0)
                    replica.in_flight += 1
                    replica.in_flight -= 1
                    strategy.finished(replica, 0.01, True, 0.0)

                label = f"{name}{' bounded' if options else ''}, {count} replicas"
                measure(label, choose, goal)
                measure(f"{label}, with its end", whole)

                tried = choose()
                others = [replica for replica in listed if replica is not tried]

                def again(strategy: Any = strategy, others: Any = others) -> Any:
                    return strategy.choose(others[:], request, 0.0)

                measure(f"{label}, a retry", again, number=500)


def matches() -> None:
    """Tables of several sizes, and requests of several kinds."""
    request = Request(b"/service7/v1/users/4711?id=7")
    for count, goal in ((1, 1), (10, 1), (1000, None)):
        prefixes = Routes([([MatcherConfig(prefix=f"/service{at}/v1")], at) for at in range(7, 7 + count)])
        measure(f"{count} prefixes", partial(prefixes.match, request), goal)
        hosts = Routes(
            [([MatcherConfig(host=f"h{at}.example.com", prefix="/service7")], at) for at in range(count)]
        )
        hosted = Request(b"/service7/v1/users/4711?id=7", "h0.example.com")
        measure(f"{count} hosts with a prefix each", partial(hosts.match, hosted))
        paths = Routes([([MatcherConfig(path=f"/service{at}/v1")], at) for at in range(7, 7 + count)])
        exact = Request(b"/service7/v1?id=7")
        measure(f"{count} exact paths", partial(paths.match, exact))
        if count < 1000:
            regexes = Routes(
                [([MatcherConfig(regex=f"/service{at}/v[0-9]+/.*")], at) for at in range(7, 7 + count)]
            )
            measure(f"{count} expressions", partial(regexes.match, request))
    catch_all = Routes([([MatcherConfig(prefix="/")], 1)])
    measure("one service for everything", partial(catch_all.match, request), 1)
    table = Routes([([MatcherConfig(prefix="/api")], 1)])
    for target in (b"/api/a%20b", b"/api/./x/../y", b"/api//x"):
        odd = Request(target)
        measure(f"one prefix, {target.decode()}", partial(table.match, odd))
    header = Routes([([MatcherConfig(prefix="/api", header={"X-User": "4711"}, method=("GET",))], 1)])
    api = Request(b"/api/x")
    measure("one prefix with a method and a header", partial(header.match, api))


def main() -> None:
    """Print one line for each decision."""
    matches()
    choices()


if __name__ == "__main__":
    main()
