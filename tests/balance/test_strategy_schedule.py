"""The smooth weighted order."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.balance.strategy_case import repeatable
from vegurtx.balance.strategies.schedule import SmoothSchedule

weights = st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any)


def order(schedule: SmoothSchedule, count: int) -> list[int]:
    """The next `count` turns."""
    turns = [schedule.next() for _ in range(count)]
    return [turn for turn in turns if turn is not None]


class Orders(TestCase):
    """Who comes when."""

    def test_known_orders(self) -> None:
        """Interleaved: a b a c a, never a a a b c."""
        for shares, expected in [
            ([3, 1, 1], "abacaabaca"),
            ([2, 4], "babbabbabbab"),
            ([1, 1, 1], "abcabc"),
            ([4], "aaa"),
            ([0, 1, 0, 1], "bdbd"),
            ([0.5, 0.25, 0.25], "abacabac"),
        ]:
            turns = order(SmoothSchedule(shares), len(expected))
            self.assertEqual("".join("abcd"[turn] for turn in turns), expected, shares)

    def test_nobody(self) -> None:
        """Without a weight there is no turn."""
        for shares in ([], [0], [0, 0.0]):
            self.assertIsNone(SmoothSchedule(shares).next())
            self.assertIsNone(SmoothSchedule(shares).next_of(lambda index: True))

    @repeatable
    @given(weights, st.integers(1, 3))
    def test_exact(self, shares: list[int], cycles: int) -> None:
        """Over a cycle everybody has as many turns as the weight says."""
        total = sum(shares)
        counts = Counter(order(SmoothSchedule(shares), cycles * total))
        self.assertEqual([counts[at] for at in range(len(shares))], [cycles * share for share in shares])

    @repeatable
    @given(weights)
    def test_smooth(self, shares: list[int]) -> None:
        """At no time is anybody a whole turn ahead of the share, or behind it."""
        total = sum(shares)
        counts = [0] * len(shares)
        for time, turn in enumerate(order(SmoothSchedule(shares), total), 1):
            counts[turn] += 1
            for count, share in zip(counts, shares, strict=True):
                self.assertLess(abs(count * total - time * share), total + 1e-6)

    @repeatable
    @given(st.lists(st.sampled_from([0.1, 0.2, 0.25, 0.7, 1.5, 3.3]), min_size=1, max_size=6))
    def test_fractions(self, shares: list[float]) -> None:
        """Weights need not be whole."""
        tenths = [round(share * 100) for share in shares]
        counts = Counter(order(SmoothSchedule(shares), sum(tenths)))
        self.assertEqual([counts[at] for at in range(len(shares))], tenths)

    def test_for_long(self) -> None:
        """Nothing is lost to rounding."""
        schedule = SmoothSchedule([3, 7, 11])
        order(schedule, 21 * 2000)
        counts = Counter(order(schedule, 21))
        self.assertEqual([counts[at] for at in range(3)], [3, 7, 11])


class Changes(TestCase):
    """A schedule that takes over from another."""

    @repeatable
    @given(weights, st.integers(0, 50))
    def test_goes_on(self, shares: list[int], before: int) -> None:
        """With the phases of the old one, and the same weights, the order goes on where it was."""
        old = SmoothSchedule(shares)
        order(old, before)
        new = SmoothSchedule(shares, old.phases)
        total = sum(shares)
        counts = Counter(order(new, total))
        for at, share in enumerate(shares):
            self.assertLessEqual(abs(counts[at] - share), 1)

    @repeatable
    @given(st.integers(2, 8), st.integers(1, 40))
    def test_made_anew_each_time(self, count: int, turns: int) -> None:
        """Even a new schedule for each turn leaves nobody out."""
        phases = [0.0] * count
        counts = [0] * count
        for _ in range(turns * count):
            schedule = SmoothSchedule([1] * count, phases)
            counts[order(schedule, 1)[0]] += 1
            phases = schedule.phases
        self.assertEqual(counts, [turns] * count)


class Parts(TestCase):
    """Turns that not everybody may have."""

    def test_passed_over(self) -> None:
        """Who is passed over has the turn later: over the cycle the counts are exact all the same."""
        schedule = SmoothSchedule([1, 1, 1, 1])
        first = schedule.next_of(lambda index: index != 0)
        self.assertEqual([first, *order(schedule, 3)], [1, 0, 2, 3])

    def test_none(self) -> None:
        """Nobody is accepted: nothing changes."""
        schedule = SmoothSchedule([1, 2])
        self.assertIsNone(schedule.next_of(lambda index: False))
        self.assertEqual(order(schedule, 3), order(SmoothSchedule([1, 2]), 3))

    @repeatable
    @given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
    def test_counts(self, refused: list[int]) -> None:
        """Now and then somebody is refused; the counts stay within a turn or two of the shares."""
        schedule = SmoothSchedule([1] * 6)
        counts: Counter[int | None] = Counter()
        for no in refused:
            for accepts in (lambda index, no=no: index != no, lambda index: True, lambda index: True):
                counts[schedule.next_of(accepts)] += 1
        fair = 3 * len(refused) / 6
        for at in range(6):
            # half of the turns refuse nobody, so even one who is always refused has his share in these
            self.assertLessEqual(abs(counts[at] - fair), 2)
