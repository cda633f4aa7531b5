"""The file behind a running balancer: read again when told to, or when it has changed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from balancer_case import file
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.balance.reload import Reloader
from vegurtx.balance.router import Balancer

A, B = (f"http://127.0.0.1:{port}" for port in (1, 2))
GOOD = f"services: [{{name: web, matcher: /, replicas: [{{url: '{A}'}}]}}]\n"
BETTER = GOOD.replace(A, B)


class Files(SynchronousTestCase):
    """The file, read again."""

    def setUp(self) -> None:
        """A balancer of a file."""
        self.clock = Clock()
        folder = tempfile.TemporaryDirectory(prefix="vegurtx-")
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "config.yaml"
        self.path.write_text(GOOD)
        self.balancer = Balancer(file(GOOD), reactor=self.clock)
        self.reloader = Reloader(self.balancer, self.path, self.clock)

    def keys(self) -> list[str]:
        """The replicas in force."""
        return [one.key for one in self.balancer.services["web"].replicas]

    def test_good(self) -> None:
        """A good file is put in force."""
        self.path.write_text(BETTER)
        self.assertEqual(self.reloader.reload(), [])
        self.assertEqual(self.keys(), [B])
        self.assertEqual((self.reloader.reloads, self.reloader.failures), (1, 0))
        self.assertEqual(self.reloader.last_success, 0.0)

    def test_bad(self) -> None:
        """A bad one changes nothing; all that is wrong with it is said, a line each, naming file and line."""
        for text in ("services: [{name: web", "services:\n  - {nam: web}\n", "", "\x00", "services: 5"):
            self.path.write_text(text)
            problems = self.reloader.reload()
            self.assertNotEqual(problems, [], text)
            for problem in problems:
                self.assertTrue(problem.startswith(str(self.path)), problem)
                self.assertNotIn("\n", problem)
            self.assertEqual(self.keys(), [A])
            self.assertEqual(self.reloader.problems, problems)
        self.assertEqual(self.reloader.failures, 5)

    def test_unreadable(self) -> None:
        """Neither does one that is not there, is a folder, or is no text."""
        self.path.write_bytes(b"\xff\xfe")
        self.assertIn("no UTF-8", self.reloader.reload()[0])
        self.path.unlink()
        self.assertIn("No such file", self.reloader.reload()[0])
        self.path.mkdir()
        self.assertIn("directory", self.reloader.reload()[0])
        self.assertEqual(self.keys(), [A])

    def test_strategy_of_ones_own_that_raises(self) -> None:
        """Whatever a reload raises, the program goes on with what it has."""

        def crash(config: Any) -> None:
            raise ZeroDivisionError("no")

        self.patch(self.balancer, "reload", crash)
        self.assertEqual(self.reloader.reload(), [f"{self.path}: ZeroDivisionError: no"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_watch(self) -> None:
        """A watched file is read again when it has changed or was replaced, and only then."""
        self.reloader.watch(5.0)
        self.clock.advance(5)
        self.assertEqual(self.reloader.reloads, 0)
        self.path.write_text(BETTER + "# longer\n")
        self.clock.advance(4)
        self.assertEqual(self.reloader.reloads, 0)
        self.clock.advance(1)
        self.assertEqual((self.reloader.reloads, self.keys()), (1, [B]))
        new = self.path.with_suffix(".new")
        new.write_text(GOOD)
        os.replace(new, self.path)
        self.clock.advance(5)
        self.assertEqual((self.reloader.reloads, self.keys()), (2, [A]))
        self.clock.advance(50)
        self.assertEqual(self.reloader.reloads, 2)

    def test_watch_a_bad_file(self) -> None:
        """A bad file is reported once, and the next change is looked at again. While it is gone, nothing is done."""
        self.reloader.watch(5.0)
        self.path.write_text("services: 5")
        self.clock.pump([5, 5, 5])
        self.assertEqual(self.reloader.failures, 1)
        self.path.unlink()
        self.clock.pump([5, 5, 5])
        self.assertEqual(self.reloader.failures, 1)
        self.path.write_text(BETTER)
        self.clock.advance(5)
        self.assertEqual(self.keys(), [B])

    def test_stop(self) -> None:
        """It can be stopped, also twice, and watched again at another interval with one delayed call."""
        self.reloader.watch(5.0)
        self.reloader.watch(1.0)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.reloader.stop()
        self.reloader.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
