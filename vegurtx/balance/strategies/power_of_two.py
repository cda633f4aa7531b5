"""PowerOfTwo: the better one of two that chance picks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from random import Random
from typing import Any

from vegurtx.balance.replica import Replica
from vegurtx.balance.strategies.base import Strategy, reject_unknown
from vegurtx.balance.strategies.draw import weighted_draw

#: pairs that are drawn for one in which somebody has a weight
_DRAWS = 4
#: seconds that a failed try counts at the least: who fails fast is not fast
_FAILURE = 1.0
_LONGEST = 60.0


class PowerOfTwo(Strategy):
    """Two replicas by chance, and of these the one with the lower latency × (requests in flight + 1) / weight.

    Two choices keep the longest queue short without looking at everybody (Mitzenmacher, 2001), and no herd runs to
    the one that is best at this moment. The latency is a moving average of the seconds to the first byte, newer
    ones weighing more; what is known of a replica loses its weight with time, and of whom nothing is known it is
    taken as the other's. A failed try counts as a slow one. A weight of 0: never.

    Option ``decay``: seconds in which what was measured loses two thirds of its weight; 10 by default.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        reject_unknown(options, ("decay",), "PowerOfTwo")
        decay = options.get("decay", 10.0)
        if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0.1 <= decay <= 3600:
            raise ValueError(f"PowerOfTwo: decay is seconds from 0.1 to 3600, not {str(decay)[:60]!a}")
        self._decay = float(decay)
        self._random = Random()

    def choose(self, replicas: Sequence[Replica], request: Any, now: float) -> Replica | None:
        """See `Strategy`."""
        count = len(replicas)
        if count == 1:
            return replicas[0] if replicas[0].weight else None
        uniform = self._random.random
        for _ in range(_DRAWS):
            at = int(uniform() * count)
            # one of the others, each of them as likely
            other = int(uniform() * (count - 1))
            one, two = replicas[at], replicas[other + 1 if other >= at else other]
            if not one.weight:
                one, two = two, one
            if not one.weight:
                continue
            return one if not two.weight or self._cheaper(one, two, now) else two
        # nearly everybody has no weight
        return weighted_draw(replicas, now, self._random)

    def _cheaper(self, one: Replica, two: Replica, now: float) -> bool:
        first, second = one.latency, two.latency
        if first and second:
            mean = (first + second) / 2
            decay = self._decay
            first = mean + (first - mean) * exp(min(0.0, one.latency_at - now) / decay)
            second = mean + (second - mean) * exp(min(0.0, two.latency_at - now) / decay)
        else:
            first = second = 1.0
        return first * (one.in_flight + 1) * two.effective_weight(now) <= second * (
            two.in_flight + 1
        ) * one.effective_weight(now)

    def finished(self, replica: Replica, seconds: float | None, ok: bool, now: float) -> None:
        """Measure: the longer ago the last sample, the more the new one weighs."""
        if not ok:
            seconds = min(_LONGEST, max(_FAILURE, 2 * replica.latency, seconds or 0.0))
        elif seconds is None:
            return
        if replica.latency:
            share = 1.0 - exp(min(0.0, replica.latency_at - now) / self._decay)
            # many samples at once are worth something too
            share = max(share, 0.05)
            replica.latency += (seconds - replica.latency) * share
        else:
            replica.latency = seconds
        replica.latency = max(replica.latency, 1e-6)
        replica.latency_at = now
