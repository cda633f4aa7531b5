"""When something was going on that excuses a broken request: a process that was killed, a worker that drained.

Whoever is about to do such a thing says so first, and waits for the answer: no request is hit before it is known.
"""

from __future__ import annotations

from collections import deque
from time import monotonic

#: windows of one name that are remembered; a request lasts less long than these many
_KEPT = 64
#: seconds by which a window is longer than what goes on in it: news travels slowly on a busy machine
GRACE = 1.0


class Windows:
    """By name, what goes on and what has gone on lately."""

    def __init__(self) -> None:
        self._ended: dict[str, deque[tuple[float, float]]] = {}
        self._open: dict[str, list[float]] = {}

    def begin(self, name: str) -> None:
        """From now on."""
        self._open.setdefault(name, []).append(monotonic())

    def end(self, name: str) -> None:
        """It is over; of several of the same name the first that has begun."""
        began = self._open[name].pop(0)
        self._ended.setdefault(name, deque(maxlen=_KEPT)).append((began, monotonic() + GRACE))

    def touch(self, name: str, began: float) -> bool:
        """Return whether anything of this name went on between `began` (`time.monotonic`) and now."""
        return bool(self._open.get(name)) or any(end >= began for _, end in self._ended.get(name, ()))
