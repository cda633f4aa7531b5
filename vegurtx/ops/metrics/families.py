"""A snapshot of numbers: families of samples, as plain values that can go from process to process and be added up.

Each worker process has numbers of its own. It sends them as JSON (`as_json`), and whoever has all of them shows one
set (`merged`), so that a client that asks any door gets the numbers of the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Kind = Literal["counter", "gauge", "histogram"]
#: how the values of several processes become one
Merge = Literal["sum", "min", "max"]
LabelValues: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Distribution:
    """A histogram's values: how many observations fell into each bucket (the last one has no bound), and their sum."""

    counts: tuple[int, ...]
    sum: float

    def __add__(self, other: Distribution) -> Distribution:
        counts = tuple(mine + its for mine, its in zip(self.counts, other.counts, strict=True))
        return Distribution(counts, self.sum + other.sum)


@dataclass
class Family:
    """Samples of one name.

    :param name: as Prometheus shows it, a counter's with ``_total``.
    :param kind: see `Kind`.
    :param description: one sentence.
    :param labels: the labels' names.
    :param merge: see `Merge`; of counters and histograms always ``"sum"``.
    :param bounds: a histogram's buckets: their upper bounds, without the infinite one.
    """

    name: str
    kind: Kind
    description: str
    labels: tuple[str, ...] = ()
    merge: Merge = "sum"
    bounds: tuple[float, ...] = ()
    #: ``values of the labels → value``; a histogram's are `Distribution` objects
    samples: dict[LabelValues, Any] = field(default_factory=dict)

    def add(self, value: Any, *labels: str) -> None:
        """Add a sample; of one with the same labels, what `merge` says."""
        before = self.samples.get(labels)
        self.samples[labels] = value if before is None else self._both(before, value)

    def _both(self, one: Any, other: Any) -> Any:
        if self.merge == "sum":
            return one + other
        return min(one, other) if self.merge == "min" else max(one, other)


def merged(snapshots: Iterable[Sequence[Family]]) -> list[Family]:
    """The numbers of several processes as those of one. Families come in the order of their first appearance."""
    whole: dict[str, Family] = {}
    for snapshot in snapshots:
        for each in snapshot:
            target = whole.get(each.name)
            if target is None:
                target = whole[each.name] = Family(
                    each.name, each.kind, each.description, each.labels, each.merge, each.bounds
                )
            for labels, value in each.samples.items():
                target.add(value, *labels)
    return list(whole.values())


def lasting(snapshot: Iterable[Family]) -> list[Family]:
    """What of `snapshot` stays true when its process has gone: counters and histograms."""
    return [family for family in snapshot if family.kind != "gauge"]


def without_opinions(snapshot: Iterable[Family]) -> list[Family]:
    """`snapshot` of a process whose word does not count any more: only what is added up."""
    return [family for family in snapshot if family.merge == "sum"]


def as_json(snapshot: Sequence[Family]) -> list[Any]:
    """`snapshot` as values that JSON has."""
    return [
        [
            *(each.name, each.kind, each.description, list(each.labels), each.merge, list(each.bounds)),
            [
                [list(labels), [list(value.counts), value.sum] if each.kind == "histogram" else value]
                for labels, value in each.samples.items()
            ],
        ]
        for each in snapshot
    ]


def from_json(values: Iterable[Any]) -> list[Family]:
    """What `as_json` was given."""
    snapshot = []
    for name, kind, description, labels, merge, bounds, samples in values:
        made = Family(name, kind, description, tuple(labels), merge, tuple(bounds))
        for own, value in samples:
            if kind == "histogram":
                value = Distribution(tuple(value[0]), value[1])
            made.samples[tuple(own)] = value
        snapshot.append(made)
    return snapshot
