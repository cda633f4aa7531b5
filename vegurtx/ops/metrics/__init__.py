"""Metrics: plain numbers on the requests' way, Prometheus' text where they are asked for."""

from vegurtx.ops.metrics.exposition import exposition as exposition
from vegurtx.ops.metrics.families import Family as Family
from vegurtx.ops.metrics.families import merged as merged
from vegurtx.ops.metrics.sources import Metrics as Metrics
from vegurtx.ops.metrics.traffic import Traffic as Traffic
