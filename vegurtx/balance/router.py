"""`Balancer`: the router that a configuration makes. Where a request goes is decided here, and what became of it noted.

    init → lookup_domain_name: the table's route → checkout_service: sticky session, strategy, or the queue
         → service_backend → … → checkin_service: given back, judged, counted; whoever waits is woken

A request that does not wait makes one small object of its own, and no Deferred.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from vegurtx.balance.admission import Errand, admit, may_repeat, wake
from vegurtx.balance.matching.split import Split
from vegurtx.balance.outcome import failure_of, first_byte, judge
from vegurtx.balance.pages import page_for
from vegurtx.balance.replica import Admin, Replica, Service
from vegurtx.balance.status import status_of
from vegurtx.balance.table import Plan, Route, Table
from vegurtx.balance.upkeep import Upkeep
from vegurtx.errors import Reason, RouteError
from vegurtx.interfaces import IRouter

_log = Logger()


@implementer(IRouter)
class Balancer:
    """A load balancer. `start` it, give it to a `ProxyFactory` as its router, and `stop` it in the end.

    :param config: what `vegurtx.balance.config.load` returns.
    :param reactor: the clock, and for probes and names the network.
    :param secret: signs the sticky cookies of services that have no ``secret`` of their own. Without it each process
        has a random one, and its cookies are worth nothing to others, nor after a restart.
    :raises ValueError: the configuration cannot be used.
    """

    def __init__(self, config: Any, *, reactor: Any, secret: bytes | None = None) -> None:
        self._reactor = reactor
        self._seconds: Callable[[], float] = reactor.seconds
        self._secret = secret or os.urandom(32)
        self._upkeep = Upkeep(reactor, self.changed)
        self._running = False
        #: services that a reload has taken out, as long as they have requests
        self._retired: list[Service] = []
        self._table: Table = self._compiled(config, {})

    # -- its life -------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Any:
        """The configuration in force."""
        return self._table.config

    @property
    def services(self) -> dict[str, Service]:
        """The services in force, by name."""
        return self._table.services

    def start(self) -> None:
        """Begin to probe the replicas and to resolve their names."""
        if not self._running:
            self._running = True
            self._upkeep.follow(self._table)

    def stop(self) -> Any:
        """End all probes and timers; requests that wait fail. Returns a Deferred where something takes its time."""
        self._running = False
        for service in [*self.services.values(), *self._retired]:
            service.queue.stop()
            if service.passive is not None:
                service.passive.stop()
        return self._upkeep.stop()

    def reload(self, config: Any) -> None:
        """New requests see `config` from now on; those that have matched keep their routes.

        Services of the same name, and replicas of the same key in them, keep health, counters and what they have.

        :raises ValueError: the configuration cannot be used; the old one stays in force.
        """
        before = self.services
        table = self._table = self._compiled(config, before)
        gone = [service for name, service in before.items() if name not in table.services]
        for service in gone:
            if service.passive is not None:
                service.passive.stop(service)
                service.passive = None
        self._retired = [service for service in [*self._retired, *gone] if service.in_flight or service.queue]
        if self._running:
            self._upkeep.follow(table)
        for service in table.services.values():
            self._wake(service)

    def _compiled(self, config: Any, kept: dict[str, Service]) -> Table:
        plan = Plan(config, kept, self._upkeep.addresses, self._secret)
        return plan.apply(self._reactor, self._upkeep.health_changed)

    def changed(self, service: Service) -> None:
        """Health, addresses or an operator's word have changed who can be chosen in `service`."""
        service.refresh()
        self._wake(service)

    def set_replica_state(self, service: str, key: str, state: Admin) -> None:
        """Let a replica get requests (``"ready"``), sticky sessions only (``"drain"``), or nothing (``"maint"``).

        :raises KeyError: there is no such service, or no such replica in it.
        :raises ValueError: there is no such state.
        """
        if state not in ("ready", "drain", "maint"):
            raise ValueError(f"a replica is 'ready', 'drain' or 'maint', not {state!r}")
        found = self.services[service]
        for replica in found.replicas:
            if replica.key == key:
                replica.admin = state
                self.changed(found)
                return
        raise KeyError(key)

    def status(self) -> dict[str, Any]:
        """What people and the admin page want to know: services, replicas, health, counts. Plain values only."""
        return status_of(self._table, self._upkeep, self._seconds())

    # -- the way there --------------------------------------------------------------------------------------------

    def init(self, accepted_at: float, request: Any) -> Errand:
        """What is remembered of the request."""
        return Errand()

    def lookup_domain_name(self, domain: str, request: Any, state: Errand) -> Route:
        """The route of what the request matches.

        :raises RouteError: ``not_found``: nothing.
        """
        target = self._table.match(request)
        if target is None:
            raise RouteError("not_found")
        route: Route = target.choose(request) if target.__class__ is Split else target
        state.route = route
        if route.rewrite is not None:
            given = request.forward_target
            rewritten = route.rewrite(given)
            if rewritten is not given:  # a target that is no origin-form stays, and could not be assigned
                request.forward_target = rewritten
        return route

    def checkout_service(self, domain_group: Route, request: Any, state: Errand) -> Any:
        """A replica, or a Deferred of one; see `vegurtx.balance.admission.admit`."""
        return admit(state, request, self._seconds())

    def service_backend(self, service: Replica, request: Any, state: Errand) -> Any:
        """Where the replica is reached at present."""
        return service.backend

    # -- the way back ---------------------------------------------------------------------------------------------

    def checkin_service(
        self,
        domain_group: Route | None,
        service: Replica | None,
        phase: str,
        service_state: Reason,
        request: Any,
        state: Errand,
    ) -> None:
        """The request gives back what it holds; its replica is judged by how the try has ended."""
        replica = state.replica
        if replica is None:
            return
        state.replica = None
        route = state.route
        assert route is not None
        home = route.service
        home.gave_back(replica)
        what = judge(phase, service_state, request.response_code)
        if what:
            replica.failed(what)
            home.failed(what)
        if home.breaker is not None or home.passive is not None or home.timed:
            self._tell(home, replica, what, state.term, request)
        if phase == "connecting" or phase == "retrying":
            state.tries += 1
            state.tried = (*state.tried, replica)
            state.failure = failure_of(phase, service_state)
            if phase == "connecting":
                # No replica has had work with it, so to repeat it makes nobody's work more: the budget is for others.
                state.granted = True
                self._upkeep.connect_failed(replica)
        if home.queue:
            wake(home, self._seconds())

    def _tell(self, service: Service, replica: Replica, what: str | None, term: int, request: Any) -> None:
        """Who wants to know how a try has ended is told. `what`: as `judge` says it."""
        now = self._seconds()
        good = None if what is None else not what
        if service.breaker is not None:
            service.breaker.ended(term, good, now)
        if good is None:
            return
        if service.passive is not None:
            if good:
                service.passive.succeeded(service, replica, now)
            else:
                service.passive.failed(service, replica, what, now)
        if service.timed:
            try:
                service.strategy.finished(replica, first_byte(request), good, now)
            except Exception:  # a strategy of one's own; whoever waits in the queue shall not wait for it
                _log.failure("{service}: the strategy's finished() raised", service=service.name)

    def terminate(self, status: str, request: Any, state: Errand | None) -> None:
        """Nothing is held any more: the final check-in has given it back."""

    # -- what is asked on the way -----------------------------------------------------------------------------------

    def feature(self, name: str, request: Any, state: Errand) -> bool:
        """``retry``: whether a try that failed behind its connect may be repeated; everything else is off."""
        if name != "retry" or state.route is None:
            return False
        return may_repeat(state, state.tries + 1, self._seconds())  # the present try is not checked in yet

    def additional_headers(self, direction: str, log: Any, request: Any, state: Errand) -> Any:
        """What the file's ``headers`` say, and the sticky cookie where the client does not have the right one."""
        route = state.route
        if route is None:
            return ()
        if direction == "upstream":
            own = route.request_headers
            return () if own is None else own.pairs(request.headers)
        own = route.response_headers
        pairs: Any = () if own is None else own.pairs(request.response_headers)
        replica = state.replica
        if route.sticky is not None and replica is not None and replica is not state.sticky:
            return [*pairs, ("Set-Cookie", route.sticky.set_cookie(replica))]
        return pairs

    def error_page(self, reason: Reason, domain_group: Any, request: Any, state: Any) -> Any:
        """A page of one line; see `vegurtx.balance.pages`."""
        return page_for(reason, getattr(request, "suggested_code", None))

    # -- the queue --------------------------------------------------------------------------------------------------

    def _wake(self, service: Service) -> None:
        if service.queue:
            wake(service, self._seconds())
