"""Active health checks: when replicas are probed and what follows, on a clock that is turned by hand."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.balance.health_fakes import BAD, GOOD, ScriptedProbe, check, logged, replica
from vegurtx.balance.health.checker import AT_ONCE, HealthChecker
from vegurtx.balance.health.state import HealthState, Outcome, Standing
from vegurtx.balance.health.tls import TlsFilesError
from vegurtx.balance.replica import Replica


class CheckerCase(TestCase):
    """A checker whose probes are scripted, without any chance."""

    chance = 0.5  # in the middle: no jitter

    def setUp(self) -> None:
        """A clock, a probe and a checker; nothing is left of it after the test."""
        self.clock = Clock()
        self.probe = ScriptedProbe()
        self.changes: list[tuple[str, bool]] = []
        self.state = HealthState()
        self.checker = self.make()
        self.lines = logged(self)
        self.addCleanup(self.nothing_is_left)

    def make(self) -> HealthChecker:
        """A checker that shares the state."""
        return HealthChecker(
            self.clock,
            lambda replica: self.changes.append((replica.key, replica.healthy)),
            self.state,
            probes={"tcp": self.probe, "http": self.probe},
            chance=lambda: self.chance,
        )

    def nothing_is_left(self) -> None:
        """`stop` cancels every delayed call."""
        self.checker.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def watch(self, replica: Replica, service: str = "service1", **keys: Any) -> Replica:
        """Have `replica` probed."""
        self.checker.watch(service, replica, check(**keys))
        return replica

    def end(self, outcome: Outcome) -> None:
        """The one running probe has `outcome`."""
        (attempt,) = self.probe.running
        attempt.over.callback(outcome)

    def rounds(self, *outcomes: Outcome, interval: float = 10.0) -> None:
        """Each next probe has one of `outcomes`."""
        for outcome in outcomes:
            if not self.probe.running:
                self.clock.advance(interval)
            self.end(outcome)

    def record(self, replica: Replica, service: str = "service1") -> Any:
        """What is known of `replica`."""
        (record,) = self.state.get(service, replica.key).values()
        return record


class Rhythm(CheckerCase):
    """When a replica is probed."""

    def test_first_probe(self) -> None:
        """Soon, but not within the call; until it has ended, the replica is up."""
        watched = self.watch(replica())
        self.assertEqual(self.probe.attempts, [])
        self.clock.advance(0)
        self.assertEqual(len(self.probe.running), 1)
        self.assertTrue(watched.healthy)

    def test_interval(self) -> None:
        """From start to start, however long a probe takes."""
        self.watch(replica(), interval=10, timeout=5)
        self.clock.advance(0)
        for wait in (0, 1, 4.5):
            self.clock.advance(wait)
            self.end(GOOD)
            self.clock.advance(9.9 - wait)
            self.assertEqual(self.probe.running, [])
            self.clock.advance(0.1 + 1e-9)
        self.assertEqual([round(at, 3) for at in self.probe.started_at], [0, 10, 20, 30])

    def test_long_probes(self) -> None:
        """Where probes take longer than the interval, there is a rest between them all the same."""
        self.watch(replica(), interval=1, timeout=5)
        self.clock.advance(0)
        self.clock.advance(4)
        self.end(GOOD)
        self.clock.advance(0.09)
        self.assertEqual(self.probe.running, [])
        self.clock.advance(0.02)
        self.assertEqual(len(self.probe.running), 1)

    def test_jitter(self) -> None:
        """The interval varies by its share, either way."""
        self.probe.answer = GOOD
        for self.chance, delay in ((0.0, 8.0), (1.0, 12.0), (0.75, 11.0)):
            watched = self.watch(replica(), interval=10, jitter=0.2)
            self.clock.advance(0.01)
            (call,) = self.clock.getDelayedCalls()
            self.assertAlmostEqual(call.getTime() - self.probe.started_at[-1], delay)
            self.checker.unwatch("service1", watched)

    def test_one_delayed_call(self) -> None:
        """A watched replica has one at the most: resting, probed, and never two."""
        self.watch(replica())
        for _ in range(3):
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.advance(10)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.end(GOOD)

    def test_timeout(self) -> None:
        """A probe that takes too long is cut off, and has failed."""
        watched = self.watch(replica(), timeout=2.5)
        self.clock.advance(0)
        self.clock.advance(2.4)
        self.assertEqual(len(self.probe.running), 1)
        self.clock.advance(0.2)
        self.assertEqual(self.probe.running, [])
        self.assertEqual(self.record(watched).last, (False, "timeout after 2.5 s"))
        self.assertEqual(self.record(watched).failures, 1)

    def test_slow_close(self) -> None:
        """What a probe had found before it was cut off counts, when its connection is gone."""
        watched = self.watch(replica(), timeout=2)
        self.clock.advance(0)
        self.probe.running[0].lingers = True
        self.clock.advance(3)
        self.assertEqual(self.record(watched).last, None)
        self.end(GOOD)
        self.assertEqual(self.record(watched).last, GOOD)


class RiseAndFall(CheckerCase):
    """What the probes' outcomes lead to."""

    def test_down_and_up(self) -> None:
        """`fall` failures in a row take it down, `rise` successes in a row bring it back; one line each."""
        watched = self.watch(replica())
        self.clock.advance(0)
        self.rounds(BAD, BAD)
        self.assertTrue(watched.healthy)
        self.rounds(BAD)
        self.assertFalse(watched.healthy)
        self.rounds(GOOD)
        self.assertFalse(watched.healthy)
        self.rounds(GOOD)
        self.assertTrue(watched.healthy)
        self.assertEqual(self.changes, [(watched.key, False), (watched.key, True)])
        self.assertEqual(
            self.lines,
            [
                "service1: replica http://127.0.0.1:8081 is down: connection refused (3 failures in a row)",
                "service1: replica http://127.0.0.1:8081 is up (2 successes in a row)",
            ],
        )

    def test_broken_rows(self) -> None:
        """A success starts the row of failures anew, and the other way round."""
        watched = self.watch(replica())
        self.clock.advance(0)
        self.rounds(BAD, BAD, GOOD, BAD, BAD)
        self.assertTrue(watched.healthy)
        self.rounds(BAD, GOOD, BAD, GOOD)
        self.assertFalse(watched.healthy)
        self.assertEqual(self.changes, [(watched.key, False)])

    def test_thresholds_of_one(self) -> None:
        """`rise` and `fall` as configured; a line says "1 failure"."""
        self.watch(replica(), rise=1, fall=1)
        self.clock.advance(0)
        self.rounds(BAD, GOOD)
        self.assertEqual([healthy for _, healthy in self.changes], [False, True])
        self.assertIn("(1 failure in a row)", self.lines[0])
        self.assertIn("(1 success in a row)", self.lines[1])

    def test_slow_start(self) -> None:
        """A replica that comes back starts slowly, if its service wants that."""
        for seconds, since in ((30.0, 10.0), (0.0, None)):
            watched = replica(1 if seconds else 2)
            watched.slow_start = seconds
            self.probe.answer = None
            self.watch(watched, rise=1, fall=1)
            self.clock.advance(0.01)
            self.rounds(BAD, GOOD)
            if since is None:
                self.assertIsNone(watched.slow_start_since)
            else:
                self.assertEqual(watched.slow_start_since, self.clock.seconds())
            self.checker.unwatch("service1", watched)

    def test_what_is_kept(self) -> None:
        """The last result, its time, the counts: what the admin API shows."""
        watched = self.watch(replica())
        self.clock.advance(0)
        self.clock.advance(0.25)
        self.rounds(GOOD, BAD, BAD)
        self.clock.advance(3)
        report = self.record(watched).report(self.clock.seconds())
        self.assertEqual(report["last_age"], 3)
        self.assertEqual(
            {
                key: report[key]
                for key in ("state", "last_ok", "last_result", "in_a_row", "successes", "failures")
            },
            {
                "state": "up",
                "last_ok": False,
                "last_result": "connection refused",
                "in_a_row": 2,
                "successes": 1,
                "failures": 2,
            },
        )

    def test_files(self) -> None:
        """A certificate that cannot be read is a failure like any other, and says which."""

        def cannot(reactor: Any, replica: Any, check: Any) -> Any:
            raise TlsFilesError("/etc/x.pem: no such file")

        self.checker = HealthChecker(self.clock, lambda _: None, self.state, probes={"tcp": cannot})
        watched = self.watch(replica(), fall=2, jitter=0)
        self.clock.advance(0)
        self.clock.advance(10)
        self.assertFalse(watched.healthy)
        self.assertIn("is down: /etc/x.pem: no such file (2 failures in a row)", self.lines[0])

    def test_crash(self) -> None:
        """A fault in a probe itself is logged, takes nobody down, and ends nothing."""

        def crash(reactor: Any, replica: Any, check: Any) -> Any:
            crashes.append(reactor.seconds())
            raise ZeroDivisionError

        crashes: list[float] = []
        self.checker = HealthChecker(self.clock, lambda _: None, self.state, probes={"tcp": crash})
        watched = self.watch(replica(), fall=1)
        self.clock.advance(0)
        self.clock.advance(10)
        self.assertEqual(crashes, [0, 10])
        self.assertTrue(watched.healthy)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)


class Many(CheckerCase):
    """A thousand replicas."""

    def test_spread(self) -> None:
        """First probes follow each other closely, and all come within the first interval."""
        self.probe.answer = GOOD
        for number in range(1000):
            self.watch(replica(number), interval=10, jitter=0)
        self.clock.advance(0)
        self.assertEqual(len(self.probe.attempts), 1)
        self.clock.pump([0.1] * 100)
        self.assertEqual(len(self.probe.attempts), 1000)
        self.clock.pump([0.1] * 100)
        self.assertEqual(len(self.probe.attempts), 2000)
        self.assertLessEqual(max(_a_second(self.probe.started_at)), 120)

    def test_spread_in_a_short_interval(self) -> None:
        """Where they do not fit into one interval, they come at any time within it."""
        for number in range(1000):
            self.chance = number / 1000
            self.watch(replica(number), interval=2)
        times = [call.getTime() for call in self.clock.getDelayedCalls()]
        self.assertLess(max(times), 2)

    def test_a_late_comer(self) -> None:
        """A replica that a reload adds is probed soon, however many there are."""
        self.probe.answer = GOOD
        for number in range(100):
            self.watch(replica(number), interval=10)
        self.clock.advance(5)
        late = self.watch(replica(1000), interval=10)
        self.clock.advance(0)
        self.assertIsNotNone(self.record(late).last)

    def test_at_once(self) -> None:
        """No more than so many sockets; the others wait without a delayed call, and each has its turn."""
        for number in range(AT_ONCE + 50):
            self.watch(replica(number), interval=1000, timeout=500)
        self.clock.advance(100)
        self.assertEqual(len(self.probe.running), AT_ONCE)
        self.assertEqual(len(self.clock.getDelayedCalls()), AT_ONCE)
        for _ in range(50):
            self.probe.running[0].over.callback(GOOD)
            self.assertEqual(len(self.probe.running), AT_ONCE)
        self.assertEqual(len(self.probe.attempts), AT_ONCE + 50)

    def test_a_probe_counts_until_its_socket_is_closed(self) -> None:
        """What is cut off and lingers still has its place."""
        for number in range(AT_ONCE + 1):
            self.watch(replica(number), interval=1000, timeout=500)
        self.clock.advance(100)
        first = self.probe.running[0]
        first.lingers = True
        self.checker.unwatch("service1", first.replica)
        self.assertEqual(len(self.probe.attempts), AT_ONCE)
        first.over.callback(GOOD)
        self.assertEqual(len(self.probe.attempts), AT_ONCE + 1)

    def test_unwatch_while_waiting(self) -> None:
        """Whoever waits for his turn and is not wanted any more, does not get it."""
        watched = [self.watch(replica(number), interval=1000, timeout=500) for number in range(AT_ONCE + 2)]
        self.clock.advance(100)
        self.checker.unwatch("service1", watched[AT_ONCE])
        for attempt in self.probe.running[:2]:
            attempt.over.callback(GOOD)
        self.assertEqual(self.probe.attempts[-1].replica, watched[-1])
        self.assertEqual(len(self.probe.attempts), AT_ONCE + 1)


class Reloads(CheckerCase):
    """Health outlives a reload, and no more than it should."""

    def down(self, **keys: Any) -> Replica:
        """A replica that is down."""
        watched = self.watch(replica(), **keys)
        self.clock.advance(0)
        self.rounds(BAD, BAD, BAD)
        self.assertFalse(watched.healthy)
        return watched

    def test_same_again(self) -> None:
        """Watched again with the same check: nothing happens; another interval counts from the next probe on."""
        watched = self.down()
        before = self.clock.getDelayedCalls()
        self.watch(watched, interval=30, rise=1, jitter=0)
        self.assertEqual(self.clock.getDelayedCalls(), before)
        self.rounds(GOOD)
        self.assertTrue(watched.healthy)
        self.assertAlmostEqual(self.clock.getDelayedCalls()[0].getTime() - self.clock.seconds(), 30)

    def test_a_new_object(self) -> None:
        """A new `Replica` of the same service and key takes over what is known."""
        self.down()
        successor = replica()
        self.watch(successor)
        self.assertFalse(successor.healthy)
        self.assertEqual(self.changes[-1], (successor.key, False))
        self.rounds(GOOD, GOOD)
        self.assertTrue(successor.healthy)

    def test_another_checker(self) -> None:
        """The state may outlive the checker."""
        watched = self.down()
        self.checker.stop()
        self.assertFalse(watched.healthy)
        self.checker = self.make()
        successor = self.watch(replica())
        self.assertFalse(successor.healthy)
        self.assertEqual(self.record(successor).failures, 3)

    def test_another_check(self) -> None:
        """A check that asks something else starts with a clean slate: the replica is up until it has failed."""
        watched = self.down()
        self.watch(watched, type="http", path="/health")
        self.assertTrue(watched.healthy)
        self.assertEqual(self.record(watched).failures, 0)
        self.assertEqual(len(self.state), 1)

    def test_another_check_in_a_running_probe(self) -> None:
        """What the old check's probe finds is not held against the new one."""
        watched = self.watch(replica(), fall=1)
        self.clock.advance(0)
        old = self.probe.running[0]
        old.lingers = True
        self.watch(watched, type="http", fall=1)
        self.assertIsNotNone(old.cut)
        old.over.callback(BAD)
        self.assertTrue(watched.healthy)
        self.assertIsNone(self.record(watched).last)

    def test_unwatch(self) -> None:
        """Nobody would find out that it is well again, so it counts as well."""
        watched = self.down()
        self.checker.unwatch("service1", watched)
        self.assertTrue(watched.healthy)
        self.assertEqual((self.clock.getDelayedCalls(), len(self.state)), ([], 0))
        self.checker.unwatch("service1", watched)

    def test_back_at_once(self) -> None:
        """Gone for a moment, as an address may be from a name's answer: what was known is known."""
        watched = self.down()
        self.checker.unwatch("service1", watched)
        self.clock.advance(59)
        self.watch(watched)
        self.assertFalse(watched.healthy)

    def test_back_later(self) -> None:
        """After more than a minute, it starts anew."""
        watched = self.down()
        self.checker.unwatch("service1", watched)
        self.clock.advance(61)
        self.watch(watched)
        self.assertTrue(watched.healthy)

    def test_services_are_apart(self) -> None:
        """One URL in two services is two replicas, which are judged each by itself."""
        one, two = replica(), replica()
        self.watch(one, "one", fall=1)
        self.watch(two, "two", fall=1)
        self.clock.advance(1)
        self.probe.running[0].over.callback(BAD)
        self.assertEqual((one.healthy, two.healthy), (False, True))
        self.checker.unwatch("one", one)
        self.assertEqual([key.service for key, _ in self.state.items()], ["two"])


class Stopping(CheckerCase):
    """Nothing is left."""

    def test_resting(self) -> None:
        """No delayed call, and nothing to wait for."""
        self.watch(replica())
        self.assertIsNone(self.checker.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_probing(self) -> None:
        """Probes are cut off; the Deferred fires when the last connection is closed."""
        for number in range(3):
            self.watch(replica(number))
        self.clock.advance(1)
        running = self.probe.running
        for attempt in running:
            attempt.lingers = True
        done = self.checker.stop()
        assert done is not None
        self.assertEqual(self.clock.getDelayedCalls(), [])
        for attempt in running:
            self.assertIsNotNone(attempt.cut)
            self.assertNoResult(done)
            attempt.over.callback(BAD)
        self.successResultOf(done)
        self.assertEqual(self.changes, [])

    def test_standing_stays(self) -> None:
        """A replica that is down stays so."""
        watched = self.watch(replica(), fall=1)
        self.clock.advance(0)
        self.end(BAD)
        self.checker.stop()
        self.assertFalse(watched.healthy)
        self.assertEqual(self.state.items(), [])

    def test_record_of_a_stopped_one(self) -> None:
        """Standing is explicit: up or down."""
        watched = self.watch(replica(), fall=1)
        self.clock.advance(0)
        self.end(BAD)
        self.assertIs(self.record(watched).standing, Standing.DOWN)


def _a_second(times: list[float]) -> list[int]:
    """How many of `times` lie in each second."""
    counts: dict[int, int] = {}
    for time in times:
        counts[int(time)] = counts.get(int(time), 0) + 1
    return list(counts.values())
