"""What several processes say of services and replicas, as one answer: `vegurtx.balance.router.Balancer.status` merged.

What is counted and what goes on is added up, and so are limits: each process has its own. Where processes see a replica
differently, the worst state is shown, and who sees which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Values = dict[str, Any]
#: the worker's number, and what it says
Said = tuple[int, Values]

#: from the best to the worst
_STATES = ("up", "ejected", "down", "drain", "maint")
_CIRCUITS = (None, "closed", "half-open", "open")
_SERVICE_SUMS = ("in_flight", "total", "retried", "waiting", "queue_length", "timed_out_waiting")
_REPLICA_SUMS = ("in_flight", "total")
_PASSIVE_SUMS = ("ejections", "window_requests", "window_errors")


def merged_services(statuses: Sequence[Said]) -> Values:
    """All of `statuses` as one; without any, there are no services.

    :param statuses: of each worker its number, and what its balancer's ``status()`` has returned.
    """
    return {
        "services": _members(((number, each["services"]) for number, each in statuses), "name", _service),
        "names": _members(((number, each["names"]) for number, each in statuses), "host", _name),
    }


def _members(
    lists: Iterable[tuple[int, Iterable[Values]]], key: str, merge: Callable[[list[Said]], Values]
) -> list[Values]:
    """Those with the same `key` as one each, in the order of their first appearance."""
    found: dict[str, list[Said]] = {}
    for number, members in lists:
        for member in members:
            found.setdefault(member[key], []).append((number, member))
    return [merge(group) for group in found.values()]


def _service(group: list[Said]) -> Values:
    parts = [each for _, each in group]
    return {
        **parts[0],
        **_sums(parts, _SERVICE_SUMS),
        "max_connections": _limit(parts),
        "errors": _added(each["errors"] for each in parts),
        "rejected": _added(each["rejected"] for each in parts),
        "circuit": max((each["circuit"] for each in parts), key=_CIRCUITS.index),
        "panicking": any(each["panicking"] for each in parts),
        "available": min(each["available"] for each in parts),
        "replicas": _members(((number, each["replicas"]) for number, each in group), "key", _replica),
    }


def _replica(group: list[Said]) -> Values:
    parts = [each for _, each in group]
    worst = max(parts, key=lambda each: _STATES.index(each["state"]))
    made = {
        **worst,
        **_sums(parts, _REPLICA_SUMS),
        "healthy": all(each["healthy"] for each in parts),
        "max_connections": _limit(parts),
        "weight": max(each["weight"] for each in parts),
        "effective_weight": max(each["effective_weight"] for each in parts),
        "errors": _added(each["errors"] for each in parts),
        "latency": max(each["latency"] for each in parts),
        "probes": _probes(parts),
        "passive": _passive([each["passive"] for each in parts if each["passive"] is not None]),
    }
    if len({each["state"] for each in parts}) > 1:
        made["states_by_worker"] = {str(number): each["state"] for number, each in group}
    return made


def _probes(parts: list[Values]) -> Values:
    """By the check: the worst and newest record, and the probes of all."""
    made = {}
    for check in dict.fromkeys(name for each in parts for name in each["probes"]):
        records: list[Values] = [each["probes"][check] for each in parts if check in each["probes"]]
        worst = min(records, key=_badness)
        made[check] = {**worst, **_sums(records, ("successes", "failures"))}
    return made


def _badness(record: Values) -> tuple[bool, bool, float]:
    age = record["last_age"]
    return record["state"] != "down", record["last_ok"] is not False, float("inf") if age is None else age


def _passive(records: list[Values]) -> Values | None:
    if not records:
        return None
    return {
        **_sums(records, _PASSIVE_SUMS),
        "ejected_for": max(each["ejected_for"] for each in records),
        "errors_in_a_row": max(each["errors_in_a_row"] for each in records),
    }


def _name(group: list[Said]) -> Values:
    """A name that one of them cannot resolve is a problem."""
    addresses = dict.fromkeys(address for _, each in group for address in each["addresses"])
    problems = [each["problem"] for _, each in group if each["problem"]]
    return {**group[0][1], "addresses": list(addresses), "problem": problems[0] if problems else None}


def _sums(parts: Sequence[Values], names: Iterable[str]) -> Values:
    return {name: sum(each[name] for each in parts) for name in names}


def _added(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        for reason, count in part.items():
            sums[reason] = sums.get(reason, 0) + count
    return sums


def _limit(parts: Sequence[Values]) -> int | None:
    """The sum of what each may; `None` where one may have any number."""
    limits = [each["max_connections"] for each in parts]
    return None if None in limits else sum(limits)
