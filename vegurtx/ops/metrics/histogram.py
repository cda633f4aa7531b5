"""A histogram as plain numbers: one search and two additions an observation."""

from __future__ import annotations

from bisect import bisect_left

from vegurtx.ops.metrics.families import Distribution

#: seconds. The smallest are for what a proxy does by itself, the largest are its timeouts
BOUNDS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)

#: the first of them: what the proxy does by itself is mostly below it, and needs no search
SHORTEST = BOUNDS[0]


class Histogram:
    """How long something took. `BOUNDS` are upper bounds, which belong to their buckets."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """One more. (`Traffic` and `Ledger` do the same by themselves, and save the call.)"""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds

    def distribution(self) -> Distribution:
        """As it stands."""
        return Distribution(tuple(self.counts), self.sum)
