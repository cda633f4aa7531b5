"""The queue's bookkeeping: its order, its bounds, and one delayed call."""

from __future__ import annotations

from typing import Any

from balance_fakes import FakeRequest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.balance.queue import Backlog
from vegurtx.errors import RouteError


class Queue(SynchronousTestCase):
    """First in, first out."""

    def setUp(self) -> None:
        """A queue for three, five seconds long."""
        self.clock = Clock()
        self.backlog = Backlog(self.clock, 3, 5.0)

    def join(self) -> Deferred[Any]:
        """One more waits."""
        return self.backlog.join(FakeRequest(), object())

    def reason(self, waiting: Deferred[Any]) -> Any:
        """Why it has failed."""
        return self.failureResultOf(waiting, RouteError).value.reason

    def test_order(self) -> None:
        """Who came first is taken first."""
        waiting = [self.join() for _ in range(3)]
        self.assertIs(self.backlog.first().deferred, waiting[0])  # type: ignore[union-attr]
        self.assertEqual([self.backlog.take().deferred for _ in range(3)], waiting)
        self.assertIsNone(self.backlog.first())

    def test_length(self) -> None:
        """One more than its length is refused at once, and the others wait on."""
        waiting = [self.join() for _ in range(3)]
        error = self.assertRaises(RouteError, self.join)
        self.assertEqual(error.reason, "backlog_too_deep")
        self.assertEqual(len(self.backlog), 3)
        for one in waiting:
            self.assertNoResult(one)

    def test_timeout(self) -> None:
        """Each waits as long as is allowed, from when it came."""
        first = self.join()
        self.clock.advance(2)
        second = self.join()
        self.clock.advance(2.9)
        self.assertNoResult(first)
        self.clock.advance(0.1)
        self.assertEqual(self.reason(first), "backlog_timeout")
        self.assertNoResult(second)
        self.clock.advance(2)
        self.assertEqual(self.reason(second), "backlog_timeout")
        self.assertEqual((len(self.backlog), self.backlog.timed_out), (0, 2))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_delayed_call(self) -> None:
        """However many wait, come and go: one delayed call at the most, and none when all is over."""
        for _ in range(10):
            self.join()
            self.clock.advance(0.1)
            self.backlog.take()
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_leaves(self) -> None:
        """A Deferred that is cancelled gives its place up, wherever it stands."""
        first, second, third = (self.join() for _ in range(3))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertEqual([self.backlog.take().deferred for _ in range(2)], [first, third])

    def test_one_timeout_that_cancels_another(self) -> None:
        """What a timeout sets off may cancel one that is late as well: both end, each once."""
        first, second = self.join(), self.join()
        first.addErrback(lambda _: second.cancel())
        self.clock.advance(5)
        self.failureResultOf(second, CancelledError)
        self.successResultOf(first)

    def test_stop(self) -> None:
        """When it stops, nobody waits, and no delayed call is left."""
        waiting = [self.join(), self.join()]
        self.backlog.stop()
        self.assertEqual([self.reason(one) for one in waiting], ["no_replica"] * 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_request_log(self) -> None:
        """The time in the queue is in the request log."""
        request = FakeRequest()
        self.backlog.join(request, object())
        self.backlog.take()
        self.assertEqual(request.log.stamps, [("queue_time", "pre"), ("queue_time", "post")])
