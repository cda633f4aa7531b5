"""A smooth weighted order: everybody as often as the weight says, as evenly spread as can be.

It is earliest eligible virtual deadline first (Stoica and Abdel-Wahab, 1995). Of W turns, W being the sum of the
weights, one with the weight w has w; its k-th turn (from 0) is due between the times k·W/w and (k+1)·W/w. At each
whole time, of those whose time has begun, the one whose time ends first is next. No one is ever a whole turn ahead
of its share or behind it, so over W turns the counts are exact; weights 3, 1 and 1 give a b a c a. A turn costs
O(log n).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush

#: weights that are not whole are taken in millionths
_FRACTION = 1_000_000
#: others who are passed over for one that can be accepted
_PASSED_OVER = 8


class SmoothSchedule:
    """An endless order of indices into `weights`.

    :param weights: each 0 or more, finite; one with 0 never has a turn.
    :param phases: of each its `phases` in an earlier schedule, so that a new one goes on where that one was.
    """

    __slots__ = ("_ready", "_shares", "_starts", "_time", "_total", "_turns", "_waiting")

    def __init__(self, weights: Sequence[float], phases: Sequence[float] | None = None) -> None:
        self._shares = shares = _whole(weights)
        self._total = sum(shares)
        self._time: float = 0
        #: the turns that each one has had, and when its first one began
        self._turns = [0] * len(shares)
        self._starts = [0.0] * len(shares)
        if phases is not None:
            self._starts = [
                max(-1.0, min(1.0, phase)) * self._total / share if share else 0.0
                for phase, share in zip(phases, shares, strict=True)
            ]
        #: ``(deadline, index)`` of those whose time has begun; ``(start, deadline, index)`` of the others
        self._ready: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, float, int]] = []
        for index, share in enumerate(shares):
            if share:
                start = self._starts[index]
                self._waiting.append((start, start + self._total / share, index))
        heapify(self._waiting)

    def next(self) -> int | None:
        """The index whose turn it is; ``None`` where all weights are 0."""
        ready = self._begun()
        if not ready:
            return None
        return self._took(heappop(ready)[1])

    def next_of(self, accepts: Callable[[int], bool]) -> int | None:
        """The first index in the order that `accepts` takes; those passed over keep their turns for later.

        Only a few are passed over: ``None`` does not say that there is none.
        """
        ready = self._begun()
        passed: list[tuple[float, int]] = []
        found = None
        while ready and len(passed) < _PASSED_OVER:
            entry = heappop(ready)
            if accepts(entry[1]):
                found = entry[1]
                break
            passed.append(entry)
        for entry in passed:
            heappush(ready, entry)
        return None if found is None else self._took(found)

    @property
    def phases(self) -> list[float]:
        """Of each index, how far its next turn's begin lies ahead (or, below 0, back), in its own turns: -1 to 1."""
        total, time = self._total, self._time
        return [
            (start + turns * total / share - time) * share / total if share else 0.0
            for start, turns, share in zip(self._starts, self._turns, self._shares, strict=True)
        ]

    def _begun(self) -> list[tuple[float, int]]:
        ready, waiting = self._ready, self._waiting
        if waiting:
            if not ready and waiting[0][0] > self._time:
                # after a change the shares may not add up for a while: nobody has a claim, so time goes on
                self._time = waiting[0][0]
            time = self._time
            while waiting and waiting[0][0] <= time:
                _, deadline, index = heappop(waiting)
                heappush(ready, (deadline, index))
        return ready

    def _took(self, index: int) -> int:
        self._time += 1
        self._turns[index] = turns = self._turns[index] + 1
        share, total, first = self._shares[index], self._total, self._starts[index]
        # Multiplied before it is divided: where the exact result is whole, so is the float.
        heappush(self._waiting, (first + turns * total / share, first + (turns + 1) * total / share, index))
        return index


def _whole(weights: Sequence[float]) -> list[int]:
    if all(weight == int(weight) for weight in weights):
        return [int(weight) for weight in weights]
    return [max(1, round(weight * _FRACTION)) if weight else 0 for weight in weights]
