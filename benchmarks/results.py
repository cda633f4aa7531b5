"""The results of a run: what is kept of the samples as JSON, and the medians and ratios that are made of them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, Case
from benchmarks.loads.sample import Sample
from benchmarks.run import CaseRun

#: ratios are to this one
YARDSTICK = "haproxy"


@dataclass(frozen=True)
class Row:
    """What one proxy's runs of one case come to: medians."""

    peer: str
    rate: float
    """Units a second."""
    cost: float
    """CPU seconds a unit."""
    spread: float
    """How far the runs' results lie apart: (largest − smallest) / median."""
    p50: float | None
    p99: float | None
    memory: float | None
    """bytes a unit"""
    busy: float
    """What part of the time the proxy had the CPU: about 1, where it was what limits the rate."""
    waited: float
    """What part of the time somebody else had the proxy's core while it could have worked: the noise."""
    asked: float | None
    """Units a second that were asked for."""
    shares: Sequence[float] | None
    """Workers' parts of the CPU time."""

    def result(self, case: Case) -> float:
        """What is compared."""
        value = {"cost": self.cost, "memory": self.memory, "p99": self.p99}[case.result]
        return float("nan") if value is None else value


def result(case: Case, sample: Sample) -> float:
    """Return what of one run is compared with other proxies' runs."""
    return {"cost": sample.cost, "memory": sample.memory or 0.0, "p99": sample.p99 or 0.0}[case.result]


def row(peer: str, case: Case, samples: Sequence[Sample]) -> Row:
    """Return what the samples of one proxy come to."""

    def median(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    results = [result(case, sample) for sample in samples]
    middle = statistics.median(results)
    return Row(
        peer,
        rate=statistics.median(sample.units / sample.seconds for sample in samples),
        cost=statistics.median(sample.cost for sample in samples),
        spread=(max(results) - min(results)) / middle if middle else 0.0,
        p50=median([sample.p50 for sample in samples]),
        p99=median([sample.p99 for sample in samples]),
        memory=median([sample.memory for sample in samples]),
        busy=statistics.median(sample.cpu / sample.seconds for sample in samples),
        waited=statistics.median(sample.waited / sample.seconds for sample in samples),
        asked=median([sample.rate for sample in samples]),
        shares=samples[-1].shares,
    )


class Results:
    """All that a run has found.

    :param about: see `benchmarks.machine.about`.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        self.about = dict(about)
        self.samples: dict[str, dict[str, list[Sample]]] = {}
        """Case → proxy → its runs."""
        self.skipped: dict[str, dict[str, str]] = {}
        """Case → proxy → why it has none."""
        self.agreed: dict[str, str] = {}
        """Proxy → TLS version and cipher."""

    def add(self, done: CaseRun) -> None:
        """A case is done."""
        name = done.case.name
        self.samples[name] = done.samples
        self.skipped[name] = done.skipped
        self.agreed.update(done.agreed)

    def rows(self, name: str) -> list[Row]:
        """Return a row for each proxy that has carried the case `name`."""
        return [row(peer, CASES[name], samples) for peer, samples in self.samples.get(name, {}).items()]

    def row(self, name: str, peer: str) -> Row | None:
        """Return the row of one proxy, if it has one."""
        samples = self.samples.get(name, {}).get(peer)
        return row(peer, CASES[name], samples) if samples else None

    def ratio(self, name: str, peer: str, other: str = YARDSTICK) -> float | None:
        """Return how many times the `other`'s result that of `peer` is, if both have one.

        It is the median of the rounds' ratios: what makes the machine slow for a while hits both of a round.
        """
        case = CASES[name]
        return self._ratio(name, peer, other, lambda sample: result(case, sample))

    def time_ratio(self, name: str, peer: str, other: str) -> float | None:
        """Return the same of the time a unit, the reciprocal of the rate."""
        return self._ratio(name, peer, other, lambda sample: sample.seconds / sample.units)

    def _ratio(self, name: str, peer: str, other: str, of: Callable[[Sample], float]) -> float | None:
        samples = self.samples.get(name, {})
        theirs = {sample.round: of(sample) for sample in samples.get(other, ())}
        ours = {sample.round: of(sample) for sample in samples.get(peer, ())}
        ratios = [ours[number] / theirs[number] for number in ours if theirs.get(number)]
        return statistics.median(ratios) if ratios else None

    def write(self, path: Path) -> None:
        """Keep it as JSON."""
        cases = {
            name: {peer: [sample.as_json() for sample in runs] for peer, runs in peers.items()}
            for name, peers in self.samples.items()
        }
        kept = {"about": self.about, "cases": cases, "skipped": self.skipped, "agreed": self.agreed}
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
        fresh.replace(path)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` has kept. Cases that are there no more are left out.

        :raises OSError, ValueError, KeyError, TypeError: it is not that.
        """
        kept = json.loads(path.read_text("utf-8"))
        results = cls(kept["about"])
        for name, peers in kept["cases"].items():
            if name in CASES:
                results.samples[name] = {
                    peer: [Sample(**sample) for sample in runs] for peer, runs in peers.items()
                }
                results.skipped[name] = kept["skipped"].get(name, {})
        results.agreed = kept["agreed"]
        return results
