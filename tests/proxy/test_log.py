"""The request log (vegur_req_log)."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from vegurtx.proxy.log import RequestLog


class Events(TestCase):
    """Stamps, durations and reports, on a clock that is turned by hand."""

    def setUp(self) -> None:
        """A log that begins at 1000.5 s of the epoch, which is 7 s of the clock."""
        self.clock = Clock()
        self.clock.advance(7)
        self.log = RequestLog(1000.5, 7.0, self.clock.seconds)

    def at(self, seconds: float, name: str, details: object = None) -> None:
        """The event `name` happens, so many seconds later."""
        self.clock.advance(seconds)
        self.log.stamp(name, details)

    def test_event(self) -> None:
        """An event is in seconds since the epoch, the last one of its name counts, and what is missing is None."""
        self.assertEqual(self.log.event("accepted"), 1000.5)
        self.at(1, "pre_connect")
        self.at(0.25, "pre_connect")
        self.assertEqual(self.log.event("pre_connect"), 1001.75)
        self.assertIsNone(self.log.event("responded"))

    def test_between(self) -> None:
        """Whole milliseconds, never negative; None if one is missing."""
        self.at(0.0129, "pre_connect")
        self.assertEqual(self.log.between("accepted", "pre_connect"), 12)
        self.assertEqual(self.log.between("pre_connect", "accepted"), 0)
        self.assertIsNone(self.log.between("accepted", "responded"))

    def test_event_duration(self) -> None:
        """From "pre" to "post", of the last time; None while it lasts."""
        self.assertIsNone(self.log.event_duration("connect_time"))
        self.at(0, "connect_time", "pre")
        self.assertIsNone(self.log.event_duration("connect_time"))
        self.at(0.5, "connect_time", "post")
        self.assertEqual(self.log.event_duration("connect_time"), 500)
        self.at(1, "connect_time", "pre")
        self.assertIsNone(self.log.event_duration("connect_time"))
        self.at(0.002, "connect_time", "post")
        self.assertEqual(self.log.event_duration("connect_time"), 2)

    def test_reports(self) -> None:
        """The way from event to event, and the same with equal steps added up."""
        for _ in range(2):
            self.at(0.001, "pre_connect")
            self.at(0, "connect_time", "pre")
            self.at(0.01, "connect_time", "post")
        self.clock.advance(0.1)
        report = self.log.linear_report()
        self.assertEqual(
            report,
            [
                ("init", 0),
                ("accepted_to_pre_connect", 1),
                ("pre_connect_to_connect_time", 0),
                ("connect_time", 10),
                ("connect_time_to_pre_connect", 1),
                ("pre_connect_to_connect_time", 0),
                ("connect_time", 10),
                ("connect_time_until_end", 100),
                ("total", 122),
            ],
        )
        self.assertEqual(
            self.log.flatten_report(report)[2:4], [("pre_connect_to_connect_time", 0), ("connect_time", 20)]
        )
        self.assertEqual(
            self.log.linear_report(lambda name: name == "accepted"),
            [("init", 0), ("accepted_until_end", 122), ("total", 122)],
        )

    def test_nothing_wanted(self) -> None:
        """A report without events is all ``init``, as in vegur."""
        self.clock.advance(0.007)
        self.assertEqual(self.log.linear_report(lambda name: False), [("init", 7), ("total", 7)])

    def test_rounding(self) -> None:
        """Steps are rounded, durations are cut, as in vegur."""
        self.at(0, "connect_time", "pre")
        self.at(0.0015, "connect_time", "post")
        self.assertEqual(self.log.event_duration("connect_time"), 1)
        self.assertIn(("connect_time", 2), self.log.linear_report())

    def test_iteration(self) -> None:
        """The events as they were stamped, in seconds since the epoch."""
        self.at(1, "mine", {"a": 1})
        self.assertEqual(list(self.log), [(1000.5, "accepted", None), (1001.5, "mine", {"a": 1})])

    def test_whole_milliseconds(self) -> None:
        """What took 1, 2, 3… ms is as many, also on a clock that says the seconds since the epoch."""
        for start in (0.0, 7.0, 1e6, 1_700_000_000.0):
            for number in range(1, 400):
                log = RequestLog(1_700_000_000.25, start, lambda: 0.0)
                log.events += (start + number / 1000, "responded", None)
                self.assertEqual(log.between("accepted", "responded"), number, start)
