"""The retry budget of a service: repetitions are a share of its requests, so that they never add up to a storm.

Nothing is done for a request that is not repeated: the service counts its tries anyway, and the budget looks at that
counter when somebody asks. Finagle's and linkerd's budgets have the same two parts.
"""

from __future__ import annotations

from math import exp

#: seconds over which "recent" requests fade
_WINDOW = 10.0


class RetryBudget:
    """How many tries may be repetitions. Times are the reactor's, in seconds.

    :param share: repetitions for each recent request; 0.2 is one for five.
    :param per_second: repetitions a second that are always allowed, for services with few requests.
    """

    __slots__ = ("_at", "_recent", "_repeated", "_reserve", "_total", "per_second", "share")

    def __init__(self, share: float, per_second: float) -> None:
        self.share = share
        self.per_second = per_second
        self._at: float | None = None
        #: requests and repetitions of the last seconds, fading
        self._recent = 0.0
        self._repeated = 0.0
        self._total = 0
        self._reserve = per_second

    def withdraw(self, now: float, total: int) -> bool:
        """Whether one more repetition is allowed now; if so, it is counted.

        :param total: requests that the service has ever had, without repetitions.
        """
        self._fade(now, total)
        if self._repeated + 1.0 <= self.share * self._recent + 1e-9:
            self._repeated += 1.0
            return True
        if self._reserve >= 1.0:
            self._reserve -= 1.0
            return True
        return False

    def _fade(self, now: float, total: int) -> None:
        elapsed = 0.0 if self._at is None else max(0.0, now - self._at)
        fresh = total - self._total
        self._at, self._total = now, total
        ratio = elapsed / _WINDOW
        kept = exp(-ratio)
        # the new requests came evenly over the time since the last look, and have faded since, each for its part
        self._recent = self._recent * kept + fresh * ((1.0 - kept) / ratio if ratio > 1e-6 else 1.0)
        self._repeated *= kept
        self._reserve = min(max(self.per_second, 1.0), self._reserve + elapsed * self.per_second)

    def __repr__(self) -> str:
        return f"<RetryBudget recent={self._recent:.1f} repeated={self._repeated:.1f} reserve={self._reserve:.1f}>"
