"""At most so many jobs at once; the rest wait in line. Bookkeeping only: no socket, no clock.

Probes and name look-ups go through one each, so that a thousand replicas never mean a thousand sockets at once.
"""

from __future__ import annotations

from collections.abc import Callable

Job = Callable[[], None]


class Turnstile:
    """Lets `limit` jobs in at once, in the order in which they came.

    :param limit: 1 or more.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[Job, None] = {}  # a dict keeps the order, and forgets one in the middle at once
        self._letting_in = False
        #: jobs that are inside
        self.inside = 0

    def enter(self, job: Job) -> None:
        """Call `job` now, or when its turn has come. Each job that was called is to `leave` once."""
        self._waiting[job] = None
        self._let_in()

    def leave(self) -> None:
        """A job that was called is done."""
        self.inside -= 1
        self._let_in()

    def forget(self, job: Job) -> None:
        """A job that still waits will not come; one that does not wait is none of our business."""
        self._waiting.pop(job, None)

    def _let_in(self) -> None:
        if self._letting_in:  # a job that ends at once brings us here again: the loop below goes on
            return
        self._letting_in = True
        try:
            while self._waiting and self.inside < self._limit:
                job = next(iter(self._waiting))
                del self._waiting[job]
                self.inside += 1
                job()
        finally:
            self._letting_in = False

    def __len__(self) -> int:
        return len(self._waiting)

    def __repr__(self) -> str:
        return f"<Turnstile {self.inside}/{self._limit} inside, {len(self)} waiting>"
