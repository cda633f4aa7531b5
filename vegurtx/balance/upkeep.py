"""What goes on between requests: probes, host names, and the ends of ejections.

`Upkeep` holds the timers' owners and tells the balancer which service has changed; what changes is in the replicas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vegurtx.balance.addresses import host_name, members
from vegurtx.balance.health import HealthChecker
from vegurtx.balance.names import Name, Names
from vegurtx.balance.replica import Replica, Service
from vegurtx.balance.table import Table, populate


class Upkeep:
    """Probes and name look-ups of all services of a table.

    :param reactor: for time, delayed calls and connections.
    :param changed: called with each `Service` of which somebody's health or address has changed.
    """

    def __init__(self, reactor: Any, changed: Callable[[Service], object]) -> None:
        self._changed = changed
        self.checker = HealthChecker(reactor, self.health_changed)
        self.names = Names(reactor, self._moved)
        self._services: dict[str, Service] = {}
        #: who is probed, by service and key; and whose names are resolved, by service
        self._probed: dict[tuple[str, str], Replica] = {}
        self._resolved: dict[str, set[str]] = {}

    def addresses(self, host: str) -> Sequence[str]:
        """What is known of a host name."""
        return self.names.addresses(host)

    def follow(self, table: Table) -> None:
        """These services are in force now: who is new is looked after, and who is gone is left alone."""
        self._services = dict(table.services)
        self._resolve()
        self._probe()

    def connect_failed(self, replica: Replica) -> None:
        """A connect to `replica` has failed: it may be down, and its name may lead elsewhere by now."""
        if replica.service is not None:
            self.checker.connect_failed(replica.service.name, replica)
        if replica.named is not None:
            self.names.connect_failed(replica.named)

    def stop(self) -> Any:
        """No probe, no look-up and no delayed call is left. A Deferred, where connections are still being closed."""
        self._services = {}
        self._probed = {}
        self._resolved = {}
        self.names.stop()
        return self.checker.stop()

    # -- host names ---------------------------------------------------------------------------------------------------

    def _resolve(self) -> None:
        wanted = {
            name: {host for replica in service.config.replicas if (host := host_name(replica)) is not None}
            for name, service in self._services.items()
        }
        for name, hosts in wanted.items():
            for host in hosts - self._resolved.get(name, set()):
                self.names.watch(host)
        for name, hosts in self._resolved.items():
            for host in hosts - wanted.get(name, set()):
                self.names.unwatch(host)
        self._resolved = wanted

    def _moved(self, name: Name) -> None:
        """A host name has other addresses: its services have other members."""
        for service in list(self._services.values()):
            if name.host in self._resolved[service.name]:
                populate(service, members(service.config, self.addresses))
                self._changed(service)
        self._probe()

    # -- probes -------------------------------------------------------------------------------------------------------

    def _probe(self) -> None:
        wanted: dict[tuple[str, str], Replica] = {}
        for name, service in self._services.items():
            check = service.config.health_check
            if check:
                for replica in service.replicas:
                    wanted[name, replica.key] = replica
        for key, replica in self._probed.items():
            if wanted.get(key) is not replica:
                self.checker.unwatch(key[0], replica)
        self._probed = wanted
        for (name, _), replica in wanted.items():
            self.checker.watch(name, replica, self._services[name].config.health_check)

    def health_changed(self, replica: Replica) -> None:
        """Probes, or requests, have changed what is known of `replica`."""
        if replica.service is not None:
            self._changed(replica.service)
