"""How many of the last requests failed: counts in a ring of buckets, so that memory is bounded whatever the load."""

from __future__ import annotations

_BUCKETS = 10


class Window:
    """Requests and errors of the last `seconds`, to a tenth of that.

    :param seconds: how far back it looks; more than 0.
    """

    __slots__ = ("_bad", "_good", "_newest", "_width", "errors", "requests")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / _BUCKETS
        self._good = [0] * _BUCKETS
        self._bad = [0] * _BUCKETS
        self._newest = 0
        #: in the whole window, as of the last `add`
        self.requests = 0
        self.errors = 0

    def add(self, ok: bool, now: float) -> None:
        """A request has ended, at the reactor's time `now`."""
        bucket = int(now / self._width)
        if bucket > self._newest:
            self._advance(bucket)
        self.requests += 1
        if ok:
            self._good[bucket % _BUCKETS] += 1
        else:
            self.errors += 1
            self._bad[bucket % _BUCKETS] += 1

    def clear(self) -> None:
        """Forget everything."""
        self._good = [0] * _BUCKETS
        self._bad = [0] * _BUCKETS
        self.requests = self.errors = 0

    def _advance(self, bucket: int) -> None:
        """Empty the buckets between the newest one and `bucket`: their turn comes again."""
        for passed in range(max(self._newest + 1, bucket - _BUCKETS + 1), bucket + 1):
            place = passed % _BUCKETS
            self.errors -= self._bad[place]
            self.requests -= self._good[place] + self._bad[place]
            self._good[place] = self._bad[place] = 0
        self._newest = bucket

    def __repr__(self) -> str:
        return f"<Window {self.errors}/{self.requests}>"
