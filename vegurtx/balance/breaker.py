"""The circuit breaker of a service: after too many errors it gets no requests for a while, then a few on trial.

    CLOSED ──`errors` within `window`──► OPEN ──after `open_for`──► HALF_OPEN ──all trials good──► CLOSED
                                          ▲                             │
                                          └────────one trial bad────────┘

No timer: an open circuit is looked at when the next request comes.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from itertools import count

#: one number for each state that a circuit was ever in; 0 is none
_terms = count(1)


class CircuitState(Enum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class CircuitBreaker:
    """One service's circuit. Times are the reactor's, in seconds.

    :param errors: failed tries within `window` that open it.
    :param window: seconds.
    :param open_for: seconds that it stays open.
    :param half_open: requests let through on trial; all of them must succeed to close it.
    """

    __slots__ = (
        "_failures",
        "_good",
        "_opened",
        "_running",
        "errors",
        "half_open",
        "open_for",
        "state",
        "term",
        "window",
    )

    def __init__(self, errors: int, window: float, open_for: float, half_open: int) -> None:
        self.errors = errors
        self.window = window
        self.open_for = open_for
        self.half_open = half_open
        self.state = CircuitState.CLOSED
        #: the number of the present state: a try's end counts only in the state in which it began
        self.term = next(_terms)
        self._opened = 0.0
        #: when the last tries failed; never more than `errors` of them
        self._failures: deque[float] = deque(maxlen=errors)
        self._running = 0
        self._good = 0

    def admits(self, now: float) -> bool:
        """Whether a request may go to the service now. Opens halfway when the time has come."""
        if self.state is CircuitState.CLOSED:
            return True
        if self.state is CircuitState.OPEN:
            if now - self._opened < self.open_for:
                return False
            self._enter(CircuitState.HALF_OPEN)
        return self._running + self._good < self.half_open

    def began(self) -> int:
        """A try begins, which `admits` has allowed. Returns the term, to be given to `ended`."""
        self._running += 1
        return self.term

    def ended(self, term: int, good: bool | None, now: float) -> None:
        """A try that began in `term` has ended. `good` is ``None`` where the replica cannot be judged by it."""
        if term != self.term:
            return
        self._running -= 1
        if good is None:
            return
        if self.state is CircuitState.HALF_OPEN:
            if not good:
                self._open(now)
                return
            self._good += 1
            if self._good == self.half_open:
                self._enter(CircuitState.CLOSED)
        elif not good:
            failures = self._failures
            failures.append(now)
            while now - failures[0] > self.window:
                failures.popleft()
            if len(failures) == self.errors:
                self._open(now)

    def _open(self, now: float) -> None:
        self._opened = now
        self._enter(CircuitState.OPEN)

    def _enter(self, state: CircuitState) -> None:
        self.state = state
        self.term = next(_terms)
        self._running = self._good = 0
        self._failures.clear()

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.state.value} failures={len(self._failures)}>"
