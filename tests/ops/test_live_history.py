"""The last quarter of an hour: sampled by the clock, bounded, and going on whatever happens."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.ops.admin_case import LIVE
from vegurtx.ops.live import History
from vegurtx.ops.live.history import INTERVAL, KEPT


class Sampling(SynchronousTestCase):
    """A history of something that counts how often it was asked."""

    def setUp(self) -> None:
        """It has not begun."""
        self.clock = Clock()
        self.asked = 0
        self.answer: Any = None
        self.history = History(self.live)
        self.addCleanup(self.history.stop)

    def live(self) -> Any:
        """Numbers, unless a test wants something else."""
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return {**LIVE, "time": self.clock.seconds()} if self.answer is None else self.answer

    def times(self) -> list[float]:
        """When the samples were taken."""
        return [sample["time"] for sample in self.history.report()["samples"]]

    def test_every_five_seconds(self) -> None:
        """The first at once; services and errors are not kept."""
        self.assertEqual(self.history.report(), {"interval": INTERVAL, "kept": KEPT, "samples": []})
        self.history.start(self.clock)
        self.history.start(self.clock)
        self.clock.pump([INTERVAL] * 3)
        self.assertEqual(self.times(), [0.0, 5.0, 10.0, 15.0])
        (*_, last) = self.history.report()["samples"]
        self.assertEqual(set(LIVE) - set(last), {"services", "recent", "draining"})

    def test_bounded(self) -> None:
        """A quarter of an hour and no more."""
        self.history.start(self.clock)
        self.clock.pump([INTERVAL] * (KEPT + 10))
        self.assertEqual(len(self.times()), KEPT)
        self.assertEqual(self.times()[-1] - self.times()[0], 895.0)

    def test_stop(self) -> None:
        """Nothing is left with the reactor; what there is stays; it may begin again."""
        self.history.start(self.clock)
        self.history.stop()
        self.history.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(60)
        self.assertEqual(self.times(), [0.0])
        self.history.start(self.clock)
        self.assertEqual(self.times(), [0.0, 60.0])

    def test_failure(self) -> None:
        """It is logged once, and the next sample is tried all the same."""
        self.answer = RuntimeError("no")
        self.history.start(self.clock)
        self.clock.pump([INTERVAL] * 3)
        self.assertEqual((self.asked, len(self.flushLoggedErrors(RuntimeError))), (4, 1))
        self.answer = None
        self.clock.advance(INTERVAL)
        self.assertEqual(self.times(), [20.0])

    def test_a_program_that_takes_its_time(self) -> None:
        """It is not asked again before it has answered; when the history ends meanwhile, nothing goes wrong."""
        waiting: Deferred[Any] = Deferred()
        self.answer = waiting
        self.history.start(self.clock)
        self.clock.pump([INTERVAL] * 4)
        self.assertEqual(self.asked, 1)
        self.history.stop()
        waiting.callback({**LIVE, "time": 1.0})
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.times(), [1.0])
