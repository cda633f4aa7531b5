"""What the balancer tells people about itself: plain values, for the admin page and for metrics."""

from __future__ import annotations

from typing import Any

from vegurtx.balance.replica import Replica, Service
from vegurtx.balance.table import Table
from vegurtx.balance.upkeep import Upkeep


def status_of(table: Table, upkeep: Upkeep, now: float) -> dict[str, Any]:
    """The services of `table`, with their replicas. Ages and durations are in seconds at the reactor's time `now`.

    A replica's ``probes`` are by what the check asks, as `vegurtx.balance.health.state.ProbeRecord.report` says it.
    """
    probes: dict[tuple[str, str], dict[str, Any]] = {}
    for key, record in upkeep.checker.state.items():
        probes.setdefault((key.service, key.replica), {})[key.check] = record.report(now)
    return {
        "services": [_service(service, probes, now) for service in table.services.values()],
        "names": [
            {"host": name.host, "addresses": list(name.addresses), "problem": name.problem}
            for name in upkeep.names.names()
        ],
    }


def _service(service: Service, probes: dict[tuple[str, str], dict[str, Any]], now: float) -> dict[str, Any]:
    config = service.config
    return {
        "name": service.name,
        "strategy": config.strategy.name if config.strategy else None,
        "in_flight": service.in_flight,
        "max_connections": service.max_connections,
        "total": service.total,
        "retried": service.retried,
        "errors": dict(service.errors),
        "rejected": dict(service.rejected),
        "waiting": len(service.queue),
        "queue_length": service.queue.length,
        "timed_out_waiting": service.queue.timed_out,
        "circuit": None if service.breaker is None else service.breaker.state.value,
        "panicking": service.panicking,
        "available": len(service.available),
        "replicas": [
            _replica(service, replica, probes.get((service.name, replica.key), {}), now)
            for replica in service.replicas
        ],
    }


def _replica(service: Service, replica: Replica, probes: dict[str, Any], now: float) -> dict[str, Any]:
    return {
        "key": replica.key,
        "url": replica.url,
        "address": replica.backend.path or f"{replica.backend.host}:{replica.backend.port}",
        "state": replica.state,
        "admin": replica.admin,
        "healthy": replica.healthy,
        "weight": replica.weight,
        "effective_weight": replica.effective_weight(now),
        "in_flight": replica.in_flight,
        "max_connections": replica.max_connections,
        "total": replica.total,
        "errors": dict(replica.errors),
        "latency": replica.latency,
        "probes": probes,
        "passive": None if service.passive is None else service.passive.report(replica, now),
    }
