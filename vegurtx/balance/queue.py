"""Where requests wait for a replica: first in, first out, bounded in number and in time.

Only a request that has to wait pays for it. One delayed call serves a whole queue: all wait equally long, so the first
one's deadline is the next.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from vegurtx.errors import RouteError


class Waiter:
    """One waiting request: the `Deferred` of its ``checkout_service``, and what is needed to choose for it."""

    __slots__ = ("deadline", "deferred", "request", "state")

    def __init__(self, request: Any, state: Any, deadline: float, deferred: Deferred[Any]) -> None:
        self.request = request
        self.state = state
        self.deadline = deadline
        self.deferred = deferred


class Backlog:
    """The queue of one service.

    :param reactor: for its one delayed call.
    :param length: requests that may wait at once; 0: none.
    :param timeout: seconds that each may wait.
    :param refusal: makes the error for a request that gets nothing: ``(state, reason) → RouteError``.
    """

    __slots__ = ("_call", "_reactor", "_refusal", "_waiters", "length", "timed_out", "timeout", "waking")

    def __init__(
        self,
        reactor: Any,
        length: int = 0,
        timeout: float = 0.0,
        *,
        refusal: Callable[[Any, str], RouteError] = lambda state, reason: RouteError(reason),
    ) -> None:
        self._reactor = reactor
        self._refusal = refusal
        self.length = length
        self.timeout = timeout
        self._waiters: OrderedDict[int, Waiter] = OrderedDict()
        self._call: Any = None
        #: how many have waited in vain
        self.timed_out = 0
        #: whether replicas are being given out right now (`vegurtx.balance.admission.wake`)
        self.waking = False

    def __len__(self) -> int:
        return len(self._waiters)

    def join(self, request: Any, state: Any) -> Deferred[Any]:
        """Wait at the end. The Deferred fails with the `RouteError` ``backlog_timeout`` when the time is over.

        :raises RouteError: ``backlog_too_deep``: `length` requests wait already.
        """
        if len(self._waiters) >= self.length:
            raise self._refusal(state, "backlog_too_deep")
        deferred: Deferred[Any] = Deferred(self._left)
        now = self._reactor.seconds()
        self._waiters[id(deferred)] = Waiter(request, state, now + self.timeout, deferred)
        if self._call is None:
            self._call = self._reactor.callLater(self.timeout, self._expire)
        request.log.stamp("queue_time", "pre")
        return deferred

    def first(self) -> Waiter | None:
        """Who has waited longest."""
        return next(iter(self._waiters.values()), None)

    def take(self) -> Waiter:
        """Remove who has waited longest. The caller fires its Deferred.

        :raises KeyError: nobody waits.
        """
        _, waiter = self._waiters.popitem(last=False)
        waiter.request.log.stamp("queue_time", "post")
        return waiter

    def stop(self) -> None:
        """Nobody waits any longer: those who do fail at once, and no delayed call is left."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
        while self._waiters:
            waiter = self.take()
            waiter.deferred.errback(self._refusal(waiter.state, "no_replica"))

    def _left(self, deferred: Deferred[Any]) -> None:
        """The client has gone: its Deferred was cancelled."""
        self._waiters.pop(id(deferred), None)

    def _expire(self) -> None:
        self._call = None
        now = self._reactor.seconds()
        late = []
        for waiter in self._waiters.values():
            if waiter.deadline > now:
                self._call = self._reactor.callLater(waiter.deadline - now, self._expire)
                break
            late.append(waiter)
        # taken out first: what an errback sets off may come back here
        for _ in late:
            self.take()
        self.timed_out += len(late)
        for waiter in late:
            if not waiter.deferred.called:  # what one of them sets off may cancel another
                waiter.deferred.errback(self._refusal(waiter.state, "backlog_timeout"))

    def __repr__(self) -> str:
        return f"<Backlog {len(self._waiters)}/{self.length}>"
