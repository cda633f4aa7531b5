"""Families as Prometheus' text, through its own client library: the only place that knows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from vegurtx.ops.metrics.families import Family

_OPENMETRICS = "application/openmetrics-text"


class SnapshotCollector(Collector):
    """Shows `snapshot` to the client library."""

    def __init__(self, snapshot: Iterable[Family]) -> None:
        self._snapshot = snapshot

    def describe(self) -> list[Any]:
        """Nothing beforehand: the library would collect everything once more."""
        return []

    def collect(self) -> Iterator[Any]:
        """The families, one after the other."""
        return map(_metric, self._snapshot)


def _metric(family: Family) -> Any:
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.description, labels=family.labels)
        names = [*map(floatToGoString, family.bounds), "+Inf"]
        for labels, value in family.samples.items():
            buckets = list(zip(names, accumulate(value.counts), strict=True))
            histogram.add_metric(labels, buckets, value.sum)
        return histogram
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.description, labels=family.labels)
    for labels, value in family.samples.items():
        metric.add_metric(labels, value)
    return metric


def exposition(snapshot: Iterable[Family], accept: str = "", *, process: bool = True) -> tuple[bytes, str]:
    """`snapshot` as text, and its content type.

    :param accept: the scraper's ``Accept`` field: who takes OpenMetrics gets it, everybody else the older text.
    :param process: whether this process's own CPU time, memory and descriptors are shown, too.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(snapshot))
    if process:
        ProcessCollector(registry=registry)
    if _OPENMETRICS in accept:
        return generate_openmetrics(registry), CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4
