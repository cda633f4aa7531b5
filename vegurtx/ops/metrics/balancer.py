"""The balancer's own counts as families: what `Balancer.status` says of services and replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from vegurtx.ops.metrics.families import Family

_CIRCUITS = ("closed", "half-open", "open")

Member = dict[str, Any]
#: name, kind, merge, description, what of the status it is
_Row = tuple[str, Any, Any, str, Callable[[Member], Any]]

_SERVICE: tuple[_Row, ...] = (
    ("tries_total", "counter", "sum", "Tries that were started; a request may need several.", lambda s: s["total"]),
    ("retries_total", "counter", "sum", "Tries that were repetitions.", lambda s: s["retried"]),
    ("in_flight", "gauge", "sum", "Requests that the service has now.", lambda s: s["in_flight"]),
    ("waiting", "gauge", "sum", "Requests in the service's queue.", lambda s: s["waiting"]),
    ("queue_timeouts_total", "counter", "sum", "Requests that waited too long.", lambda s: s["timed_out_waiting"]),
    ("available_replicas", "gauge", "min", "Replicas that can be chosen.", lambda s: s["available"]),
    ("panicking", "gauge", "max", "1: so few are available that health is ignored.", lambda s: int(s["panicking"])),
)  # fmt: skip
_REPLICA: tuple[_Row, ...] = (
    ("up", "gauge", "min", "1: it gets requests.", lambda r: int(r["state"] == "up")),
    ("healthy", "gauge", "min", "1: its probes are good, or there are none.", lambda r: int(r["healthy"])),
    ("ejected", "gauge", "max", "1: failed requests have ejected it.", lambda r: int(r["state"] == "ejected")),
    ("in_flight", "gauge", "sum", "Requests that it has now.", lambda r: r["in_flight"]),
    ("tries_total", "counter", "sum", "Requests that were sent there, or whose connect failed.", lambda r: r["total"]),
    ("weight", "gauge", "max", "Its weight as it counts now.", lambda r: r["effective_weight"]),
    ("latency_seconds", "gauge", "max", "Moving average of the time to the first byte.", lambda r: r["latency"]),
)  # fmt: skip


def balancer_families(status: dict[str, Any]) -> list[Family]:
    """The families of what `Balancer.status` has returned."""
    services = status["services"]
    made = [
        _family("service", row, ("service",), [((service["name"],), service) for service in services])
        for row in _SERVICE
    ]
    members = list(_members(services))
    made += [_family("replica", row, ("service", "replica"), members) for row in _REPLICA]
    return [*made, *_counts(services, members), _circuits(services), *_passive(members), _probes(members)]


def _members(services: list[Member]) -> Iterator[tuple[tuple[str, ...], Member]]:
    for service in services:
        for replica in service["replicas"]:
            yield (service["name"], replica["key"]), replica


def _family(
    what: str, row: _Row, labels: tuple[str, ...], members: list[tuple[tuple[str, ...], Member]]
) -> Family:
    name, kind, merge, description, value = row
    made = Family(f"vegurtx_{what}_{name}", kind, description, labels, merge)
    for own, member in members:
        made.add(value(member), *own)
    return made


def _counts(services: list[Member], members: list[tuple[tuple[str, ...], Member]]) -> list[Family]:
    rejected = Family(
        "vegurtx_service_rejected_total",
        "counter",
        "Requests that got no replica, by the reason.",
        ("service", "reason"),
    )
    errors = Family(
        "vegurtx_replica_errors_total",
        "counter",
        "Tries that failed, by the reason.",
        ("service", "replica", "reason"),
    )
    for service in services:
        for reason, count in service["rejected"].items():
            rejected.add(count, service["name"], reason)
    for own, replica in members:
        for reason, count in replica["errors"].items():
            errors.add(count, *own, reason)
    return [rejected, errors]


def _circuits(services: list[Member]) -> Family:
    circuits = Family(
        "vegurtx_service_circuit",
        "gauge",
        "The state of its circuit breaker: 0 closed, 1 half-open, 2 open.",
        ("service",),
        "max",
    )
    for service in services:
        if service["circuit"] is not None:
            circuits.add(_CIRCUITS.index(service["circuit"]), service["name"])
    return circuits


def _passive(members: list[tuple[tuple[str, ...], Member]]) -> list[Family]:
    ejections = Family(
        "vegurtx_replica_ejections_total",
        "counter",
        "How often failed requests have ejected it.",
        ("service", "replica"),
    )
    for own, replica in members:
        if replica["passive"] is not None:
            ejections.add(replica["passive"]["ejections"], *own)
    return [ejections]


def _probes(members: list[tuple[tuple[str, ...], Member]]) -> Family:
    probes = Family(
        "vegurtx_probes_total",
        "counter",
        "Health probes that have ended.",
        ("service", "replica", "result"),
    )
    for own, replica in members:
        for record in replica["probes"].values():
            probes.add(record["successes"], *own, "success")
            probes.add(record["failures"], *own, "failure")
    return probes
