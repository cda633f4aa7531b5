"""A worker's place, with workers that only say what becomes of them, on a clock that is turned by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.ops.workers.backoff import FIRST_DELAY, GOOD_LIFE, LONGEST_DELAY, Backoff
from vegurtx.ops.workers.slot import HOPELESS, SHORT_LIFE, Slot
from vegurtx.ops.workers.worker import State


class BackoffDelays(SynchronousTestCase):
    """How long to wait."""

    def test_doubles(self) -> None:
        """From a tenth of a second, twice as long each time, up to ten seconds."""
        backoff = Backoff()
        delays = [backoff.delay(0.0) for _ in range(9)]
        self.assertEqual(delays, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])
        self.assertEqual((FIRST_DELAY, LONGEST_DELAY), (0.1, 10.0))

    def test_after_a_good_life(self) -> None:
        """Who has lived for half a minute begins anew; who has not does not."""
        backoff = Backoff()
        backoff.delay(0.0)
        self.assertEqual(backoff.delay(GOOD_LIFE - 0.1), 0.2)
        self.assertEqual(backoff.delay(GOOD_LIFE), 0.1)
        self.assertEqual(backoff.delay(0.0), 0.2)


class FakeWorker:
    """Becomes what it is told to."""

    def __init__(self, clock: Clock, news: Callable[[Any], None]) -> None:
        self._clock = clock
        self._news = news
        self._since = clock.seconds()
        self.state = self.before = State.STARTING
        self.orders: list[str] = []

    @property
    def lived(self) -> float:
        """Seconds."""
        return self._clock.seconds() - self._since

    def becomes(self, *states: State) -> None:
        """It is so far now."""
        for state in states:
            self.before, self.state = self.state, state
            self._news(self)

    def leave(self) -> None:
        """As a worker."""
        self.orders.append("leave")
        self.becomes(State.LEAVING)

    def leave_at_once(self) -> None:
        """As a worker."""
        self.orders.append("at once")


class Slots(SynchronousTestCase):
    """Who follows whom, and when."""

    def setUp(self) -> None:
        """A place, filled."""
        self.clock = Clock()
        self.hired: list[FakeWorker] = []
        self.changes = 0
        self.refused = 0
        self.slot = Slot(self.clock, 3, self.hire, self.changed)
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        self.slot.fill()

    def hire(self, number: int, news: Callable[[Any], None]) -> Any:
        """A new worker."""
        self.assertEqual(number, 3)
        if self.refused:
            self.refused -= 1
            raise OSError("no more processes")
        self.hired.append(FakeWorker(self.clock, news))
        return self.hired[-1]

    def changed(self) -> None:
        """Something has."""
        self.changes += 1

    def test_ready(self) -> None:
        """A place is ready when its worker is."""
        self.assertFalse(self.slot.ready)
        self.hired[0].becomes(State.READY)
        self.assertTrue(self.slot.ready)
        self.assertEqual((len(self.hired), self.changes), (1, 1))

    def test_dead(self) -> None:
        """Who dies is followed after the delay, not before."""
        self.hired[0].becomes(State.READY, State.GONE)
        self.assertIs(self.slot.worker, None)
        self.assertTrue(self.slot.empty)
        self.clock.advance(FIRST_DELAY - 0.01)
        self.assertEqual(len(self.hired), 1)
        self.clock.advance(0.01)
        self.assertEqual(len(self.hired), 2)
        self.assertIs(self.slot.worker, self.hired[1])

    def test_leaves_by_itself(self) -> None:
        """Who drains without having been told is followed at once: its sockets do not wait for its last client."""
        self.hired[0].becomes(State.READY)
        self.clock.advance(SHORT_LIFE)
        self.hired[0].becomes(State.LEAVING)
        self.assertEqual(len(self.hired), 2)
        self.assertEqual(self.slot.leaving, {self.hired[0]})
        self.hired[0].becomes(State.GONE)
        self.assertEqual((len(self.hired), self.slot.leaving), (2, set()))

    def test_leaves_by_itself_again_and_again(self) -> None:
        """But not without end: who leaves as soon as it has come is followed with the delay."""
        self.hired[0].becomes(State.READY, State.LEAVING, State.GONE)
        self.assertEqual(len(self.hired), 1)
        self.clock.advance(FIRST_DELAY)
        self.assertEqual(len(self.hired), 2)

    def test_hopeless(self) -> None:
        """Where one after the other dies before it is ready, that is said, and tried on."""
        for _ in range(HOPELESS):
            self.hired[-1].becomes(State.GONE)
            self.clock.advance(LONGEST_DELAY)
        errors = [event for event in self.events if event.get("log_level") is LogLevel.error]
        self.assertEqual([event["failures"] for event in errors], [HOPELESS])
        self.assertIn("in a row have ended before they were ready", errors[0]["log_format"])
        self.assertEqual(len(self.hired), HOPELESS + 1)
        self.hired[-1].becomes(State.READY, State.GONE)
        self.assertNotIn("in a row", self.events[-1]["log_format"])

    def test_cannot_be_started(self) -> None:
        """No process to be had is no end of it."""
        self.refused = 1
        self.hired[0].becomes(State.READY, State.GONE)
        self.clock.advance(FIRST_DELAY)
        self.assertEqual((len(self.hired), self.refused), (1, 0))
        self.clock.advance(2 * FIRST_DELAY)
        self.assertEqual(len(self.hired), 2)

    def test_given_up(self) -> None:
        """Its worker is told to leave, and nobody follows."""
        self.hired[0].becomes(State.READY)
        self.slot.give_up()
        self.assertEqual(self.hired[0].orders, ["leave"])
        self.assertFalse(self.slot.empty)
        self.hired[0].becomes(State.GONE)
        self.assertTrue(self.slot.empty)
        self.assertEqual((len(self.hired), self.clock.getDelayedCalls()), (1, []))

    def test_given_up_between_two(self) -> None:
        """Who was to be started is not."""
        self.hired[0].becomes(State.GONE)
        self.slot.give_up()
        self.assertEqual((len(self.hired), self.clock.getDelayedCalls()), (1, []))

    def test_at_once(self) -> None:
        """Those who drain are told, too."""
        self.hired[0].becomes(State.READY)
        self.clock.advance(SHORT_LIFE)
        self.hired[0].becomes(State.LEAVING)
        self.hired[1].becomes(State.READY)
        self.slot.end_at_once()
        self.assertEqual([worker.orders for worker in self.hired], [["at once"], ["leave", "at once"]])
