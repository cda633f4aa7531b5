"""Random: by chance, as likely as the weight says."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from random import Random
from typing import Any

from vegurtx.balance.replica import Replica
from vegurtx.balance.strategies.draw import weighted_draw
from vegurtx.balance.strategies.prepared import Prepared


class WeightedRandom(Prepared):
    """Each request by chance, whatever came before it: several proxies need not know of each other.

    A weight of 0: never.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._sums: list[float] = []
        self._total = self._heaviest = 0.0
        self._end = 0
        self._random = Random()

    def prepare(self, replicas: Sequence[Replica], now: float) -> None:
        """Sum up the weights."""
        weights = [replica.effective_weight(now) for replica in replicas]
        self._sums = list(accumulate(weights))
        self._total = self._sums[-1]
        self._end = bisect_left(self._sums, self._total)
        self._heaviest = max(weights)

    def pick(self, now: float) -> Replica | None:
        """A point between 0 and the sum, and the replica in whose part it lies."""
        total = self._total
        if not total:
            return None
        # up to the last one with a weight: the product may be rounded up to the sum itself
        return self._list[bisect_right(self._sums, self._random.random() * total, 0, self._end)]

    def pick_among(self, replicas: Sequence[Replica], now: float) -> Replica | None:
        """See `weighted_draw`."""
        return weighted_draw(replicas, now, self._random, self._heaviest)
