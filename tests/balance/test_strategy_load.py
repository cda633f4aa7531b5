"""Strategies that look at what replicas have to do: LeastConnections and PowerOfTwo; and Random, which does not."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.balance.strategy_case import Request, chosen, repeatable, replicas, shares, strategy, word
from vegurtx.balance.replica import Replica, Service


class LeastConnectionsCase(TestCase):
    """Who has least to do."""

    def test_least(self) -> None:
        """The fewest requests in flight; what others give it is seen too."""
        a, b, c = all_of = replicas(1, 1, 1)
        one = strategy("LeastConnections")
        chosen(one, all_of, 1)
        a.in_flight, b.in_flight, c.in_flight = 2, 3, 1
        self.assertEqual(chosen(one, all_of, 1), [c])
        c.in_flight = 5
        self.assertEqual(chosen(one, all_of, 1), [a])

    def test_weighted(self) -> None:
        """For its weight: with 1 and 3, three of four requests that stay go to the second."""
        all_of = replicas(1, 3, 0)
        one = strategy("LeastConnections")
        for _ in range(40):
            chosen(one, all_of, 1)[0].in_flight += 1
        self.assertEqual([replica.in_flight for replica in all_of], [10, 30, 0])

    def test_equals_in_turn(self) -> None:
        """Requests that take no time go round, also when everything is prepared anew now and then."""
        all_of = replicas(1, 1, 1)
        one = strategy("LeastConnections")
        served = []
        for now in range(9):
            replica = chosen(one, all_of, 1, now=float(now))[0]
            replica.in_flight += 1
            replica.in_flight -= 1
            one.finished(replica, 0.1, True, float(now))
            served.append(replica)
        self.assertEqual(shares(served, all_of), [3, 3, 3])
        self.assertNotIn("aa", word(served, all_of))

    @repeatable
    @given(st.data())
    def test_always_the_least(self, data: st.DataObject) -> None:
        """Whatever comes and goes, through it or beside it, who is chosen has the least load."""
        all_of = replicas(*data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=6)))
        one = strategy("LeastConnections")
        busy: list[Replica] = []
        for _ in range(data.draw(st.integers(1, 60))):
            act = data.draw(st.sampled_from(["request", "request", "part", "end", "beside"]))
            if act == "end" and busy:
                replica = busy.pop(data.draw(st.integers(0, len(busy) - 1)))
                replica.in_flight -= 1
                one.finished(replica, 0.1, True, 0.0)
            elif act == "beside":  # a sticky session's request
                replica = data.draw(st.sampled_from(all_of))
                replica.in_flight += 1
                busy.append(replica)
            else:
                listed = all_of
                if act == "part":
                    listed = data.draw(st.lists(st.sampled_from(all_of), min_size=1, unique=True))
                replica = chosen(one, listed, 1)[0]
                least = min((other.in_flight + 1) / other.weight for other in listed)
                self.assertEqual((replica.in_flight + 1) / replica.weight, least)
                self.assertIn(replica, listed)
                replica.in_flight += 1
                busy.append(replica)

    def test_equals_after_an_end(self) -> None:
        """Among equals comes first who was chosen longest ago, whatever is left of earlier choices."""
        a, b = all_of = replicas(1, 1)
        one = strategy("LeastConnections")
        self.assertEqual(chosen(one, all_of, 1), [a])
        one.finished(a, 0.1, True, 0.0)
        for expected in (b, a):
            self.assertEqual(chosen(one, all_of, 1), [expected])
            expected.in_flight = 1
        self.assertEqual(chosen(one, all_of, 1), [b])

    def test_void_entries(self) -> None:
        """The ends of many tries do not make the heap grow for ever."""
        all_of = replicas(1, 1)
        one: Any = strategy("LeastConnections")
        chosen(one, all_of, 1)
        for _ in range(10_000):
            one.finished(all_of[0], 0.1, True, 0.0)
            if one._due == 0.0:
                chosen(one, all_of, 1)
        self.assertLess(len(one._heap), 200)

    def test_unknown_replica(self) -> None:
        """The end of a try on a replica that has gone says nothing."""
        one = strategy("LeastConnections")
        one.finished(replicas(1)[0], 0.1, True, 0.0)
        self.assertIsNone(one.choose(replicas(0), Request(), 0.0))


class PowerOfTwoCase(TestCase):
    """The better one of two."""

    def strategy(self, **options: Any) -> Any:
        """A strategy whose chance is the same each time."""
        one: Any = strategy("PowerOfTwo", options)
        one._random = Random(7)
        return one

    def test_all_are_drawn(self) -> None:
        """While nothing is known and nobody is busy, chance alone decides."""
        all_of = replicas(*[1] * 5)
        for count in shares(chosen(self.strategy(), all_of, 2000), all_of):
            self.assertTrue(300 < count < 500, count)

    def test_the_less_busy(self) -> None:
        """Of two, the one with less in flight; so the busiest of all is never chosen."""
        all_of = replicas(*[1] * 4)
        all_of[2].in_flight = 5
        self.assertEqual(shares(chosen(self.strategy(), all_of, 200), all_of)[2], 0)

    def test_the_faster(self) -> None:
        """Of two equally busy ones, the faster; twice as fast is worth twice as much in flight."""
        a, b = all_of = replicas(1, 1)
        one = self.strategy()
        for _ in range(50):
            one.finished(a, 0.1, True, 5.0)
            one.finished(b, 0.3, True, 5.0)
        self.assertApproximates(a.latency, 0.1, 1e-9)
        self.assertEqual(set(chosen(one, all_of, 50, now=5.0)), {a})
        a.in_flight = 1
        self.assertEqual(set(chosen(one, all_of, 50, now=5.0)), {a})
        a.in_flight = 3
        self.assertEqual(set(chosen(one, all_of, 50, now=5.0)), {b})

    def test_weights(self) -> None:
        """A weight of 3 is worth three times as much in flight; one of 0 is never chosen."""
        a, b, c = all_of = replicas(1, 3, 0)
        one = self.strategy()
        self.assertEqual(shares(chosen(one, all_of, 300), all_of)[2], 0)
        b.in_flight = 2
        self.assertEqual(set(chosen(one, [a, b], 20)), {a, b})  # a tie
        b.in_flight = 3
        self.assertEqual(set(chosen(one, [a, b], 20)), {a})
        self.assertIsNone(one.choose([c], Request(), 0.0))
        self.assertIsNone(one.choose(replicas(0, 0, 0), Request(), 0.0))

    def test_nobody_is_forgotten(self) -> None:
        """What was measured long ago weighs little: a replica that was slow once gets requests again."""
        a, b = all_of = replicas(1, 1)
        one = self.strategy(decay=1)
        one.finished(a, 0.010, True, 0.0)
        one.finished(b, 5.0, True, 0.0)
        a.in_flight = 1
        self.assertEqual(set(chosen(one, all_of, 20, now=0.1)), {a})
        self.assertEqual(set(chosen(one, all_of, 20, now=20.0)), {b})

    def test_newcomer(self) -> None:
        """A replica of which nothing is known is as fast as the other: requests do not all run to it."""
        a, b = all_of = replicas(1, 1)
        one = self.strategy()
        one.finished(a, 0.010, True, 0.0)
        b.in_flight = 1
        self.assertEqual(set(chosen(one, all_of, 20)), {a})

    def test_failing_fast_is_not_fast(self) -> None:
        """A failed try counts as a second or more, without bounds neither up nor down."""
        a, b = all_of = replicas(1, 1)
        one = self.strategy()
        one.finished(b, 0.5, True, 0.0)
        one.finished(a, 0.001, False, 0.0)
        self.assertEqual(set(chosen(one, all_of, 20)), {b})
        for now in range(200):
            one.finished(a, None, False, float(now))
        self.assertTrue(30 < a.latency <= 60, a.latency)
        before = a.latency
        one.finished(a, None, True, 200.0)
        self.assertEqual(a.latency, before)

    def test_one(self) -> None:
        """Where there is only one, it is that."""
        all_of = replicas(1)
        self.assertEqual(chosen(self.strategy(), all_of, 2), [all_of[0]] * 2)


class RandomCase(TestCase):
    """By chance."""

    def test_shares(self) -> None:
        """As likely as the weight says; 0: never."""
        all_of = replicas(0, 1, 3, 0)
        one: Any = strategy("Random")
        one._random = Random(3)
        counts = shares(chosen(one, all_of, 4000), all_of)
        self.assertEqual(counts[0] + counts[3], 0)
        self.assertApproximates(counts[1], 1000, 120)

    def test_parts(self) -> None:
        """Lists for one request keep the odds, whether they are summed up or drawn from."""
        all_of = replicas(1, 2, 3, 1000)
        one: Any = strategy("Random")
        one._random = Random(3)
        chosen(one, all_of, 1)
        counts = shares([chosen(one, all_of[:3], 1)[0] for _ in range(1)], all_of)
        for _ in range(6000):
            counts[all_of.index(chosen(one, list(all_of[:3]), 1)[0])] += 1
        for at, share in enumerate((1000, 2000, 3000)):
            self.assertApproximates(counts[at], share, 200)

    def test_unequal_parts(self) -> None:
        """The chance is by weight also where a draw mostly misses."""
        all_of = replicas(1, 3, 2, 900)
        one: Any = strategy("Random")
        one._random = Random(5)
        chosen(one, all_of, 1)
        counts = shares([chosen(one, list(all_of[:2]), 1)[0] for _ in range(4000)], all_of)
        self.assertApproximates(counts[1], 3000, 120)

    def test_nobody(self) -> None:
        """Where nobody has a weight, the request waits."""
        one = strategy("Random")
        self.assertIsNone(one.choose(replicas(0, 0), Request(), 0.0))
        chosen(one, replicas(1, 1, 1), 1)
        self.assertIsNone(one.choose(replicas(0, 0), Request(), 0.0))

    def test_the_last_one(self) -> None:
        """Chance is below 1, but its product with the sum may be the sum."""
        one: Any = strategy("Random")
        all_of = replicas(0.1, 0.2, 0.0)
        one._random.random = lambda: 1.0 - 2.0**-53
        for weights in ([0.1, 0.2, 0.0], [1, 0], [1e6, 1e6, 1e-6, 0]):
            all_of = replicas(*weights)
            self.assertGreater(chosen(one, all_of, 1)[0].weight, 0)


class AllStrategies(TestCase):
    """What holds for each of them."""

    @repeatable
    @given(st.data())
    def test_one_of_the_list(self, data: st.DataObject) -> None:
        """Whatever was before: one of the list; and with a weight, where weights count."""
        name = data.draw(
            st.sampled_from(
                [
                    "RoundRobin",
                    "WeightedRoundRobin",
                    "LeastConnections",
                    "PowerOfTwo",
                    "Random",
                    "ConsistentHash",
                ]
            )
        )
        one = strategy(name)
        all_of = replicas(*data.draw(st.lists(st.sampled_from([0, 0.5, 1, 7]), min_size=1, max_size=7)))
        if data.draw(st.booleans()):
            Service("s", None, one, all_of)
        now = 0.0
        listed = all_of
        for _ in range(data.draw(st.integers(1, 25))):
            if data.draw(st.booleans()):
                listed = data.draw(st.lists(st.sampled_from(all_of), min_size=1, unique=True))
            now += data.draw(st.sampled_from([0.0, 0.05, 2.0]))
            replica = one.choose(listed, Request(), now)
            if replica is None:
                self.assertNotEqual(name, "RoundRobin")
                self.assertEqual([other.weight for other in listed], [0] * len(listed))
                continue
            self.assertIn(replica, listed)
            self.assertTrue(replica.weight or name == "RoundRobin")
            if data.draw(st.booleans()):
                replica.slow_start, replica.slow_start_since = 5.0, now
            one.finished(replica, data.draw(st.sampled_from([None, 0.01])), data.draw(st.booleans()), now)
