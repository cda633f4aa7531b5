"""How a case is gone through: rounds, runs that fail, proxies that cannot. The "proxy" here is our own back-end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.cases import Case
from benchmarks.children import Child, ReservedPort
from benchmarks.loads.sample import Sample
from benchmarks.loads.target import Target
from benchmarks.peers.contract import Peer, Setup
from benchmarks.programs import origin
from benchmarks.run import CaseRun
from benchmarks.wrk import LoadFailed

pytestmark = pytest.mark.once


class Direct(Peer):
    """No proxy, but a server."""

    def __init__(self, name: str, missing: str | None = None) -> None:
        self.name = self.title = name
        self._missing = missing

    def missing(self) -> str | None:
        """As the test wants it."""
        return self._missing

    def version(self) -> str:
        """Of no interest."""
        return "1"

    def start(self, setup: Setup, port: ReservedPort) -> Child:
        """Start it."""
        command = [sys.executable, str(Path(origin.__file__)), str(port.number)]
        return Child(command, port, setup.cores.proxy, setup.folder / f"{self.name}.out")


class CaseRunTests(SynchronousTestCase):
    """`benchmarks.run`."""

    def go(self, outcomes: list[bool], *, fresh: bool = False, missing: str | None = None) -> CaseRun:
        """Go through a case of three rounds; its runs succeed or fail as `outcomes` say, the warm-up first."""
        self.pids: list[int] = []
        self.said: list[str] = []
        left = iter(outcomes)

        def load(target: Target) -> Sample:
            self.pids.append(target.pid)
            if not next(left):
                raise LoadFailed("as was to be expected")
            return Sample(units=1, seconds=1.0, cpu=1.0)

        case = Case("x", "X", "", load, origin="own", fresh=fresh)
        run = CaseRun(case, {"direct": Direct("direct", missing)}, 3, 0.1, self.said.append)
        run.go()
        return run

    def rounds(self, run: CaseRun) -> list[int]:
        """Which rounds have a sample."""
        return [sample.round for sample in run.samples.get("direct", ())]

    def test_all_is_well(self) -> None:
        """Every round has its sample; the warm-up has none."""
        run = self.go([True] * 4)
        self.assertEqual((self.rounds(run), run.skipped, self.said), ([0, 1, 2], {}, []))
        self.assertEqual(len(set(self.pids)), 1)

    def test_one_run_fails(self) -> None:
        """The others keep the numbers of their rounds, and it is said."""
        run = self.go([True, False, True, True])
        self.assertEqual((self.rounds(run), run.skipped), ([1, 2], {}))
        self.assertIn("as was to be expected", self.said[0])

    def test_most_runs_fail(self) -> None:
        """What is left of a proxy that fails again is not shown."""
        run = self.go([True, True, False, False])
        self.assertEqual(self.rounds(run), [])
        self.assertIn("as was to be expected", run.skipped["direct"])

    def test_a_new_process_each_time(self) -> None:
        """Where the case asks for it, and without a warm-up."""
        run = self.go([True] * 3, fresh=True)
        self.assertEqual(self.rounds(run), [0, 1, 2])
        self.assertEqual(len(set(self.pids)), 3)

    def test_missing(self) -> None:
        """What is not installed is left out, with its reason."""
        run = self.go([], missing="it is not here")
        self.assertEqual((run.samples, run.skipped), ({}, {"direct": "it is not here"}))
