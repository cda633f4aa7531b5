"""Which replica a request gets: sticky session, strategy, or a place in the queue; and what it holds until it is over.

Each try is one `take` and one `give_back`, whatever happens between them: the request's `Errand` holds the replica, and
only what it holds is given back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vegurtx.balance.replica import Replica, Service, is_full
from vegurtx.errors import Reason, RouteError

if TYPE_CHECKING:
    from vegurtx.balance.table import Route


class Errand:
    """What the balancer remembers of one request: the router's ``state``."""

    __slots__ = ("failure", "granted", "replica", "route", "sticky", "term", "tried", "tries")

    def __init__(self) -> None:
        #: the table's line for it; the request keeps it, whatever is loaded meanwhile
        self.route: Route | None = None
        #: what it holds now, and the circuit breaker's term in which it got it
        self.replica: Replica | None = None
        self.term = 0
        #: tries that failed: how many, where, and why the last one did
        self.tries = 0
        self.tried: tuple[Replica, ...] = ()
        self.failure: Reason | None = None
        #: whether the next try is paid for, or costs nothing
        self.granted = False
        #: the replica that its cookie names
        self.sticky: Replica | None = None


def admit(errand: Errand, request: Any, now: float) -> Any:
    """Give the request a replica, or a `Deferred` of one.

    :param now: the reactor's time in seconds.
    :raises RouteError: ``circuit_open``, ``no_replica``, ``backlog_too_deep``; after a failed try always its reason.
    """
    route = errand.route
    assert route is not None
    service = route.service
    if errand.tries and not may_repeat(errand, errand.tries, now):
        assert errand.failure is not None
        raise RouteError(errand.failure)
    errand.granted = False
    breaker = service.breaker
    if breaker is not None and not breaker.admits(now):
        raise refusal(service, errand, "circuit_open")
    backlog = service.queue
    if not backlog:  # else: not before those who wait already
        replica = choose(errand, request, now)
        if replica is not None:
            take(errand, replica)
            return replica
    if not backlog.length:
        raise refusal(service, errand, "backlog_too_deep" if service.available else "no_replica")
    return backlog.join(request, errand)


def refusal(service: Service, errand: Errand, reason: str) -> RouteError:
    """The error for a request that gets no replica: after a failed try it is that try's, which says more."""
    service.refused(reason)
    return RouteError(reason if errand.failure is None else errand.failure)


def choose(errand: Errand, request: Any, now: float) -> Replica | None:
    """The replica for the request, not taken yet; ``None``: it has to wait."""
    route = errand.route
    assert route is not None
    service = route.service
    if service.saturated:
        return None
    tried = errand.tried
    if route.sticky is not None:
        replica = errand.sticky = route.sticky.replica_of(request)
        if replica is not None and replica not in tried and accepts_session(replica):
            return replica
    candidates = service.candidates
    chosen: Replica | None = None
    if tried:
        others = [replica for replica in candidates if replica not in tried]
        if others:
            chosen = service.strategy.choose(others, request, now)
    if chosen is None and candidates:  # who has failed before is better than nobody, or a weight of 0
        chosen = service.strategy.choose(candidates, request, now)
    return chosen


def accepts_session(replica: Replica) -> bool:
    """Whether a request of a sticky session may still go to `replica`: one that drains serves its sessions on."""
    return (
        replica.listed or (replica.admin == "drain" and replica.healthy and not replica.ejected_until)
    ) and not is_full(replica)


def take(errand: Errand, replica: Replica) -> None:
    """The request has `replica` now."""
    route = errand.route
    assert route is not None
    service = route.service
    service.took(replica)
    if errand.tries:
        service.retried += 1
    errand.replica = replica
    if service.breaker is not None:
        errand.term = service.breaker.began()


def may_repeat(errand: Errand, failed: int, now: float) -> bool:
    """Whether the request may have one more try after `failed` ones; if so, it is paid for out of the budget."""
    route = errand.route
    assert route is not None
    if failed > route.retries:
        return False
    if errand.granted:
        return True
    service = route.service
    if service.budget is None:
        return False
    errand.granted = service.budget.withdraw(now, service.total - service.retried)
    return errand.granted


def wake(service: Service, now: float) -> None:
    """Give replicas to those who wait, in their order, as long as there are any to give."""
    backlog = service.queue
    if backlog.waking:  # what a woken request does may bring us here again: the loop below goes on
        return
    backlog.waking = True
    try:
        while backlog:
            waiter = backlog.first()
            errand = waiter.state
            if service.breaker is not None and not service.breaker.admits(now):
                backlog.take().deferred.errback(refusal(service, errand, "circuit_open"))
                continue
            try:
                replica = choose(errand, waiter.request, now)
            except Exception as error:
                backlog.take().deferred.errback(error)
                continue
            if replica is None:
                break
            backlog.take()
            take(errand, replica)
            waiter.deferred.callback(replica)
    finally:
        backlog.waking = False
