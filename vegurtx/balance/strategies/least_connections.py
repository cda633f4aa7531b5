"""LeastConnections: who has least to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any

from vegurtx.balance.replica import Replica
from vegurtx.balance.strategies.prepared import Prepared

#: others who are passed over for one that may have the request
_PASSED_OVER = 8
#: ends of tries, a replica, after which the heap is made anew
_MOST_ENTRIES = 4


class LeastConnections(Prepared):
    """The replica with the fewest requests in flight for its weight, this one included; among equals, in turn.

    A heap has an entry for each replica: its load when it was last seen. What the strategy is told (its own
    choices, the ends of tries) makes new entries, and the old ones are void; what it is not told (a sticky
    session's requests) is seen when the entry comes to the top. So a choice costs O(log n). A weight of 0: never.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        #: ``(load, number, index)``; the number says how recent it is, and that of the valid entry is in `_valid`
        self._heap: list[tuple[float, int, int]] = []
        self._valid: list[int] = []
        self._number = 0
        self._members: Sequence[Replica] = ()
        self._index: dict[Replica, int] = {}

    def prepare(self, replicas: Sequence[Replica], now: float) -> None:
        """Look at everybody, and keep the turns among equals."""
        numbers = dict(zip(self._members, self._valid, strict=True))
        self._members = replicas
        self._index = {replica: index for index, replica in enumerate(replicas)}
        self._valid = [numbers.get(replica, 0) for replica in replicas]
        self._heap = [
            (load(replica, replica.in_flight, now), number, index)
            for index, (replica, number) in enumerate(zip(replicas, self._valid, strict=True))
            if replica.weight
        ]
        heapify(self._heap)

    def pick(self, now: float) -> Replica | None:
        """The top of the heap, once it is true."""
        heap = self._heap
        while heap:
            entry = heappop(heap)
            replica = self._true(entry, now)
            if replica is not None:
                self._enter(entry[2], load(replica, replica.in_flight + 1, now))
                return replica
        return None

    def pick_among(self, replicas: Sequence[Replica], now: float) -> Replica | None:
        """Those who may not have the request are mostly the busy ones, so that the heap's top is among `replicas`."""
        heap = self._heap
        passed: list[tuple[float, int, int]] = []
        chosen = None
        while heap and len(passed) < _PASSED_OVER:
            entry = heappop(heap)
            replica = self._true(entry, now)
            if replica is None:
                continue
            if replica in replicas:
                chosen = replica
                self._enter(entry[2], load(replica, replica.in_flight + 1, now))
                break
            passed.append(entry)
        for entry in passed:
            heappush(heap, entry)
        return chosen or self._least(replicas, now)

    def finished(self, replica: Replica, seconds: float | None, ok: bool, now: float) -> None:
        """It has one request less."""
        index = self._index.get(replica)
        if index is not None and replica.weight:
            self._enter(index, load(replica, replica.in_flight, now))
            if len(self._heap) > _MOST_ENTRIES * (len(self._members) + 16):
                self._due = 0.0  # too many void entries

    def _enter(self, index: int, value: float) -> None:
        self._number = self._valid[index] = number = self._number + 1
        heappush(self._heap, (value, number, index))

    def _true(self, entry: tuple[float, int, int], now: float) -> Replica | None:
        """The replica of an entry; ``None`` where it is void, or where more is to do by now, which is put right."""
        value, number, index = entry
        if self._valid[index] != number:
            return None
        replica = self._members[index]
        actual = load(replica, replica.in_flight, now)
        if actual > value:
            heappush(self._heap, (actual, number, index))
            return None
        return replica

    def _least(self, replicas: Sequence[Replica], now: float) -> Replica | None:
        numbers, index = self._valid, self._index
        able = [replica for replica in replicas if replica.weight]
        if not able:
            return None
        return min(
            able,
            key=lambda replica: (
                load(replica, replica.in_flight, now),
                numbers[index[replica]] if replica in index else 0,
            ),
        )


def load(replica: Replica, in_flight: int, now: float) -> float:
    """What one more request would make of `in_flight`, for the replica's weight (which is not 0)."""
    if replica.slow_start_since is None:
        return (in_flight + 1) / replica.weight
    return (in_flight + 1) / replica.effective_weight(now)
