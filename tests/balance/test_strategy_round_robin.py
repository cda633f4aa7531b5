"""RoundRobin and WeightedRoundRobin."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.balance.strategy_case import Request, chosen, repeatable, replicas, shares, strategy, word


class RoundRobins(TestCase):
    """One after the other."""

    def test_in_turn(self) -> None:
        """Each in its turn, whatever its weight."""
        all_of = replicas(1, 5, 0)
        self.assertEqual(word(chosen(strategy("RoundRobin"), all_of, 7), all_of), "abcabca")

    @repeatable
    @given(st.integers(1, 12), st.integers(1, 5))
    def test_exact(self, count: int, cycles: int) -> None:
        """Over a cycle everybody has had one turn."""
        all_of = replicas(*[1] * count)
        choices = chosen(strategy("RoundRobin"), all_of, count * cycles)
        self.assertEqual(shares(choices, all_of), [cycles] * count)

    def test_membership(self) -> None:
        """Who goes leaves the turn to the next one; who comes is taken in; the turn does not begin anew."""
        a, b, c, d = all_of = replicas(1, 1, 1, 1)
        one = strategy("RoundRobin")
        self.assertEqual(word(chosen(one, [a, b, c], 2), all_of), "ab")
        longer = [a, b, c, d]
        self.assertEqual(word(chosen(one, longer, 3), all_of), "cda")
        chosen(one, shorter := [a, c, d], 1)  # the first time it could be a retry's
        self.assertEqual(word(chosen(one, shorter, 3), all_of), "cda")

    def test_last_one_goes(self) -> None:
        """The turn goes on where the replica was that has gone."""
        a, _, c, d = all_of = replicas(1, 1, 1, 1)
        one = strategy("RoundRobin")
        chosen(one, all_of, 2)
        other = replicas(1)[0]
        self.assertEqual(chosen(one, [a, c, d, other], 3), [c, d, other])

    def test_retries_do_not_disturb(self) -> None:
        """Lists for one request have a turn of their own, which spreads them over all others."""
        all_of = replicas(1, 1, 1, 1)
        one = strategy("RoundRobin")
        usual, retried = [], []
        for _ in range(60):
            first = chosen(one, all_of, 1)[0]
            usual.append(first)
            if first is all_of[1]:
                retried += chosen(one, [replica for replica in all_of if replica is not first], 1)
        self.assertEqual(word(usual, all_of), "abcd" * 15)
        self.assertEqual(shares(retried, all_of), [5, 0, 5, 5])

    def test_slow_start(self) -> None:
        """Who starts slowly lets turns pass: about one in ten is taken at the begin."""
        _, b = all_of = replicas(1, 1)
        b.slow_start, b.slow_start_since = 10.0, 0.0
        one = strategy("RoundRobin")
        taken = shares(chosen(one, all_of, 2000, now=0.0), all_of)[1]
        self.assertTrue(20 < taken < 250, taken)
        self.assertEqual(word(chosen(one, all_of, 4, now=11.0), all_of).count("b"), 2)

    def test_all_start_slowly(self) -> None:
        """Somebody has to do it."""
        all_of = replicas(1, 0)
        for replica in all_of:
            replica.slow_start, replica.slow_start_since = 1e9, 0.0
        self.assertEqual(len(chosen(strategy("RoundRobin"), all_of, 50)), 50)


class WeightedRoundRobins(TestCase):
    """In turn, and as often as the weight says."""

    def test_vestri(self) -> None:
        """900 requests over 2:4 are exactly 300:600, and interleaved."""
        all_of = replicas(2, 4)
        choices = chosen(strategy("WeightedRoundRobin"), all_of, 900)
        self.assertEqual(shares(choices, all_of), [300, 600])
        said = word(choices, all_of)
        self.assertNotIn("aa", said)
        self.assertNotIn("bbb", said)

    def test_smooth(self) -> None:
        """a b a c a, not a a a b c."""
        all_of = replicas(3, 1, 1)
        self.assertEqual(word(chosen(strategy("WeightedRoundRobin"), all_of, 10), all_of), "abacaabaca")

    @repeatable
    @given(st.lists(st.integers(0, 20), min_size=1, max_size=10).filter(any), st.integers(1, 3))
    def test_exact(self, weights: list[int], cycles: int) -> None:
        """Over a cycle the counts are the weights; 0 is never chosen."""
        all_of = replicas(*weights)
        choices = chosen(strategy("WeightedRoundRobin"), all_of, cycles * sum(weights))
        self.assertEqual(shares(choices, all_of), [cycles * weight for weight in weights])

    def test_only_zeros(self) -> None:
        """Where nobody has a weight, the request waits."""
        all_of = replicas(0, 0, 1)
        one = strategy("WeightedRoundRobin")
        self.assertIsNone(one.choose(all_of[:2], Request(), 0.0))
        chosen(one, all_of, 3)
        self.assertIsNone(one.choose(all_of[:2], Request(), 0.0))

    @repeatable
    @given(st.data())
    def test_membership(self, data: st.DataObject) -> None:
        """Replicas come and go: between changes everybody has the weight's share, within a few turns."""
        all_of = replicas(1, 2, 3, 4, 5)
        one = strategy("WeightedRoundRobin")
        for _ in range(4):
            listed = data.draw(st.lists(st.sampled_from(all_of), min_size=1, unique=True))
            chosen(one, listed, 1)
            total = int(sum(replica.weight for replica in listed))
            for replica, count in zip(listed, shares(chosen(one, listed, 4 * total), listed), strict=True):
                self.assertLessEqual(abs(count - 4 * replica.weight), 2)

    def test_changing_lists(self) -> None:
        """A new list with each request, of everybody: nobody is the first one again and again."""
        all_of = replicas(1, 1, 2)
        one = strategy("WeightedRoundRobin")
        choices = [chosen(one, list(all_of), 1)[0] for _ in range(40)]
        self.assertEqual(shares(choices, all_of), [10, 10, 20])

    def test_retries(self) -> None:
        """A retry gets the next one in the order; who was passed over comes later; in all the shares are kept."""
        all_of = replicas(2, 1, 1)
        one = strategy("WeightedRoundRobin")
        served = []
        for _ in range(400):
            first = chosen(one, all_of, 1)[0]
            if first is all_of[1]:  # it fails
                served += chosen(one, [all_of[0], all_of[2]], 1)
            else:
                served.append(first)
        a, b, c = shares(served, all_of)
        self.assertEqual(b, 0)
        self.assertApproximates(a / c, 2.0, 0.05)

    def test_new_weights(self) -> None:
        """Weights that a reload has changed are seen within a second, though the list is the same."""
        all_of = replicas(1, 1)
        one = strategy("WeightedRoundRobin")
        chosen(one, all_of, 10, now=0.0)
        all_of[0].weight = 3.0
        self.assertEqual(shares(chosen(one, all_of, 400, now=1.0), all_of), [300, 100])

    def test_slow_start(self) -> None:
        """A slow start's weight grows, and the share with it."""
        _, b = all_of = replicas(10, 10)
        b.slow_start, b.slow_start_since = 10.0, 0.0
        one = strategy("WeightedRoundRobin")
        found = [shares(chosen(one, all_of, 110, now=now), all_of)[1] for now in (0.0, 2.5, 5.0, 9.0, 10.5)]
        for count, share in zip(found, (0.1, 0.25, 0.5, 0.9, 1.0), strict=True):
            self.assertApproximates(count, 110 * share / (1 + share), 2)
