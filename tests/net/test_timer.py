"""The lazily re-armed timer (rule 24), on a clock that is turned by hand."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from vegurtx.net.timer import FOREVER, Timer


class Deadlines(TestCase):
    """It fires when it must, once, and not before."""

    def setUp(self) -> None:
        """A clock, and a timer that notes when it fires."""
        self.clock = Clock()
        self.fired: list[float] = []
        self.timer = Timer(self.clock, lambda: self.fired.append(self.clock.seconds()), rest=30.0)

    def turn(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass."""
        self.clock.pump([step] * round(seconds / step))

    def test_fires(self) -> None:
        """After its limit, once."""
        self.timer.set(0, 60)
        self.turn(200)
        self.assertEqual(self.fired, [60])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_kept_alive(self) -> None:
        """Each assignment of `since` puts the deadline off, and costs no delayed call."""
        self.timer.set(0, 60)
        (call,) = self.clock.getDelayedCalls()
        for _ in range(25):
            self.timer.since = self.clock.seconds()
            self.turn(1)
            self.assertEqual(self.clock.getDelayedCalls(), [call])
        self.turn(300)
        self.assertEqual(self.fired, [84])

    def test_shorter_phase(self) -> None:
        """A phase with a shorter limit than the one before is kept to."""
        self.timer.set(0, 60)
        self.turn(10)
        self.timer.set(10, 5)
        self.turn(100)
        self.assertEqual(self.fired, [15])

    def test_longer_phase(self) -> None:
        """And so is one with a longer limit."""
        self.timer.set(0, 30)
        self.turn(10)
        self.timer.set(10, 55)
        self.turn(100)
        self.assertEqual(self.fired, [65])

    def test_usual_limits_need_no_new_call(self) -> None:
        """Moving between limits that are not below `rest` never makes or moves a delayed call."""
        self.timer.set(0, 60)
        (call,) = self.clock.getDelayedCalls()
        at = call.getTime()
        for limit in (30, 55, 60, 30):
            self.timer.set(self.clock.seconds(), limit)
            self.assertEqual(self.clock.getDelayedCalls(), [call])
            self.assertEqual(call.getTime(), at)
            self.turn(1)

    def test_forever(self) -> None:
        """Without a limit it never fires; with one again it does."""
        self.timer.set(0, 60)
        self.timer.limit = FOREVER
        self.turn(200)
        self.assertEqual((self.fired, self.clock.getDelayedCalls()), ([], []))
        self.timer.set(200, 1)
        self.turn(5)
        self.assertEqual(self.fired, [201])

    def test_stop(self) -> None:
        """Stopped, it leaves no delayed call."""
        self.timer.set(0, 60)
        self.timer.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.turn(200)
        self.assertEqual(self.fired, [])

    def test_set_again_when_it_fires(self) -> None:
        """Whoever is told may set it again at once."""
        timer = Timer(
            self.clock, lambda: (self.fired.append(self.clock.seconds()), timer.set(self.clock.seconds(), 5))
        )
        timer.set(0, 10)
        self.turn(17)
        self.assertEqual(self.fired, [10, 15])
        timer.stop()
