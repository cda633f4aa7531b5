"""WeightedRoundRobin: in turn, and as often as the weight says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from vegurtx.balance.replica import Replica
from vegurtx.balance.strategies.draw import weighted_draw
from vegurtx.balance.strategies.prepared import Prepared
from vegurtx.balance.strategies.schedule import SmoothSchedule


class WeightedRoundRobin(Prepared):
    """Smooth weighted round robin: weights 3, 1 and 1 give a b a c a, and 2 and 4 exactly 300 and 600 of 900.

    A request that must not go everywhere gets the next replica in the order that it may have, and who was passed
    over has its turn later. When replicas come or go, or weights change (a slow start), the others keep their
    places in the order. A weight of 0: never.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._schedule = SmoothSchedule(())
        self._scheduled: Sequence[Replica] = ()
        self._weights: list[float] = []
        self._random = Random()

    def prepare(self, replicas: Sequence[Replica], now: float) -> None:
        """Make the schedule, unless there is nothing new."""
        weights = [replica.effective_weight(now) for replica in replicas]
        if replicas is self._scheduled and weights == self._weights:
            return
        phases = dict(zip(self._scheduled, self._schedule.phases, strict=True))
        self._schedule = SmoothSchedule(weights, [phases.get(replica, 0.0) for replica in replicas])
        self._scheduled = replicas
        self._weights = weights

    def pick(self, now: float) -> Replica | None:
        """The next one of the schedule."""
        index = self._schedule.next()
        return None if index is None else self._scheduled[index]

    def pick_among(self, replicas: Sequence[Replica], now: float) -> Replica | None:
        """The next one of the schedule that is among `replicas`."""
        scheduled = self._scheduled
        index = self._schedule.next_of(lambda index: scheduled[index] in replicas)
        if index is not None:
            return scheduled[index]
        return weighted_draw(replicas, now, self._random, max(self._weights, default=0.0))
