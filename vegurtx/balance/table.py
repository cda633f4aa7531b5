"""The table that a configuration compiles to: routes, and the services and replicas that they lead to.

Two steps, so that a configuration that cannot be used changes nothing: `Plan` makes everything that can fail, and
`Plan.apply` puts it in place. Services are kept by their name and replicas by their key, with health, counters and what
they have in flight; a strategy is kept as long as the file says the same of it. Routes are new: a request that has
matched keeps the route that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from vegurtx.balance.addresses import Addresses, Member, host_name, members
from vegurtx.balance.admission import refusal
from vegurtx.balance.breaker import CircuitBreaker
from vegurtx.balance.budget import RetryBudget
from vegurtx.balance.header_rules import rules
from vegurtx.balance.health import PassiveHealth
from vegurtx.balance.matching.rewriting import Rewrite
from vegurtx.balance.matching.routes import Routes
from vegurtx.balance.matching.split import Split
from vegurtx.balance.queue import Backlog
from vegurtx.balance.replica import Replica, Service
from vegurtx.balance.sticky import StickySessions
from vegurtx.balance.strategies import make
from vegurtx.balance.strategies.base import Strategy


class Route:
    """One service as this table has it: what is done with a request that has matched.

    :param config: its `ServiceConfig`.
    :param prefixes: those of the matchers that lead to it.
    :param secret: signs its sticky cookies, if it has no secret of its own.
    :raises ValueError: its ``rewrite`` cannot be used.
    """

    __slots__ = ("name", "request_headers", "response_headers", "retries", "rewrite", "service", "sticky")

    def __init__(self, config: Any, service: Service, prefixes: list[str], secret: bytes) -> None:
        self.name: str = config.name
        self.service = service
        self.rewrite = Rewrite(config.rewrite, prefixes).apply if config.rewrite else None
        self.request_headers = rules(config.headers, "request")
        self.response_headers = rules(config.headers, "response")
        #: tries that may follow the first one
        self.retries: int = config.retries.attempts if config.retries else 0
        self.sticky: StickySessions | None = None
        if config.sticky:
            own = config.sticky.secret
            self.sticky = StickySessions(config.sticky, service, own.encode() if own else secret)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Route {self.name}>"


class Table:
    """What is in force: routes by what they match, services by their name."""

    __slots__ = ("config", "match", "services")

    def __init__(self, config: Any, routes: Routes, services: dict[str, Service]) -> None:
        self.config = config
        self.services = services
        #: ``request → Route | Split | None``
        self.match = routes.match


class _ServicePlan:
    """One service of a file: everything about it that can fail is done."""

    def __init__(
        self, config: Any, default_strategy: Any, addresses: Addresses, kept: Service | None
    ) -> None:
        self.config = config
        self.members = members(config, addresses)
        self.strategy_config = wanted = config.strategy or default_strategy
        if kept is not None and kept.strategy_config == wanted:
            self.strategy = kept.strategy
        else:
            self.strategy = make(wanted)
        self.service = Service(config.name, config, self.strategy) if kept is None else kept

    def settle(self, reactor: Any, health_changed: Callable[[Replica], object]) -> None:
        """Make the service what the file says."""
        config, service = self.config, self.service
        if service.queue is None:
            service.queue = Backlog(reactor, refusal=partial(refusal, service))
        breaker = config.circuit_breaker
        if not breaker:
            service.breaker = None
        elif service.breaker is None or service.config.circuit_breaker != breaker:
            service.breaker = CircuitBreaker(
                breaker.errors, breaker.window, breaker.open_for, breaker.half_open
            )
        retries = config.retries
        if not retries:
            service.budget = None
        elif service.budget is None or service.config.retries != retries:
            service.budget = RetryBudget(retries.budget, retries.min_per_second)
        passive = config.passive_health
        if not passive:
            if service.passive is not None:
                service.passive.stop(service)
            service.passive = None
        elif service.passive is None:
            service.passive = PassiveHealth(passive, reactor, health_changed)
        else:
            service.passive.reconfigure(passive)
        queue = config.queue
        service.queue.length = queue.length if queue else 0
        service.queue.timeout = queue.timeout if queue else 0.0
        service.config = config
        service.strategy = self.strategy
        service.strategy_config = self.strategy_config
        listener = getattr(type(self.strategy), "finished", Strategy.finished)
        service.timed = listener is not Strategy.finished
        service.max_connections = config.max_connections
        service.panic_threshold = config.panic_threshold or 0.0
        populate(service, self.members)


def populate(service: Service, wanted: list[Member]) -> None:
    """`wanted` are the members of `service` from now on; those that it has already stay the objects that they are."""
    present = {replica.key: replica for replica in service.replicas}
    passive = service.config.passive_health
    replicas = []
    for key, config, backend in wanted:
        replica = present.get(key)
        if replica is None:
            replica = Replica(key, backend, url=config.url)
            replica.host, replica.port = config.address.host, config.address.port
            replica.named = host_name(config)
        replica.backend = backend
        replica.weight = config.weight
        replica.max_connections = config.max_connections
        replica.slow_start = passive.slow_start if passive else 0.0
        replicas.append(replica)
    service.set_replicas(replicas)


class Plan:
    """A configuration, compiled, and not yet in force.

    :param config: a `vegurtx.balance.config.Config`.
    :param kept: the services that there are, by name.
    :param addresses: of host names, as far as they are known.
    :param secret: of sticky cookies whose service has no secret of its own.
    :raises ValueError: a strategy's options cannot be used, or whatever else a model cannot know.
    """

    def __init__(self, config: Any, kept: Mapping[str, Service], addresses: Addresses, secret: bytes) -> None:
        self._plans = [
            _ServicePlan(service, config.strategy, addresses, kept.get(service.name))
            for service in config.services
        ]
        prefixes = _prefixes(config)
        routes = {
            plan.config.name: Route(plan.config, plan.service, prefixes[plan.config.name], secret)
            for plan in self._plans
        }
        entries: list[tuple[Any, Any]] = [
            (service.matcher, routes[service.name]) for service in config.services if service.matcher
        ]
        for split in config.splits:
            targets = [(routes[name], weight) for name, weight in split.services.items()]
            entries.append((split.matcher, Split(targets, split.on)))
        self._table = Table(config, Routes(entries), {plan.config.name: plan.service for plan in self._plans})

    def apply(self, reactor: Any, health_changed: Callable[[Replica], object]) -> Table:
        """Change the services to what the file says, and return the table of them.

        :param reactor: for the queues and for the ends of ejections.
        :param health_changed: called with each replica that is ejected, or comes back.
        """
        for plan in self._plans:
            plan.settle(reactor, health_changed)
        return self._table


def _prefixes(config: Any) -> dict[str, list[str]]:
    """By service, the prefixes of the matchers that lead to it: its own, and those of its splits."""
    found = {
        service.name: [one.prefix for one in service.matcher if one.prefix] for service in config.services
    }
    for split in config.splits:
        for name in split.services:
            found[name] += [one.prefix for one in split.matcher if one.prefix]
    return found
