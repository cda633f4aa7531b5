"""What the proxy has to reach, as comparisons within one run: they hold or not whatever the machine is."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.cases import CASES
from benchmarks.results import Results


@dataclass(frozen=True)
class Target:
    """At the most `limit` times what `other` needs in the case `case`; without `other`, at the most `limit` itself."""

    case: str
    limit: float
    other: str | None = "haproxy"
    peer: str = "vegurtx"
    goal: float | None = None
    """Better still."""


TARGETS = (
    Target("small", 1.6, goal=1.5),
    Target("small", 0.6, "go"),
    Target("browser", 1.8),
    Target("download-1g", 1.0, "nginx"),
    Target("upload-1g", 1.0),
    Target("tls", 2.0),
    Target("paced", 2.0),
    Target("idle", 6000.0, None),
    Target("small", 3.0, peer="vegurtx-epoll"),
)


@dataclass(frozen=True)
class Verdict:
    """Whether a target was reached."""

    target: Target
    value: float | None
    """The ratio, or the value; `None` where it was not measured."""

    @property
    def holds(self) -> bool | None:
        """`None`: nobody knows."""
        return None if self.value is None else self.value <= self.target.limit


def verdicts(results: Results) -> list[Verdict]:
    """Return what became of each target."""
    return [Verdict(target, _value(results, target)) for target in TARGETS]


def _value(results: Results, target: Target) -> float | None:
    if target.other is not None:
        return results.ratio(target.case, target.peer, target.other)
    row = results.row(target.case, target.peer)
    return None if row is None else row.result(CASES[target.case])
