"""The retry budget: repetitions never add up to a storm."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from vegurtx.balance.budget import RetryBudget


class Share(TestCase):
    """Repetitions as a share of the recent requests."""

    def test_share(self) -> None:
        """Of a hundred requests a fifth may be repeated."""
        budget = RetryBudget(0.2, 0)
        allowed = sum(budget.withdraw(0.0, 100) for _ in range(100))
        self.assertEqual(allowed, 20)

    def test_as_they_come(self) -> None:
        """When every request fails, one in five is repeated, evenly."""
        budget = RetryBudget(0.2, 0)
        allowed = [total for total in range(1, 101) if budget.withdraw(total * 0.001, total)]
        self.assertEqual(len(allowed), 19)
        self.assertLessEqual(max(b - a for a, b in pairwise(allowed)), 6)

    def test_old_requests_fade(self) -> None:
        """Requests of long ago pay for nothing."""
        budget = RetryBudget(0.2, 0)
        budget.withdraw(0.0, 0)
        self.assertTrue(budget.withdraw(1.0, 1000))
        self.assertFalse(budget.withdraw(200.0, 1000))

    def test_old_repetitions_fade(self) -> None:
        """What was repeated long ago does not count against the present."""
        budget = RetryBudget(0.2, 0)
        self.assertEqual(sum(budget.withdraw(0.0, 100) for _ in range(100)), 20)
        self.assertEqual(sum(budget.withdraw(100.0, 210) for _ in range(100)), 2)

    def test_requests_of_a_long_calm_time(self) -> None:
        """Without repetitions for an hour, those of the last seconds count, and not the whole hour's."""
        budget = RetryBudget(0.1, 0)
        budget.withdraw(0.0, 0)
        allowed = sum(budget.withdraw(3600.0, 36_000) for _ in range(1000))
        self.assertEqual(allowed, 10)  # a tenth of ten requests a second over ten seconds


class Reserve(TestCase):
    """Repetitions that are always allowed."""

    def test_a_second(self) -> None:
        """A service with few requests may repeat some each second; what it does not use is not saved up."""
        budget = RetryBudget(0.0, 3)
        for now in (0.0, 1.0, 100.0):
            self.assertEqual(sum(budget.withdraw(now, 0) for _ in range(10)), 3)

    def test_less_than_one_a_second(self) -> None:
        """A rate below one a second works, too."""
        budget = RetryBudget(0.0, 0.5)
        self.assertEqual(
            [budget.withdraw(now, 0) for now in (0.0, 1.0, 2.0, 3.0)], [False, True, False, True]
        )

    def test_none(self) -> None:
        """Both at 0: nothing is repeated."""
        budget = RetryBudget(0.0, 0)
        self.assertFalse(any(budget.withdraw(float(now), now * 100) for now in range(10)))


class Always(TestCase):
    """Whatever happens."""

    @given(
        share=st.floats(0, 1),
        rate=st.floats(0, 50),
        steps=st.lists(st.tuples(st.floats(0, 30), st.integers(0, 50), st.integers(0, 20)), max_size=40),
    )
    def test_never_more_than_its_parts(
        self, share: float, rate: float, steps: list[tuple[float, int, int]]
    ) -> None:
        """Over any time there are no more repetitions than the share of all requests and the rate allow together."""
        budget = RetryBudget(share, rate)
        now, total, allowed = 0.0, 0, 0
        for seconds, requests, tries in steps:
            now += seconds
            total += requests
            allowed += sum(budget.withdraw(now, total) for _ in range(tries))
            self.assertLessEqual(allowed, share * total * 1.0 + rate * now + max(rate, 1.0) + 1e-6)
