"""From samples to the page: medians, ratios, targets, tables, and that the page in ``docs`` is the results' own."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from benchmarks import notation
from benchmarks.cases import CASES
from benchmarks.loads.sample import Sample
from benchmarks.page import PUBLISHED, TEMPLATE, page
from benchmarks.peers.registry import PEERS
from benchmarks.results import Results, row
from benchmarks.tables import markdown, plain, table
from benchmarks.targets import TARGETS, verdicts

pytestmark = pytest.mark.once

ABOUT = {
    "commit": "abc",
    "date": "2026-11-21",
    "machine": "a machine",
    "kernel": "Linux",
    "load": [0.1, 0.2, 0.3],
    "rounds": 3,
    "seconds": 2.0,
    "versions": {"nginx": "nginx 1", "nginx-large": "nginx 1"},
    "tools": {"wrk": "wrk 4"},
}


def sample(microseconds: float, **more: float) -> Sample:
    """A run of 1000 requests in a second that took so many microseconds of CPU time each."""
    return Sample(units=1000, seconds=1.0, cpu=microseconds / 1000, p50=0.001, p99=0.002, **more)  # type: ignore[arg-type]


def some_results() -> Results:
    """Two cases, some proxies."""
    results = Results(ABOUT)
    results.samples["small"] = {
        "vegurtx": [sample(30), sample(60, round=1), sample(31, round=2)],
        "haproxy": [sample(20), sample(40, round=1), sample(20, waited=0.5, round=2)],
    }
    results.skipped["small"] = {"go": "go is not installed", "nginx-large": ""}
    results.samples["idle"] = {"vegurtx": [sample(100, memory=4321.4)]}
    results.skipped["idle"] = {}
    return results


class ResultsTests(SynchronousTestCase):
    """`benchmarks.results`."""

    def test_medians(self) -> None:
        """A row has the medians of its runs, and says how far they lie apart."""
        made = row("vegurtx", CASES["small"], some_results().samples["small"]["vegurtx"])
        self.assertAlmostEqual(made.cost * 1e6, 31)
        self.assertAlmostEqual(made.spread, (60 - 30) / 31)
        self.assertEqual((made.rate, made.p50, made.p99), (1000.0, 0.001, 0.002))
        self.assertAlmostEqual(made.busy, 0.031)

    def test_ratios_are_of_rounds(self) -> None:
        """A round in which the machine was slow does not change the ratio."""
        self.assertAlmostEqual(some_results().ratio("small", "vegurtx") or 0, 1.5)
        del (failed := some_results()).samples["small"]["haproxy"][0]  # its first run failed
        failed.samples["small"]["haproxy"][1].cpu = 0.031
        self.assertAlmostEqual(failed.ratio("small", "vegurtx") or 0, (60 / 40 + 31 / 31) / 2)
        self.assertIsNone(some_results().ratio("small", "vegurtx", "go"))
        self.assertIsNone(some_results().ratio("tls", "vegurtx"))

    def test_kept_and_read(self) -> None:
        """What was written is read again, and a case that is there no more is left out."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        path = folder / "deeper" / "results.json"
        some_results().write(path)
        again = Results.read(path)
        self.assertEqual(again.samples, some_results().samples)
        self.assertEqual(again.skipped, some_results().skipped)
        self.assertEqual(again.about, ABOUT)
        kept = json.loads(path.read_text())
        kept["cases"]["of-old"] = {}
        path.write_text(json.dumps(kept))
        self.assertNotIn("of-old", Results.read(path).samples)


class TargetTests(SynchronousTestCase):
    """`benchmarks.targets`."""

    def test_cases_and_peers_exist(self) -> None:
        """Each target speaks of something that is measured."""
        for target in TARGETS:
            self.assertIn(target.case, CASES)
            self.assertIn(target.peer, PEERS)
            self.assertIn(target.other, {*PEERS, None})

    def test_verdicts(self) -> None:
        """A target holds, is missed, or was not measured."""
        found = {
            (each.target.case, each.target.peer, each.target.other): each.holds
            for each in verdicts(some_results())
        }
        self.assertIs(found["small", "vegurtx", "haproxy"], True)
        self.assertIs(found["idle", "vegurtx", None], True)
        self.assertIsNone(found["small", "vegurtx", "go"])
        worse = some_results()
        worse.samples["small"]["vegurtx"] = [sample(50)]
        self.assertIn(False, [each.holds for each in verdicts(worse)])


class PageTests(SynchronousTestCase):
    """`benchmarks.tables` and `benchmarks.page`."""

    def test_table(self) -> None:
        """One row for each proxy, in columns for the terminal and in Markdown."""
        rows = table(some_results(), "small", {"vegurtx": "vegurtx", "haproxy": "HAProxy"})
        self.assertEqual(rows[1][:6], ["vegurtx", "1,000", "1.00 ms", "2.00 ms", "31.0", "1.50"])
        self.assertEqual(len(plain(rows).splitlines()), 3)
        self.assertIn("| HAProxy | 1,000 |", markdown(rows))
        self.assertEqual(markdown(rows).splitlines()[1].count("---"), len(rows[0]))

    def test_every_kind_of_case_has_a_table(self) -> None:
        """Whatever is compared, head and rows have the same columns."""
        for name in CASES:
            results = Results(ABOUT)
            results.samples[name] = {"vegurtx": [sample(1, memory=5.0, rate=9.0)]}
            self.assertEqual(len({len(row) for row in table(results, name, {})}), 1, name)

    def test_page(self) -> None:
        """All places of the template are filled; what was left out is said, but not what makes no difference."""
        made = page(some_results(), TEMPLATE.read_text("utf-8"))
        self.assertNotIn("{{", made)
        self.assertIn("| a machine; Linux |", made)
        self.assertIn("Left out: Go ReverseProxy (go is not installed).", made)
        self.assertNotIn("64 kB buffers (", made)
        self.assertIn("4,321 B", made)
        self.assertIn("not measured", made)

    def test_published(self) -> None:
        """The page in ``docs`` is what `make docs-performance` makes."""
        written = TEMPLATE.parents[1] / "docs" / "performance.md"
        made = page(Results.read(PUBLISHED), TEMPLATE.read_text("utf-8"))
        self.assertEqual(
            written.read_text("utf-8"), made, "run make docs-performance (it measures nothing anew)"
        )

    def test_notation(self) -> None:
        """Times are readable."""
        said = [notation.seconds(value) for value in (None, 0.00087, 0.00125, 0.25)]
        self.assertEqual(said, ["–", "870 µs", "1.25 ms", "0.25 s"])
