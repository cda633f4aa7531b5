"""Quiet points: the load pauses until nothing goes on, and then the proxy must hold what it held at the baseline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from soak.admin import Admin, AdminFailed
from soak.flatness import FLAT, Bounds, growth
from soak.measure import Held, counted
from soak.program import Program

#: what the admin API counts, and what is 0 when nothing goes on
_NOTHING = ("connections", "requests", "tunnels", "in_use", "idle")
#: seconds in which everything must be gone once the load has paused: the pool's limit, lingering, and some
PATIENCE = 20.0


class QuietPoints:
    """What was measured at them.

    :param clock: seconds since the soak began.
    :param warm_up: how many of a process's first points do not count.
    """

    def __init__(self, program: Program, admin: Admin, clock: Callable[[], float], *, warm_up: int) -> None:
        self._program = program
        self._admin = admin
        self._clock = clock
        self._warm_up = warm_up
        self.series: dict[str, list[Held]] = {}
        """By process, in the order of time."""
        self.moments: list[dict[str, Any]] = []
        """What the admin API has said at each."""

    async def measure(self) -> list[str]:
        """Wait until nothing goes on, and measure.

        :returns: what does go on, although nobody does anything: findings.
        """
        found = await self._wait_for_nothing()
        at = self._clock()
        for pid in self._program.processes():
            best: Held | None = None
            for _ in range(3):  # probes come and go
                point = await counted(pid, at, self._program.census)
                if point is not None and (best is None or point.open < best.open):
                    best = point
            if best is not None:
                self.series.setdefault(best.born, []).append(best)
        return found

    async def _wait_for_nothing(self) -> list[str]:
        deadline = asyncio.get_running_loop().time() + PATIENCE
        told: dict[str, Any] = {}
        while True:
            problem = "the admin API does not answer"
            try:
                told = await self._admin.process()
                left = {name: told[name] for name in _NOTHING if told[name]}
                problem = (
                    f"at a quiet point after {self._clock():.0f} s there are still {left}" if left else ""
                )
            except AdminFailed as failed:
                problem = str(failed)
            if not problem or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.5)
        kept = (*_NOTHING, "requests_total")
        self.moments.append({"at": round(self._clock(), 1), **{name: told.get(name) for name in kept}})
        return [problem] if problem else []

    def verdict(self, bounds: Bounds = FLAT) -> list[str]:
        """Judge all processes; returns what is not flat."""
        found = []
        for name, series in self.series.items():
            found += growth(f"process {name.partition('/')[0]}", series[self._warm_up :], bounds)
        return found
