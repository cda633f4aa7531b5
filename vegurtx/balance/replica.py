"""What the balancer knows of its replicas and services while it runs: counters, health, who can be chosen.

Plain state, without sockets and timers. The table (`vegurtx.balance.table`) makes these objects and keeps them over
reloads; probes and passive health change them; strategies read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from vegurtx.message import Backend

Admin = Literal["ready", "drain", "maint"]

#: the share of its weight with which a replica begins a slow start
_FIRST_SHARE = 0.1


class Replica:
    """One place where a service runs. It lives as long as its (service, key) is configured, through reloads.

    :param key: what it is known by within its service: its URL, with ``#address`` where a name was taken apart.
    :param backend: how the proxy reaches it.
    :param url: as the file has it.
    :param weight: as configured, 0 or more.
    :param max_connections: requests that it may have at once; ``None``: any number.
    """

    __slots__ = (
        "__weakref__",
        "admin",
        "available",
        "backend",
        "ejected_until",
        "errors",
        "healthy",
        "host",
        "in_flight",
        "key",
        "latency",
        "latency_at",
        "listed",
        "max_connections",
        "named",
        "port",
        "service",
        "slow_start",
        "slow_start_since",
        "total",
        "url",
        "weight",
    )

    def __init__(
        self,
        key: str,
        backend: Backend,
        *,
        url: str | None = None,
        weight: float = 1.0,
        max_connections: int | None = None,
    ) -> None:
        self.key = key
        self.url = key if url is None else url
        self.backend = backend
        #: of the configured URL; of a UNIX socket "" and 0
        self.host = backend.host
        self.port = backend.port
        #: the host, where it is a name that has to be resolved
        self.named: str | None = None
        self.weight = weight
        self.max_connections = max_connections
        #: the service that it belongs to, once it does
        self.service: Service | None = None

        #: requests that it has now, and has had
        self.in_flight = 0
        self.total = 0
        #: ``reason → how often``
        self.errors: dict[str, int] = {}

        #: what the probes say; a replica starts up
        self.healthy = True
        #: the reactor's time at which its ejection ends; 0.0: it is not ejected
        self.ejected_until = 0.0
        #: what the operator says: ``"drain"`` gets sticky sessions only, ``"maint"`` nothing
        self.admin: Admin = "ready"
        #: healthy, not ejected and ready; `refresh` keeps it true
        self.available = True
        #: whether it is in its service's `available`, where a panic may put it although it is not available
        self.listed = False

        #: seconds that a slow start lasts; 0.0: none
        self.slow_start = 0.0
        #: the reactor's time at which the present slow start began
        self.slow_start_since: float | None = None
        #: moving average of the seconds to the first byte, and the reactor's time of its last sample
        self.latency = 0.0
        self.latency_at = 0.0

    def refresh(self) -> bool:
        """Work out `available` again; whether it has changed. A service's lists follow in `Service.refresh`."""
        before = self.available
        self.available = self.healthy and not self.ejected_until and self.admin == "ready"
        return self.available is not before

    def effective_weight(self, now: float) -> float:
        """The weight at the reactor's time `now`: during a slow start it grows from a tenth to the whole."""
        since = self.slow_start_since
        if since is None:
            return self.weight
        share = (now - since) / self.slow_start if self.slow_start > 0.0 else 1.0
        if share >= 1.0:
            self.slow_start_since = None
            return self.weight
        return self.weight * max(share, _FIRST_SHARE)

    def failed(self, what: str) -> None:
        """Count an error. `what` is one of the proxy's words, so there is a bounded number of them."""
        self.errors[what] = self.errors.get(what, 0) + 1

    @property
    def state(self) -> str:
        """One word for people: ``up``, ``down``, ``ejected``, ``drain`` or ``maint``."""
        if self.admin != "ready":
            return self.admin
        if not self.healthy:
            return "down"
        return "ejected" if self.ejected_until else "up"

    def __str__(self) -> str:
        return self.key if self.service is None else f"{self.service.name} {self.key}"

    def __repr__(self) -> str:
        return f"<Replica {self.key} {self.state} in_flight={self.in_flight}>"


class Service:
    """The replicas that serve one thing, and what is shared by all of its requests.

    It is kept over reloads by its name, so that requests in flight, waiting ones and counters are never lost.

    :param name: unique in the file.
    :param config: the `vegurtx.balance.config.ServiceConfig`.
    :param strategy: the `vegurtx.balance.strategies` object that chooses.
    :param replicas: the first ones.
    """

    __slots__ = (
        "_spare",
        "available",
        "breaker",
        "budget",
        "config",
        "errors",
        "full",
        "in_flight",
        "max_connections",
        "name",
        "panic_threshold",
        "panicking",
        "passive",
        "queue",
        "rejected",
        "replicas",
        "retried",
        "strategy",
        "strategy_config",
        "timed",
        "total",
    )

    def __init__(self, name: str, config: Any, strategy: Any, replicas: Iterable[Replica] = ()) -> None:
        self.name = name
        self.config = config
        self.strategy = strategy
        #: what the strategy was made from, and whether it wants to know how tries have ended
        self.strategy_config: Any = None
        self.timed = True
        self.max_connections: int | None = None
        #: the share of available replicas below which health is ignored; 0.0: never
        self.panic_threshold = 0.0

        #: all of them; the list is replaced, never changed
        self.replicas: list[Replica] = []
        #: those that can be chosen: in a panic, all that are not taken out by hand. A new list with each change.
        self.available: list[Replica] = []
        self.panicking = False
        #: how many of `available` have all the requests that they may have
        self.full = 0
        self._spare: list[Replica] | None = None

        #: those who wait for a replica; without one in the file, its length is 0
        self.queue: Any = None
        # each of these is ``None`` where the file does not ask for it
        self.budget: Any = None
        self.breaker: Any = None
        self.passive: Any = None

        #: requests in flight; tries that were started, and how many of them were repetitions
        self.in_flight = 0
        self.total = 0
        self.retried = 0
        #: ``reason → how often``: failed tries, and requests that got no replica at all
        self.errors: dict[str, int] = {}
        self.rejected: dict[str, int] = {}
        self.set_replicas(replicas)

    def set_replicas(self, replicas: Iterable[Replica]) -> None:
        """These are the replicas from now on."""
        self.replicas = list(replicas)
        for replica in self.replicas:
            replica.service = self
        self.available = list(self.available)  # weights may be new, too
        self.refresh()

    def refresh(self) -> None:
        """Work out who can be chosen. To be called after each change of a replica's health or state."""
        for replica in self.replicas:
            replica.refresh()
        up = [replica for replica in self.replicas if replica.available]
        ready = [replica for replica in self.replicas if replica.admin == "ready"]
        self.panicking = len(up) < self.panic_threshold * len(ready)
        chosen = ready if self.panicking else up
        if chosen != self.available:
            for replica in self.available:
                replica.listed = False
            for replica in chosen:
                replica.listed = True
            self.available = chosen
        self.full = sum(is_full(replica) for replica in chosen)
        self._spare = None

    @property
    def candidates(self) -> list[Replica]:
        """Those of `available` that may have one more request: `available` itself unless somebody is full."""
        if not self.full:
            return self.available
        spare = self._spare
        if spare is None:
            spare = self._spare = [replica for replica in self.available if not is_full(replica)]
        return spare

    @property
    def saturated(self) -> bool:
        """Whether the service itself has all the requests that it may have."""
        return self.max_connections is not None and self.in_flight >= self.max_connections

    def took(self, replica: Replica) -> None:
        """`replica` has got one more request."""
        self.in_flight += 1
        self.total += 1
        replica.total += 1
        replica.in_flight = in_flight = replica.in_flight + 1
        if in_flight == replica.max_connections and replica.listed:
            self.full += 1
            self._spare = None

    def gave_back(self, replica: Replica) -> None:
        """A request of `replica` is over."""
        self.in_flight -= 1
        in_flight = replica.in_flight
        replica.in_flight = in_flight - 1
        if in_flight == replica.max_connections and replica.listed:
            self.full -= 1
            self._spare = None

    def failed(self, what: str) -> None:
        """Count a failed try."""
        self.errors[what] = self.errors.get(what, 0) + 1

    def refused(self, reason: str) -> None:
        """Count a request that got no replica."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def __repr__(self) -> str:
        return f"<Service {self.name} {len(self.available)}/{len(self.replicas)} in_flight={self.in_flight}>"


def is_full(replica: Replica) -> bool:
    """Whether `replica` has all the requests that it may have."""
    return replica.max_connections is not None and replica.in_flight >= replica.max_connections
