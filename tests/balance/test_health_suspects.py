"""A replica to which a request could not connect is probed soon, and no more often than that needs."""

from __future__ import annotations

from tests.balance.health_fakes import BAD, GOOD, replica
from tests.balance.test_health_checker import CheckerCase
from vegurtx.balance.health.checker import PAUSE


class Suspects(CheckerCase):
    """`HealthChecker.connect_failed`."""

    def test_soon(self) -> None:
        """Each failed connect has it probed; three bad probes take two pauses, and not two intervals."""
        one = self.watch(replica())
        self.clock.advance(0)
        self.end(GOOD)
        self.clock.advance(5)
        self.probe.answer = BAD
        for at in (5.0, 6.0, 7.0):
            self.checker.connect_failed("service1", one)
            self.clock.advance(0)
            self.assertEqual(self.probe.started_at[-1], at)
            self.clock.advance(PAUSE)
        self.assertEqual((one.healthy, len(self.probe.attempts)), (False, 4))

    def test_not_more_often(self) -> None:
        """A thousand failed connects in a moment are one probe; nor is a probe put off by them."""
        one = self.watch(replica())
        self.probe.answer = GOOD
        self.clock.advance(0)
        for _ in range(1000):
            self.checker.connect_failed("service1", one)
            self.clock.advance(PAUSE / 1000)
        self.clock.advance(PAUSE / 2)
        self.assertEqual(len(self.probe.attempts), 2)

    def test_a_short_interval(self) -> None:
        """An interval that is shorter than the pause stays what it is."""
        one = self.watch(replica(), interval=0.1)
        self.probe.answer = GOOD
        for _ in range(100):
            self.checker.connect_failed("service1", one)
            self.clock.advance(0.01)
        self.assertGreaterEqual(len(self.probe.attempts), 9)

    def test_who_is_not_asked(self) -> None:
        """One that is down already, is being probed, or is not watched, is left to its interval."""
        one = self.watch(replica())
        self.clock.advance(0)
        self.checker.connect_failed("service1", one)
        self.assertEqual(len(self.probe.attempts), 1)
        self.end(BAD)
        self.rounds(BAD, BAD)
        self.assertFalse(one.healthy)
        before = self.clock.getDelayedCalls()[0].getTime()
        self.checker.connect_failed("service1", one)
        self.assertEqual(self.clock.getDelayedCalls()[0].getTime(), before)
        self.checker.connect_failed("another", one)
        self.checker.connect_failed("service1", replica(2))
