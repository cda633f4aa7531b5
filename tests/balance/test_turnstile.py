"""At most so many at once, in their order."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from vegurtx.balance.turnstile import Turnstile


class Order(TestCase):
    """Who is let in, and when."""

    def setUp(self) -> None:
        """A turnstile for two, and jobs that note that they were called."""
        self.turnstile = Turnstile(2)
        self.called: list[str] = []
        self.jobs = {name: (lambda name=name: self.called.append(name)) for name in "abcdef"}

    def enter(self, names: str) -> None:
        """These come, one after the other."""
        for name in names:
            self.turnstile.enter(self.jobs[name])

    def test_first_come_first_served(self) -> None:
        """Two at once; each that leaves lets the next one in."""
        self.enter("abcd")
        self.assertEqual(self.called, ["a", "b"])
        self.assertEqual(repr(self.turnstile), "<Turnstile 2/2 inside, 2 waiting>")
        self.turnstile.leave()
        self.assertEqual(self.called, ["a", "b", "c"])
        self.turnstile.leave()
        self.turnstile.leave()
        self.turnstile.leave()
        self.assertEqual((self.called, self.turnstile.inside, len(self.turnstile)), (list("abcd"), 0, 0))

    def test_forget(self) -> None:
        """Who waits may go; who does not wait is not affected."""
        self.enter("abcd")
        self.turnstile.forget(self.jobs["c"])
        self.turnstile.forget(self.jobs["a"])
        self.turnstile.leave()
        self.assertEqual(self.called, ["a", "b", "d"])

    def test_jobs_that_end_at_once(self) -> None:
        """However many: no deeper stack."""
        turnstile = Turnstile(1)
        done: list[int] = []

        def job_of(number: int) -> None:
            def job() -> None:
                done.append(number)
                turnstile.leave()

            turnstile.enter(job)

        turnstile.enter(lambda: None)
        for number in range(5000):
            job_of(number)
        self.assertEqual(done, [])
        turnstile.leave()
        self.assertEqual(done, list(range(5000)))
