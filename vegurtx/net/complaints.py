"""Log lines about back-ends which every request could repeat: each is written now and then, not each time."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

log = Logger()

#: seconds between two lines that are the same
PAUSE = 60.0
#: how many lines are remembered; when there are more, all are forgotten, and may come again
REMEMBERED = 256


class Complaints:
    """What is wrong with back-ends, for the operator's eyes.

    :param seconds: the reactor's clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._said: dict[tuple[str, str], float] = {}

    def __call__(self, where: str, problem: str) -> None:
        """Log one line, unless the same was logged less than `PAUSE` seconds ago.

        :param where: the back-end, as its router names it.
        :param problem: one line; whatever of it a peer has said is escaped already.
        """
        now = self._seconds()
        before = self._said.get((where, problem))
        if before is not None and now - before < PAUSE:
            return
        if len(self._said) >= REMEMBERED:
            self._said.clear()
        self._said[where, problem] = now
        log.warn("back-end {where}: {problem}", where=where, problem=problem)
