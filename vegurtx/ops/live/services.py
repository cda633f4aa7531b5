"""Services and replicas in few words: what of a balancer's status people look at all the time."""

from __future__ import annotations

from typing import Any

_TAKEN = ("name", "strategy", "in_flight", "max_connections", "waiting", "total", "retried")
_OF_REPLICA = ("key", "url", "state", "admin", "healthy", "in_flight", "max_connections", "total", "latency")


def condensed(status: dict[str, Any]) -> list[dict[str, Any]]:
    """The services of what `vegurtx.balance.router.Balancer.status` has returned."""
    return [_service(service) for service in status["services"]]


def _service(service: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: service[name] for name in _TAKEN},
        **{name: service[name] for name in ("queue_length", "circuit", "panicking", "available")},
        "rejected": sum(service["rejected"].values()),
        "replicas": [_replica(replica) for replica in service["replicas"]],
    }


def _replica(replica: dict[str, Any]) -> dict[str, Any]:
    passive = replica["passive"]
    return {
        **{name: replica[name] for name in _OF_REPLICA},
        "weight": replica["effective_weight"],
        "errors": sum(replica["errors"].values()),
        "ejected_for": 0.0 if passive is None else passive["ejected_for"],
        "probe": _probe(replica["probes"]),
    }


def _probe(probes: dict[str, Any]) -> dict[str, Any] | None:
    """The last probe that has ended; of several checks, of one that went wrong."""
    ended = [record for record in probes.values() if record["last_age"] is not None]
    if not ended:
        return None
    last = min(ended, key=lambda record: (record["last_ok"], record["last_age"]))
    return {"ok": last["last_ok"], "result": last["last_result"], "age": last["last_age"]}
