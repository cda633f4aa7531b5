"""RoundRobin: one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from vegurtx.balance.replica import Replica
from vegurtx.balance.strategies.prepared import Prepared


class RoundRobin(Prepared):
    """Each replica in its turn, whatever its weight.

    A replica in slow start lets some of its turns pass. When replicas come or go, the next one is that behind the
    last one; requests that must not go everywhere have a turn of their own, so the others' goes on undisturbed.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._last: Replica | None = None
        self._at = -1
        self._turn = -1
        self._random = Random().random

    def prepare(self, replicas: Sequence[Replica], now: float) -> None:
        """Go on behind the replica that was the last."""
        if self._last is not None and not (self._at < len(replicas) and replicas[self._at] is self._last):
            try:
                self._at = replicas.index(self._last)
            except ValueError:
                # it has gone, and who followed it stands in its place
                self._at = self._at % len(replicas) - 1

    def pick(self, now: float) -> Replica | None:
        """The next one."""
        replicas = self._list
        at = self._at + 1
        if at >= len(replicas):
            at = 0
        replica = replicas[at]
        if replica.slow_start_since is not None:
            at = self._awake(replicas, at, now)
            replica = replicas[at]
        self._at = at
        self._last = replica
        return replica

    def pick_among(self, replicas: Sequence[Replica], now: float) -> Replica | None:
        """The next one, counted apart."""
        self._turn += 1
        at = self._turn % len(replicas)
        if replicas[at].slow_start_since is not None:
            at = self._awake(replicas, at, now)
        return replicas[at]

    def _awake(self, replicas: Sequence[Replica], at: int, now: float) -> int:
        """The first one from `at` on that takes its turn; where all of them let it pass, that at `at`."""
        count = len(replicas)
        for step in range(count):
            replica = replicas[(at + step) % count]
            weight = replica.weight
            if not weight or self._random() * weight < replica.effective_weight(now):
                return (at + step) % count
        return at
