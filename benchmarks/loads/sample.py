"""What one run of a load has measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

from benchmarks import procfs


@dataclass
class Sample:
    """One run: so many units (requests, messages, gigabytes, connections), and what they took."""

    units: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    """CPU seconds of the proxy."""
    waited: float = 0.0
    """Seconds that the proxy was runnable while somebody else had its core."""
    p50: float | None = None
    """seconds"""
    p99: float | None = None
    """seconds"""
    memory: float | None = None
    """bytes"""
    shares: Sequence[float] | None = None
    """What part of the CPU time each of several workers took."""
    rate: float | None = None
    """Units a second that were asked for."""
    round: int = 0
    """Which of the rounds it was; other proxies' runs of the same round met the same machine."""

    @property
    def cost(self) -> float:
        """CPU seconds a unit."""
        return self.cpu / self.units if self.units else float("nan")

    def as_json(self) -> dict[str, Any]:
        """For the results' file."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@contextmanager
def measured(pid: int) -> Iterator[Sample]:
    """Measure what `pid` and all below it use in the ``with`` block; its end completes the sample."""
    sample = Sample()
    before, began = procfs.usage(pid), perf_counter()
    yield sample
    used = procfs.usage(pid).since(before)
    sample.seconds = sample.seconds or perf_counter() - began
    sample.cpu, sample.waited = used.cpu, used.waited
