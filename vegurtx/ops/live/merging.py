"""What several processes say of themselves as if one had said it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vegurtx.ops.live.recent import KEPT

Values = dict[str, Any]

#: what counts where processes see a replica differently: the worst
_STATES = ("up", "ejected", "down", "drain", "maint")
_CIRCUITS = (None, "closed", "half-open", "open")


def merge(snapshots: Sequence[Values]) -> Values:
    """Add up what `vegurtx.ops.live.snapshot` has returned in several processes.

    Counts, bytes and what goes on are sums; errors are merged by their time. A replica that processes see differently
    has the worst of their states, and ``states`` says how many have which. ``draining`` is whether all of them are.

    :raises ValueError: there are none, or their histograms have different bounds.
    """
    if not snapshots:
        raise ValueError("there is nothing to be merged")
    latencies = [each["latency"] for each in snapshots]
    bounds = latencies[0]["bounds"]
    if any(each["bounds"] != bounds for each in latencies):
        raise ValueError("histograms with different bounds cannot be added up")
    return {
        "time": max(each["time"] for each in snapshots),
        "draining": all(each["draining"] for each in snapshots),
        **{name: _sums(each[name] for each in snapshots) for name in ("requests", "errors")},
        **{name: _sums(each[name] for each in snapshots) for name in ("bytes", "connections", "backends")},
        **{name: sum(each[name] for each in snapshots) for name in ("rejected", "in_flight", "tunnels")},
        "latency": {
            "bounds": bounds,
            "counts": [sum(column) for column in zip(*(each["counts"] for each in latencies), strict=True)],
            "sum": sum(each["sum"] for each in latencies),
        },
        "services": _members([each["services"] for each in snapshots], "name", _service),
        "recent": sorted(
            (error for each in snapshots for error in each["recent"]),
            key=lambda error: error["time"],
            reverse=True,
        )[:KEPT],
    }


def _sums(parts: Iterable[Values]) -> Values:
    sums: Values = {}
    for part in parts:
        for name, value in part.items():
            sums[name] = sums.get(name, 0) + value
    return sums


def _members(lists: Iterable[Iterable[Values]], key: str, merged: Any) -> list[Values]:
    """Those with the same `key` as one each, in the order of their first appearance."""
    found: dict[str, list[Values]] = {}
    for members in lists:
        for member in members:
            found.setdefault(member[key], []).append(member)
    return [merged(group) for group in found.values()]


def _total(group: Sequence[Values], *names: str) -> Values:
    return {name: sum(each[name] for each in group) for name in names}


def _limit(group: Sequence[Values], name: str) -> int | None:
    """The sum of limits that each process has for itself; `None` where one has none."""
    limits = [each[name] for each in group]
    return None if None in limits else sum(limits)


def _service(group: Sequence[Values]) -> Values:
    return {
        **{name: group[0][name] for name in ("name", "strategy")},
        **_total(group, "in_flight", "waiting", "queue_length", "total", "retried", "rejected"),
        "max_connections": _limit(group, "max_connections"),
        "available": min(each["available"] for each in group),
        "panicking": any(each["panicking"] for each in group),
        "circuit": max((each["circuit"] for each in group), key=_CIRCUITS.index),
        "replicas": _members([each["replicas"] for each in group], "key", _replica),
    }


def _replica(group: Sequence[Values]) -> Values:
    states = [each["state"] for each in group]
    worst = max(range(len(group)), key=lambda place: _STATES.index(states[place]))
    probes = [each["probe"] for each in group if each["probe"] is not None]
    weight = sum(each["total"] for each in group)
    latency = sum(each["latency"] * each["total"] for each in group) / weight if weight else 0.0
    made = {
        **{name: group[worst][name] for name in ("key", "url", "state", "admin")},
        **_total(group, "in_flight", "total", "errors"),
        "healthy": all(each["healthy"] for each in group),
        "max_connections": _limit(group, "max_connections"),
        "weight": max(each["weight"] for each in group),
        "latency": latency,
        "ejected_for": max(each["ejected_for"] for each in group),
        "probe": min(probes, key=lambda probe: (probe["ok"], probe["age"])) if probes else None,
    }
    if len(set(states)) > 1:
        made["states"] = {state: states.count(state) for state in _STATES if state in states}
    return made
