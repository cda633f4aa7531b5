"""The pool's bookkeeping (rule 23): no socket, no clock."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from vegurtx.net.pool import Pool


class Bookkeeping(TestCase):
    """What is put in comes out once, the youngest first."""

    def test_last_in_first_out(self) -> None:
        """Rule 23: the connection used last is taken first."""
        pool: Pool[str] = Pool(10, 10)
        for name in "abc":
            self.assertIsNone(pool.put("k", name, 0))
        self.assertEqual([pool.take("k") for _ in range(4)], ["c", "b", "a", None])
        self.assertEqual(len(pool), 0)

    def test_keys_are_apart(self) -> None:
        """Rule 23: a connection serves its own key only."""
        pool: Pool[str] = Pool(10, 10)
        pool.put("k", "a", 0)
        self.assertIsNone(pool.take("other"))
        self.assertEqual(pool.take("k"), "a")

    def test_bound_for_a_key(self) -> None:
        """Rule 23: one too many for its key, and the oldest of that key goes."""
        pool: Pool[str] = Pool(2, 10)
        self.assertEqual([pool.put("k", name, 0) for name in "abc"], [None, None, "a"])
        self.assertEqual(len(pool), 2)

    def test_bound_in_all(self) -> None:
        """Rule 23: one too many in all, and the oldest of all goes."""
        pool: Pool[str] = Pool(10, 2)
        self.assertEqual([pool.put(name, name, at) for at, name in enumerate("abc")], [None, None, "a"])
        self.assertEqual((len(pool), pool.take("a")), (2, None))

    def test_remove(self) -> None:
        """Rule 23: an idle connection that is gone is forgotten; one that is not idle is not there."""
        pool: Pool[str] = Pool(10, 10)
        pool.put("k", "a", 0)
        pool.put("k", "b", 0)
        self.assertTrue(pool.remove("k", "a"))
        self.assertFalse(pool.remove("k", "a"))
        self.assertFalse(pool.remove("other", "b"))
        self.assertEqual((pool.take("k"), pool.take("k")), ("b", None))

    def test_expired(self) -> None:
        """Rule 23: those idle since then or longer, and no other."""
        pool: Pool[str] = Pool(10, 10)
        for at, name in enumerate("abc"):
            pool.put("k", name, at)
        self.assertEqual(pool.expired(1), ["a", "b"])
        self.assertEqual((pool.expired(1), list(pool)), ([], ["c"]))

    def test_repr(self) -> None:
        """The pool says what it holds."""
        pool: Pool[str] = Pool(10, 10)
        pool.put("k", "a", 0)
        self.assertEqual(repr(pool), "<Pool of 1 idle: {'k': 1}>")

    @given(st.lists(st.tuples(st.sampled_from(["put", "take", "remove", "expire"]), st.integers(0, 3))))
    def test_nothing_is_lost(self, steps: list[tuple[str, int]]) -> None:
        """Whatever happens: what went in is inside or came out once, and the size is right and bounded."""
        pool: Pool[int] = Pool(2, 5)
        put: list[int] = []
        out: Counter[int] = Counter()
        for now, (step, key) in enumerate(steps):
            if step == "put":
                put.append(now)
                surplus = pool.put(key, now, now)
                out.update([] if surplus is None else [surplus])
            elif step == "take":
                taken = pool.take(key)
                out.update([] if taken is None else [taken])
            elif step == "remove" and put:
                out.update([put[0]] if any(pool.remove(k, put[0]) for k in range(4)) else [])
            elif step == "expire":
                out.update(pool.expired(now - 3))
        inside = list(pool)
        self.assertEqual(len(pool), len(inside))
        self.assertLessEqual(len(pool), 5)
        self.assertEqual(out + Counter(inside), Counter(put))
