"""How long to wait before something that has ended is started again."""

from __future__ import annotations

#: seconds
FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0
#: seconds of life after which an end is a new story
GOOD_LIFE = 30.0


class Backoff:
    """0.1 s, then twice as long each time, at most 10 s; from the beginning after a life of 30 s."""

    def __init__(self) -> None:
        self._next = FIRST_DELAY

    def delay(self, lived: float) -> float:
        """Seconds to wait now.

        :param lived: how long the one that has ended had lived, in seconds.
        """
        if lived >= GOOD_LIFE:
            self._next = FIRST_DELAY
        delay = self._next
        self._next = min(2 * delay, LONGEST_DELAY)
        return delay
