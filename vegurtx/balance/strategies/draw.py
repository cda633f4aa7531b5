"""Chance by weight, from a list for which nothing was prepared."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from vegurtx.balance.replica import Replica

#: draws that may miss before the list is summed up
_DRAWS = 8


def weighted_draw(
    replicas: Sequence[Replica], now: float, random: Random, heaviest: float = 0.0
) -> Replica | None:
    """One of `replicas` by chance, as likely as its weight says; ``None`` where all weights are 0.

    The list is not read from end to end unless it has to be. A draw that takes everybody alike, and keeps whom it hit
    with the chance weight/heaviest, has the same odds.

    :param heaviest: the greatest weight that is known of; a replica with a still greater one is taken to have this. 0:
        nothing is known.
    """
    if heaviest:
        uniform = random.random
        count = len(replicas)
        for _ in range(_DRAWS):
            replica = replicas[int(uniform() * count)]
            if uniform() * heaviest < replica.effective_weight(now):
                return replica
    weights = [replica.effective_weight(now) for replica in replicas]
    return random.choices(replicas, weights)[0] if any(weights) else None
