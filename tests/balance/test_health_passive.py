"""Passive health: who is ejected, for how long, and who never is; on a clock that is turned by hand."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.balance.health_fakes import logged, passive, replica, service
from vegurtx.balance.health.passive import PassiveHealth
from vegurtx.balance.health.window import Window
from vegurtx.balance.replica import Replica


class PassiveCase(TestCase):
    """A service of four, and what its requests say."""

    count = 4

    def setUp(self) -> None:
        """A clock and the service; nothing is left after the test."""
        self.clock = Clock()
        self.service = service(self.count)
        self.changes: list[Replica] = []
        self.lines = logged(self)
        self.make()

    def make(self, **keys: Any) -> None:
        """Passive health as the section with `keys` has it."""
        self.passive = PassiveHealth(passive(**keys), self.clock, self.changed)
        self.addCleanup(self.passive.stop)

    def changed(self, replica: Replica) -> None:
        """What the router does."""
        self.changes.append(replica)
        self.service.refresh()

    def fail(self, number: int = 0, times: int = 5, reason: Any = "econnrefused") -> Replica:  # type: ignore[override]
        """`times` requests of one replica fail."""
        failing = self.service.replicas[number]
        for _ in range(times):
            self.passive.failed(self.service, failing, reason, self.clock.seconds())
        return failing

    def succeed(self, number: int = 0, times: int = 1) -> None:
        """And so many go well."""
        for _ in range(times):
            self.passive.succeeded(self.service, self.service.replicas[number], self.clock.seconds())

    def ejected(self) -> list[int]:
        """Who is ejected, by his place."""
        return [place for place, each in enumerate(self.service.replicas) if each.ejected_until]


class Consecutive(PassiveCase):
    """``consecutive_errors``."""

    def test_ejected(self) -> None:
        """The fifth error in a row; it is not chosen any more, and the line says why."""
        failing = self.fail(times=4)
        self.assertEqual(self.ejected(), [])
        self.fail(times=1)
        self.assertEqual(self.ejected(), [0])
        self.assertEqual((failing.available, failing.ejected_until), (False, 10.0))
        self.assertNotIn(failing, self.service.available)
        self.assertEqual(
            self.lines,
            [
                "service1: replica http://127.0.0.1:8081 is ejected for 10 s "
                "(5 errors in a row; the last: econnrefused)"
            ],
        )

    def test_a_success_between(self) -> None:
        """Starts the row anew."""
        for _ in range(3):
            self.fail(times=4)
            self.succeed()
        self.assertEqual(self.ejected(), [])

    def test_replicas_are_apart(self) -> None:
        """Each is charged with its own tries only."""
        self.fail(0, 4)
        self.fail(1, 4)
        self.assertEqual(self.ejected(), [])

    def test_back(self) -> None:
        """When its time is over it is back, with a clean slate, and starts slowly if that is wanted."""
        failing = self.fail()
        failing.slow_start = 20.0
        self.clock.advance(9.99)
        self.assertEqual(self.ejected(), [0])
        self.clock.advance(0.02)
        self.assertEqual(self.ejected(), [])
        self.assertEqual((failing.available, failing.slow_start_since), (True, self.clock.seconds()))
        self.assertEqual(self.changes, [failing, failing])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.lines[1], "service1: replica http://127.0.0.1:8081 is back")
        self.fail(times=4)
        self.assertEqual(self.ejected(), [])

    def test_late_failures(self) -> None:
        """What was in flight when it was ejected does not eject it again."""
        self.fail()
        self.fail(times=20)
        self.assertEqual((self.passive.ejections, len(self.clock.getDelayedCalls())), (1, 1))
        self.clock.advance(11)
        self.assertEqual(self.ejected(), [])

    def test_reasons(self) -> None:
        """A reason is a word, or is quoted and cut: nobody writes lines into the log."""
        self.fail(0, reason="a\nservice2: replica x is up")
        self.fail(1, reason=("downstream", "x" * 1000))
        for line in self.lines:
            self.assertNotIn("\n", line)
            self.assertLess(len(line), 170)


class Rate(PassiveCase):
    """``error_rate`` in ``window``."""

    def test_rate(self) -> None:
        """Half of twenty requests, though never five in a row."""
        self.make(consecutive_errors=100)
        for _ in range(9):
            self.fail(times=1)
            self.succeed()
        self.succeed()
        self.assertEqual(self.ejected(), [])
        self.fail(times=1)
        self.assertEqual(self.ejected(), [0])
        self.assertIn("(10 errors in 20 requests; the last: econnrefused)", self.lines[0])

    def test_too_few(self) -> None:
        """Below ``min_requests`` it does not count."""
        self.make(consecutive_errors=100)
        self.fail(times=19)
        self.assertEqual(self.ejected(), [])

    def test_window(self) -> None:
        """What is older than the window is forgotten."""
        self.make(consecutive_errors=100, window=30)
        self.fail(times=15)
        self.clock.advance(31)
        self.succeed(times=10)
        self.fail(times=5)
        self.assertEqual(self.ejected(), [])


class Duration(PassiveCase):
    """How long an ejection lasts."""

    def round(self) -> float:
        """One more ejection, and the end of it; its seconds."""
        failing = self.fail()
        seconds = failing.ejected_until - self.clock.seconds()
        self.clock.advance(seconds + 0.001)
        self.assertEqual(self.ejected(), [])
        return round(seconds, 6)

    def test_doubles(self) -> None:
        """Up to the limit."""
        self.assertEqual([self.round() for _ in range(7)], [10, 20, 40, 80, 160, 300, 300])

    def test_steps_are_forgotten(self) -> None:
        """One for each ``window`` in service."""
        for _ in range(3):
            self.round()
        self.clock.advance(31)
        self.assertEqual(self.round(), 40)
        self.clock.advance(10 * 31)
        self.assertEqual(self.round(), 10)

    def test_no_overflow(self) -> None:
        """Ejected for ever and ever."""
        self.make(window=86_400)
        for _ in range(1200):
            self.assertLessEqual(self.round(), 300)

    def test_replicas_are_apart(self) -> None:
        """One replica's past is not another's."""
        self.round()
        self.assertAlmostEqual(self.fail(1).ejected_until - self.clock.seconds(), 10)


class Limits(PassiveCase):
    """Who is never ejected."""

    def test_share(self) -> None:
        """Half of four are two; the third goes when another is back."""
        for number in range(3):
            self.fail(number)
        self.assertEqual(self.ejected(), [0, 1])
        self.clock.advance(10.1)
        self.fail(2, 1)
        self.assertEqual(self.ejected(), [2])

    def test_one_may_always_go(self) -> None:
        """A tenth of four is less than one; that would be no protection at all."""
        self.make(max_ejected=0.1)
        self.fail(0)
        self.fail(1)
        self.assertEqual(self.ejected(), [0])

    def test_none(self) -> None:
        """0 is none."""
        self.make(max_ejected=0)
        self.fail(0, 50)
        self.assertEqual(self.ejected(), [])

    def test_the_last(self) -> None:
        """Whatever the share: the last one that can be used stays."""
        self.make(max_ejected=1)
        self.service.replicas[1].healthy = False
        self.service.replicas[2].admin = "maint"
        self.service.refresh()
        self.fail(0)
        self.fail(3, 50)
        self.assertEqual(self.ejected(), [0])
        self.assertEqual(len(self.service.available), 1)

    def test_alone(self) -> None:
        """A service of one."""
        self.service = service(1)
        self.fail(0, 50)
        self.assertEqual(self.ejected(), [])

    @given(
        st.lists(
            st.tuples(st.integers(0, 3), st.sampled_from(["fail", "ok", "down", "up", "time"])), max_size=80
        )
    )
    def test_somebody_is_always_left(self, steps: list[tuple[int, str]]) -> None:
        """Whatever happens: of those that are well, one is not ejected; the share holds; one delayed call."""
        self.clock = Clock()
        self.service = service(4)
        self.make(max_ejected=0.75, consecutive_errors=1)
        for number, step in steps:
            if step == "fail":
                before = len(self.service.available)
                self.fail(number, 1)
                self.assertTrue(self.service.available or not before)
            elif step == "ok":
                self.succeed(number)
            elif step == "time":
                self.clock.advance(7)
            else:
                self.service.replicas[number].healthy = step == "up"
                self.service.refresh()
            self.assertLessEqual(len(self.ejected()), 3)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1 if self.ejected() else 0)
        self.passive.stop()


class Life(PassiveCase):
    """Reloads and the end."""

    def test_one_delayed_call(self) -> None:
        """For all ejections of a service: it comes when the next one ends."""
        self.fail(0)
        self.clock.advance(3)
        self.fail(1)
        (call,) = self.clock.getDelayedCalls()
        self.assertEqual(call.getTime(), 10)
        self.clock.advance(7)
        self.assertEqual(self.ejected(), [1])
        (call,) = self.clock.getDelayedCalls()
        self.assertEqual(call.getTime(), 13)

    def test_expire(self) -> None:
        """Whoever cannot wait for the call is told who is back."""
        failing = self.fail(0)
        self.assertEqual(self.passive.expire(self.service, 9), [])
        self.assertEqual(self.passive.expire(self.service, 10), [failing])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reconfigure(self) -> None:
        """Ejections and rows stay; a new window begins anew."""
        self.fail(0)
        self.fail(1, 4)
        self.passive.reconfigure(passive(consecutive_errors=5, window=60))
        self.assertEqual(self.ejected(), [0])
        self.fail(1, 1)
        self.assertEqual(self.ejected(), [0, 1])
        self.assertEqual(self.passive.report(self.service.replicas[1], 0)["window_requests"], 1)

    def test_stop(self) -> None:
        """No delayed call; with the service, nobody stays ejected."""
        failing = self.fail(0)
        self.passive.stop()
        self.assertEqual((self.clock.getDelayedCalls(), self.ejected()), ([], [0]))
        self.passive.stop(self.service)
        self.assertEqual((failing.available, self.ejected()), (True, []))

    def test_gone_replicas_are_forgotten(self) -> None:
        """What is remembered is bounded by the replicas that there are."""
        for number in range(100):
            self.service.set_replicas([*self.service.replicas[1:], replica(100 + number)])
            for place in range(4):
                self.succeed(place)
        self.assertLessEqual(len(self.passive._outliers), 8)

    def test_gone_while_ejected(self) -> None:
        """A replica that is configured no more leaves no call behind."""
        self.fail(0)
        self.service.set_replicas(self.service.replicas[1:])
        self.clock.advance(11)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_report(self) -> None:
        """For the admin API."""
        failing = self.fail(0)
        self.clock.advance(4)
        self.assertEqual(
            self.passive.report(failing, self.clock.seconds()),
            {
                "ejected_for": 6.0,
                "ejections": 1,
                "errors_in_a_row": 5,
                "window_requests": 5,
                "window_errors": 5,
            },
        )
        self.assertEqual(self.passive.report(self.service.replicas[1], 0)["ejections"], 0)


class Windows(TestCase):
    """Counts of the last seconds."""

    @given(st.lists(st.tuples(st.floats(0, 12), st.booleans()), max_size=200))
    def test_against_the_definition(self, steps: list[tuple[float, bool]]) -> None:
        """All of the last nine tenths of the window are in it, and none that is older than the window."""
        window = Window(10.0)
        now, past = 1000.0, []
        for wait, ok in steps:
            now += wait
            past.append((now, ok))
            window.add(ok, now)
            for count, of in ((window.requests, (True, False)), (window.errors, (False,))):
                least = sum(1 for at, good in past if good in of and at > now - 9.0)
                most = sum(1 for at, good in past if good in of and at >= now - 10.0)
                self.assertTrue(least <= count <= most, (least, count, most))

    def test_clear(self) -> None:
        """And on with it."""
        window = Window(10.0)
        window.add(False, 5)
        window.clear()
        window.add(True, 5)
        window.add(True, 50)
        self.assertEqual(repr(window), "<Window 0/1>")

    def test_memory(self) -> None:
        """It does not grow with the load."""
        window = Window(10.0)
        for number in range(10_000):
            window.add(True, number / 100)
        self.assertEqual((len(window._good), len(window._bad)), (10, 10))
