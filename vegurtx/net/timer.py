"""A connection's one timer, re-armed lazily.

A proxy moves deadlines several times a request, and hardly ever does one pass. So a deadline here is two attributes
that are assigned, and one delayed call per connection wakes now and then, looks at them, and goes to sleep again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: the limit of a phase that may last as long as it wants
FOREVER = float("inf")
#: seconds between two calls of what watches
WATCH = 1.0


class Timer:
    """Calls `expired` once `limit` seconds have passed since `since`.

    :param reactor: gives the time (`seconds`) and the delayed call.
    :param expired: called without arguments when the deadline passes; the timer is off then.
    :param rest: how long the delayed call sleeps at the most, in seconds. With the shortest of the usual limits, a
        move to any of them never needs another delayed call.
    """

    __slots__ = ("_call", "_expired", "_reactor", "_rest", "_wake", "limit", "since", "watch")

    def __init__(self, reactor: Any, expired: Callable[[], None], rest: float = FOREVER) -> None:
        self._reactor = reactor
        self._expired = expired
        self._rest = rest
        self._call: Any = None
        self._wake = FOREVER
        #: the time (of the reactor) from which the limit counts; assign it to keep the connection alive
        self.since = 0.0
        self.limit = FOREVER
        #: called every `WATCH` seconds until it is None again, whatever the deadline is; see `watch_with`
        self.watch: Callable[[], None] | None = None

    def set(self, since: float, limit: float) -> None:
        """A new phase: it may last `limit` seconds from `since`."""
        self.since = since
        self.limit = limit
        if since + limit < self._wake:
            self._sleep_until(min(since + limit, since + self._rest))

    def watch_with(self, watch: Callable[[], None]) -> None:
        """Call `watch` every `WATCH` seconds. Assign None to `watch` to have it end: that costs nothing, nor does
        beginning again before the delayed call has come.
        """
        self.watch = watch
        self._wake_within(WATCH)

    def _wake_within(self, seconds: float) -> None:
        wake = self._reactor.seconds() + seconds
        if wake < self._wake:
            self._sleep_until(wake)

    def stop(self) -> None:
        """No deadline ever again, and no delayed call left behind; a `set` from now on is for nobody."""
        self.watch = None
        self.limit = FOREVER
        self._wake = -FOREVER  # no deadline is before it
        self._expired = _nobody  # the timer and its owner keep each other alive no longer
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _sleep_until(self, wake: float) -> None:
        self._wake = wake
        call = self._call
        delay = max(0.0, wake - self._reactor.seconds())
        if call is not None:
            call.reset(delay)
        else:
            self._call = self._reactor.callLater(delay, self._look)

    def _look(self) -> None:
        self._call = None
        self._wake = FOREVER
        now = self._reactor.seconds()
        due = self.since + self.limit
        if now >= due:
            self.limit = FOREVER
            self._expired()
        elif due < FOREVER:
            self._sleep_until(min(due, now + self._rest))
        if self.watch is not None:
            self._wake_within(WATCH)
            self.watch()


def _nobody() -> None:
    """Whom a stopped timer tells."""
