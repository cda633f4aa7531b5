"""For strategies that work something out beforehand for the replicas of a service: a schedule, a heap, sums.

The list of replicas is the same object until somebody comes or goes. Between, there are lists that were made for one
request: a retry's, which leaves out the replica that failed; or everybody who is not full at this moment. These come
and go, and what was prepared has to stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vegurtx.balance.replica import Replica
from vegurtx.balance.strategies.base import Strategy

#: seconds after which weights are read anew, and with a slow start under way
_REFRESH = 1.0
_REFRESH_SLOW_START = 0.1
#: so often other lists may come between a shorter list and its coming again
_PATIENCE = 8


class Prepared(Strategy):
    """Tells the service's list from lists for one request.

    A list that is not shorter than the last one is the service's; a shorter one is, when it comes a second time.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        #: the service's list, for which all is prepared
        self._list: Sequence[Replica] = ()
        #: a shorter one, which may be its successor, and how many calls ago it came
        self._other: Sequence[Replica] = ()
        self._age = 0
        #: when to prepare again
        self._due = 0.0

    def choose(self, replicas: Sequence[Replica], request: Any, now: float) -> Replica | None:
        """See `Strategy`."""
        if replicas is not self._list or now >= self._due:
            if replicas is not self._list and not self._succeeds(replicas):
                return self.pick_among(replicas, now)
            self._list = replicas
            self._other = ()
            self.prepare(replicas, now)
            slow = any(replica.slow_start_since is not None for replica in replicas)
            self._due = now + (_REFRESH_SLOW_START if slow else _REFRESH)
        return self.pick(now)

    def _succeeds(self, replicas: Sequence[Replica]) -> bool:
        if len(replicas) >= len(self._list) or replicas is self._other:
            return True
        self._age += 1
        # the longest is the likeliest: those of retries are shorter still
        if len(replicas) >= len(self._other) or self._age > _PATIENCE:
            self._other = replicas
            self._age = 0
        return False

    def prepare(self, replicas: Sequence[Replica], now: float) -> None:
        """`replicas` is the service's list from now on, or it still is and its weights may have changed."""
        raise NotImplementedError

    def pick(self, now: float) -> Replica | None:
        """Choose from what was prepared."""
        raise NotImplementedError

    def pick_among(self, replicas: Sequence[Replica], now: float) -> Replica | None:
        """Choose from a list for one request: nearly always a part of the service's list, but nothing says so."""
        raise NotImplementedError
