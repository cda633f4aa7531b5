"""docs/metrics.md: every name that there is, and none that there is not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.balance.balancer_case import one_service
from vegurtx import ProxyFactory
from vegurtx.balance.router import Balancer
from vegurtx.ops.access_log import AccessLog, LineWriter
from vegurtx.ops.metrics import Metrics, Traffic
from vegurtx.ops.metrics.families import Family

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


class Docs(SynchronousTestCase):
    """The page's table."""

    def test_names_and_labels(self) -> None:
        """Those of a program that has everything."""

        class Reloader:
            reloads = failures = 0
            problems: list[str] = []
            last_success = None

        class Nothing:
            def append(self, data: bytes) -> None:
                """Nothing is written."""

            def close(self) -> None:
                """Nothing is open."""

        clock = Clock()
        balancer = Balancer(one_service("http://127.0.0.1:1"), reactor=clock)
        factory = ProxyFactory(balancer, reactor=clock)
        writer = LineWriter("-", clock, open_file=lambda path: Nothing())
        AccessLog("router", writer, factory.wall)
        metrics = Metrics(factory, Traffic(), balancer=balancer, reloader=Reloader(), log_writer=writer)
        found = {family.name: family.labels for family in metrics.snapshot()}
        self.assertEqual(self._documented(), found)

    def _documented(self) -> dict[str, tuple[Any, ...]]:
        table: dict[str, tuple[Any, ...]] = {}
        for line in PAGE.read_text("utf-8").splitlines():
            if line.startswith("| `vegurtx_"):
                names, labels = (re.findall(r"`([a-z_]+)`", cell) for cell in line.split("|")[1:3])
                table.update(dict.fromkeys(names, tuple(labels)))
        return table

    def test_merge_is_sensible(self) -> None:
        """A counter is never anything but added up."""
        for family in Traffic().families():
            self.assertIsInstance(family, Family)
            if family.kind != "gauge":
                self.assertEqual(family.merge, "sum")
