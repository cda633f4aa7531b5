"""What only grows of services and replicas: counts that outlive the worker who has counted.

They are taken out of what a balancer's ``status()`` says, or `vegurtx.ops.live.snapshot`: both call them the same, only
that the one has counts by reason where the other has a number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Values = dict[str, Any]

_GROWING = ("total", "retried", "timed_out_waiting", "errors", "rejected")
_GOING_ON = ("in_flight", "waiting")


def counts_of(services: Iterable[Values]) -> list[Values]:
    """The counts of `services` alone, with the names of whom they are about."""
    return [
        {
            "name": service["name"],
            **_growing(service),
            "replicas": [{"key": each["key"], **_growing(each)} for each in service["replicas"]],
        }
        for service in services
    ]


def _growing(member: Values) -> Values:
    return {field: member[field] for field in _GROWING if field in member}


def united(one: Iterable[Values], other: Iterable[Values]) -> list[Values]:
    """The counts of both; they are as `counts_of` has them."""
    whole = {service["name"]: dict(service) for service in one}
    for service in other:
        mine = whole.get(service["name"])
        whole[service["name"]] = service if mine is None else _service_of_both(mine, service)
    return list(whole.values())


def _service_of_both(one: Values, other: Values) -> Values:
    replicas = {replica["key"]: dict(replica) for replica in one["replicas"]}
    for replica in other["replicas"]:
        mine = replicas.get(replica["key"])
        if mine is not None:
            _add(mine, replica)
        replicas[replica["key"]] = mine or replica
    made = {**one, "replicas": list(replicas.values())}
    _add(made, other)
    return made


def add_counts(services: Iterable[Values], others: Iterable[Values]) -> None:
    """Add what `others` count to `services`: of services and replicas that are there. Their health is not looked at.

    :param services: changed in place.
    :param others: counts, or services of a worker whose word does not count any more.
    """
    by_name = {other["name"]: other for other in others}
    for service in services:
        other = by_name.get(service["name"])
        if other is not None:
            _add(service, other)
            by_key = {replica["key"]: replica for replica in other["replicas"]}
            for replica in service["replicas"]:
                if replica["key"] in by_key:
                    _add(replica, by_key[replica["key"]])


def _add(target: Values, other: Values) -> None:
    for field in (*_GROWING, *_GOING_ON):
        if field in target and field in other:
            mine, its = target[field], other[field]
            target[field] = _by_reason(mine, its) if isinstance(mine, dict) else mine + its


def _by_reason(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {reason: one.get(reason, 0) + other.get(reason, 0) for reason in {**one, **other}}
