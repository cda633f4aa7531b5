"""What workers that have gone have counted: it stays in the numbers of the whole, which never go backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vegurtx.ops.live import merge
from vegurtx.ops.metrics.families import Family, as_json, from_json, lasting, merged
from vegurtx.ops.workers.channel import Message
from vegurtx.ops.workers.service_counts import counts_of, united

#: samples that are remembered. Beyond it, those are forgotten that no running worker has: a name's former addresses
MOST_SAMPLES = 20_000


class Ended:
    """The sum of all workers that have gone, of former programs of this process, too.

    Each part of a worker's report is kept by itself: one that was killed has told them at different times, and none of
    them must go backwards.
    """

    def __init__(self) -> None:
        #: counters and histograms
        self.families: list[Family] = []
        #: what `vegurtx.ops.live.snapshot` says, without what went on; `None`: nobody has gone yet
        self.live: Message | None = None
        #: the same of its services, and of the balancers' status (see `vegurtx.ops.workers.service_counts`)
        self.live_services: list[Message] = []
        self.services: list[Message] = []
        self.requests = 0
        #: how many have gone, by whether they were to
        self.deaths = {"asked": 0, "died": 0}

    def add(self, report: Message | None, *, asked: bool) -> None:
        """A worker has gone.

        :param report: its last one; `None`: it has never told anything.
        :param asked: whether it was to go, or has gone in order by itself.
        """
        self.deaths["asked" if asked else "died"] += 1
        report = report or {}
        if "metrics" in report:
            self.families = merged([self.families, lasting(from_json(report["metrics"]))])
        if "live" in report:
            live = _settled(report["live"])
            self.live = live if self.live is None else merge([self.live, live])
            self.live_services = united(self.live_services, counts_of(report["live"]["services"]))
        if "services" in report:
            self.services = united(self.services, counts_of(report["services"]["services"]))
        if "process" in report:
            self.requests += report["process"]["requests_total"]

    def forget_strangers(self, reports: Sequence[Message]) -> None:
        """Where it has become too much, keep only what is in `reports`, too: those of all who run."""
        if sum(len(family.samples) for family in self.families) <= MOST_SAMPLES:
            return
        known = {each.name: each.samples for each in merged(from_json(each["metrics"]) for each in reports)}
        for family in self.families:
            here = known.get(family.name, {})
            family.samples = {labels: value for labels, value in family.samples.items() if labels in here}
        present = {
            (service["name"], replica["key"])
            for report in reports
            for service in report.get("live", {}).get("services", ())
            for replica in service["replicas"]
        }
        self.live_services = _of(self.live_services, present)
        self.services = _of(self.services, present)

    # -- for the next program of this process -------------------------------------------------------------------------

    def message(self) -> Message:
        """All of it, as JSON has it."""
        return {**vars(self), "families": as_json(self.families)}

    @classmethod
    def of(cls, message: Message) -> Ended:
        """What `message` was made from."""
        made = cls()
        vars(made).update(message, families=from_json(message["families"]))
        return made


def _settled(live: Message) -> Message:
    """A worker's last numbers, when nothing goes on there any more."""
    return {
        **live,
        "connections": {**live["connections"], "open": 0},
        "backends": dict.fromkeys(live["backends"], 0),
        "in_flight": 0,
        "tunnels": 0,
        "services": [],
    }


def _of(services: list[Message], present: set[tuple[Any, Any]]) -> list[Message]:
    names = {name for name, _ in present}
    return [
        {
            **service,
            "replicas": [each for each in service["replicas"] if (service["name"], each["key"]) in present],
        }
        for service in services
        if service["name"] in names
    ]
