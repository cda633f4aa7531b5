"""A weighted split: a canary, a migration; each target gets its share of the requests."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from vegurtx.balance.strategies.keys import key_of, point_of
from vegurtx.balance.strategies.schedule import SmoothSchedule

_POINTS = 2**64
_SALT = b"split\0"


class Split:
    """Chooses one of some targets, each as often as its weight says.

    Without `on` the order is smooth: 95 and 5 are 95 and 5 of any 100 requests, evenly spread. With it, a client
    stays with its target while the weights stay, and only as many clients change as a change of the weights asks
    for (between two targets; with more of them, neighbours in the file pass clients on). Requests that do not have
    what is hashed are split smoothly.

    :param services: ``(target, weight)``; a weight is 0 or more, and one at least is more.
    :param on: what of a request is hashed, as in `vegurtx.balance.strategies.keys`.
    :raises ValueError: no weight is above 0, or `on` is nothing that there is.
    """

    __slots__ = ("_key", "_schedule", "_sums", "_targets")

    def __init__(self, services: Sequence[tuple[Any, float]], on: str | None = None) -> None:
        weights = [weight for _, weight in services]
        if not any(weights) or min(weights) < 0:
            raise ValueError("a split needs weights of 0 or more, and one above 0")
        self._targets = [target for target, _ in services]
        self._schedule = SmoothSchedule(weights)
        self._key = None if on is None else key_of(on)
        #: the points up to which each target's part of the hashes goes
        parts = list(accumulate(weights))
        self._sums = [int(part / parts[-1] * _POINTS) for part in parts]

    def choose(self, request: Any) -> Any:
        """The target for a request."""
        if self._key is not None:
            key = self._key(request)
            if key is not None:
                # salted: a replica's strategy may hash the same key, and shall not see one part of the ring only
                return self._targets[bisect_right(self._sums, point_of(_SALT + key))]
        index = self._schedule.next()
        assert index is not None
        return self._targets[index]
