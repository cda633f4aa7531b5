"""How everything stands in one process: numbers that only grow, what goes on now, services, the last errors.

Rates and percentiles are the reader's business: they are differences between two snapshots, over whatever time the
reader likes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vegurtx.ops.live.recent import RecentErrors
from vegurtx.ops.live.services import condensed
from vegurtx.ops.metrics.census import census
from vegurtx.ops.metrics.families import Distribution, Family
from vegurtx.ops.metrics.histogram import BOUNDS
from vegurtx.ops.metrics.traffic import Traffic

#: statuses by their first digit; 499 is a client that was gone
CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


def snapshot(
    factory: Any, traffic: Traffic, *, recent: RecentErrors | None = None, balancer: Any = None
) -> dict[str, Any]:
    """How things stand, as plain values that JSON has.

    :param factory: the process's `ProxyFactory`.
    :param traffic: what observes it.
    :param recent: its last errors.
    :param balancer: the router, where it is a `Balancer`.
    :returns: a dict; see docs/admin-page.md. Counts are since the program's start, times in seconds.
    """
    families = {family.name: family for family in traffic.families()}
    now = census(factory)
    made = {
        "time": factory.wall(),
        "draining": bool(factory.draining),
        "requests": _by(families["vegurtx_requests_total"], "code_class", CLASSES),
        "errors": _by(families["vegurtx_request_errors_total"], "code"),
        "rejected": _whole(families["vegurtx_rejected_requests_total"]),
        "bytes": {
            "received": _whole(families["vegurtx_backend_received_bytes_total"]),
            "sent": _whole(families["vegurtx_backend_sent_bytes_total"]),
        },
        "connections": {
            "open": now.connections,
            "opened": _whole(families["vegurtx_client_connections_total"]),
        },
        "backends": {"idle": now.idle, "in_use": now.in_use},
        "in_flight": now.requests,
        "tunnels": now.tunnels,
        "latency": _histogram(families["vegurtx_request_duration_seconds"]),
        "services": [] if balancer is None else condensed(balancer.status()),
        "recent": [] if recent is None else recent.newest_first(),
    }
    return made


def _by(family: Family, label: str, always: Iterable[str] = ()) -> dict[str, int]:
    """The sums of `family`'s samples by one of its labels; those of `always` are there even where nothing is."""
    place = family.labels.index(label)
    sums = dict.fromkeys(always, 0)
    for labels, value in family.samples.items():
        sums[labels[place]] = sums.get(labels[place], 0) + value
    return sums


def _whole(family: Family) -> int:
    total: int = sum(family.samples.values())
    return total


def _histogram(family: Family) -> dict[str, Any]:
    value = family.samples.get((), Distribution((0,) * (len(BOUNDS) + 1), 0.0))
    return {"bounds": list(family.bounds), "counts": list(value.counts), "sum": value.sum}
