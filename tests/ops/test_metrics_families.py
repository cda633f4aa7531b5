"""Snapshots: from process to process, added up, and as Prometheus' text."""

from __future__ import annotations

import json
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.ops.metrics import Family, exposition, merged
from vegurtx.ops.metrics.families import Distribution, as_json, from_json
from vegurtx.ops.metrics.histogram import BOUNDS, Histogram


def snapshot(requests: int, up: int, ejected: int, seconds: float) -> list[Family]:
    """One process's numbers."""
    counter = Family("vegurtx_x_total", "counter", "Some.", ("code", "method"))
    counter.add(requests, "2xx", "GET")
    lowest = Family("vegurtx_up", "gauge", "Up.", ("replica",), "min")
    lowest.add(up, "http://a:1")
    highest = Family("vegurtx_ejected", "gauge", "Ejected.", (), "max")
    highest.add(ejected)
    histogram = Histogram()
    histogram.observe(seconds)
    took = Family("vegurtx_took_seconds", "histogram", "Took.", bounds=BOUNDS)
    took.add(histogram.distribution())
    return [counter, lowest, highest, took]


def samples(families: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All samples of a parsed text, by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


class Merging(SynchronousTestCase):
    """Several processes."""

    def test_merged(self) -> None:
        """Counters and histograms are added, gauges as they say."""
        ones = [snapshot(3, 1, 0, 0.002), snapshot(4, 0, 1, 0.2), snapshot(5, 1, 0, 100.0)]
        whole = {family.name: family.samples for family in merged(ones)}
        self.assertEqual(whole["vegurtx_x_total"], {("2xx", "GET"): 12})
        self.assertEqual(whole["vegurtx_up"], {("http://a:1",): 0})
        self.assertEqual(whole["vegurtx_ejected"], {(): 1})
        took = whole["vegurtx_took_seconds"][()]
        self.assertEqual((sum(took.counts), took.counts[-1]), (3, 1))
        self.assertAlmostEqual(took.sum, 100.202)

    def test_what_only_some_have(self) -> None:
        """A label, or a family, that one process has not seen yet."""
        one, other = snapshot(1, 1, 1, 1.0), snapshot(2, 1, 1, 1.0)[1:]
        other[0].add(1, "http://b:1")
        whole = merged([other, one])
        self.assertEqual({family.name for family in whole}, {family.name for family in one})
        found = next(family for family in whole if family.name == "vegurtx_up")
        self.assertEqual(set(found.samples), {("http://a:1",), ("http://b:1",)})

    def test_sources_stay(self) -> None:
        """What was merged can be merged again."""
        ones = [snapshot(3, 1, 0, 0.002), snapshot(4, 0, 1, 0.2)]
        self.assertEqual(merged(ones), merged(ones))
        self.assertEqual(ones[0], snapshot(3, 1, 0, 0.002))

    def test_json(self) -> None:
        """Through JSON and back, it is the same."""
        one = snapshot(3, 1, 0, 0.002)
        self.assertEqual(from_json(json.loads(json.dumps(as_json(one)))), one)


class Text(SynchronousTestCase):
    """What Prometheus reads."""

    def test_both_formats(self) -> None:
        """Each is read by the library's own parser, and says the same."""
        text, content_type = exposition(snapshot(3, 1, 0, 0.002), process=False)
        self.assertEqual(content_type, "text/plain; version=0.0.4; charset=utf-8")
        found = samples(plain(text.decode()))
        self.assertEqual(found["vegurtx_x_total", (("code", "2xx"), ("method", "GET"))], 3)
        self.assertEqual(found["vegurtx_took_seconds_bucket", (("le", "0.001"),)], 0)
        self.assertEqual(found["vegurtx_took_seconds_bucket", (("le", "0.0025"),)], 1)
        self.assertEqual(found["vegurtx_took_seconds_bucket", (("le", "+Inf"),)], 1)
        self.assertEqual(found["vegurtx_took_seconds_count", ()], 1)
        text, content_type = exposition(
            snapshot(3, 1, 0, 0.002), "application/openmetrics-text; version=1.0.0", process=False
        )
        self.assertTrue(content_type.startswith("application/openmetrics-text"))
        self.assertEqual(samples(openmetrics(text.decode())), found)

    def test_labels_are_escaped(self) -> None:
        """Whatever a name in a file holds."""
        odd = 'a"b\\c\nd'
        family = Family("vegurtx_odd", "gauge", "Odd.", ("name",))
        family.add(1, odd)
        text, _ = exposition([family], process=False)
        self.assertEqual(samples(plain(text.decode())), {("vegurtx_odd", (("name", odd),)): 1})

    def test_process(self) -> None:
        """CPU time and memory of this process, where it can be known."""
        text, _ = exposition([])
        self.assertIn(b"process_cpu_seconds_total", text)

    def test_accept_is_any_text(self) -> None:
        """What a scraper says does not get into the answer."""
        for accept in (
            "application/openmetrics-text; version=x\r\ny",
            "text/plain; version=nonsense",
            "\xff",
        ):
            _, content_type = exposition([], accept, process=False)
            self.assertNotIn("nonsense", content_type)
            self.assertNotIn("x", content_type.partition("version=")[2])


class Buckets(SynchronousTestCase):
    """A histogram."""

    def test_bounds_belong_to_their_buckets(self) -> None:
        """Prometheus' ``le``."""
        histogram = Histogram()
        for seconds in (0.0, BOUNDS[0], BOUNDS[0] * 1.01, BOUNDS[-1], BOUNDS[-1] * 2):
            histogram.observe(seconds)
        counts = histogram.distribution().counts
        self.assertEqual((counts[0], counts[1], counts[-2], counts[-1], sum(counts)), (2, 1, 1, 1, 5))

    def test_sum(self) -> None:
        """Two distributions."""
        self.assertEqual(Distribution((1, 2), 3.0) + Distribution((4, 5), 6.0), Distribution((5, 7), 9.0))
