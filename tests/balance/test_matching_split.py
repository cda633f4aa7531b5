"""Weighted splits between services."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from twisted.trial.unittest import TestCase

from tests.balance.strategy_case import Request
from vegurtx.balance.matching import Split


def user(number: int) -> Request:
    """The request of a user."""
    return Request(headers=[(b"Cookie", b"id=%d" % number)])


class Splits(TestCase):
    """Smooth, or by a hash."""

    def test_smooth(self) -> None:
        """95 and 5 of each 100, and the five evenly spread."""
        split = Split([("stable", 95.0), ("canary", 5.0), ("off", 0.0)])
        choices = [split.choose(Request()) for _ in range(1000)]
        for begin in range(0, 1000, 100):
            self.assertEqual(Counter(choices[begin : begin + 100]), {"stable": 95, "canary": 5})
        at = [number for number, choice in enumerate(choices) if choice == "canary"]
        self.assertLessEqual(max(b - a for a, b in pairwise(at)), 39)

    def test_by_hash(self) -> None:
        """A client stays where it is; the shares are about the weights; who has no cookie is split smoothly."""
        split = Split([("stable", 75), ("canary", 25)], on="cookie:id")
        homes = [split.choose(user(number)) for number in range(4000)]
        self.assertEqual([split.choose(user(number)) for number in range(4000)], homes)
        self.assertApproximates(homes.count("canary"), 1000, 150)
        without = [split.choose(Request()) for _ in range(100)]
        self.assertEqual(Counter(without), {"stable": 75, "canary": 25})

    def test_growing_canary(self) -> None:
        """More weight for the canary takes clients to it, and none away."""
        before = Split([("stable", 95), ("canary", 5)], on="cookie:id")
        after = Split([("stable", 80), ("canary", 20)], on="cookie:id")
        for number in range(2000):
            if before.choose(user(number)) == "canary":
                self.assertEqual(after.choose(user(number)), "canary")

    def test_zeros(self) -> None:
        """A weight of 0 gets nothing, wherever it stands."""
        split = Split([("a", 0), ("b", 0.1), ("c", 0), ("d", 0.2), ("e", 0)], on="cookie:id")
        self.assertEqual({split.choose(user(number)) for number in range(500)}, {"b", "d"})

    def test_nonsense(self) -> None:
        """Weights that say nothing are refused."""
        for services in ([], [("a", 0)], [("a", 1), ("b", -1)]):
            with self.assertRaises(ValueError):
                Split(services)
        with self.assertRaises(ValueError):
            Split([("a", 1)], on="moon")
