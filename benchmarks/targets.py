"""What the proxy has to reach, as comparisons within one run: they hold or not whatever the machine is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.cases import CASES
from benchmarks.results import Results


@dataclass(frozen=True)
class Target:
    """At the most `limit` times what `other` needs in the case `case`; without `other`, at the most `limit` itself.

    What is compared is the case's own result, the time for which each request keeps the proxy from the next one (the
    reciprocal of the rate), or the largest part of the CPU time that one of the workers took.
    """

    case: str
    limit: float
    other: str | None = "haproxy"
    peer: str = "vegurtx"
    goal: float | None = None
    """Better still."""
    what: Literal["result", "time", "share"] = "result"


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
    Target("access-log", 1.1, "vegurtx-bare"),
    Target("workers", 1.1, "vegurtx-bare"),
    Target("workers", 1.0, "vegurtx-bare", what="time"),
    Target("workers", 0.55, None, what="share"),
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
    if target.what == "share":
        mine = results.row(target.case, target.peer)
        return None if mine is None or not mine.shares else max(mine.shares)
    if target.what == "time":
        return results.time_ratio(target.case, target.peer, str(target.other))
    if target.other is not None:
        return results.ratio(target.case, target.peer, target.other)
    row = results.row(target.case, target.peer)
    return None if row is None else row.result(CASES[target.case])
