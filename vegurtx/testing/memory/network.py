"""What is on its way between the proxy and its peers, and the clock: nothing moves unless a test says so.

A real network hands over bytes in later turns of a reactor. Here each of these is a step in a queue, and `settle` takes
step after step until none is left. So a test is plain code: it says something, and what follows from it has happened
when the call returns, in the same order each time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.task import Clock

from vegurtx.testing.errors import ConversationError

if TYPE_CHECKING:
    from vegurtx.testing.memory.transport import MemoryTransport

#: steps after which a conversation that never comes to rest is given up
STEPS = 1_000_000


class Network:
    """The steps that are to be taken, and who is connected.

    :param clock: the time; it stands still but for `advance`.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lines: list[str] = []
        """The transcript so far."""
        self.open: list[MemoryTransport] = []
        """The proxy's ends of all connections that it has not been told the end of."""
        self.failures: list[BaseException] = []
        """What went wrong in scripts that play by themselves; `settle` raises the first one."""
        self._steps: deque[Callable[[], Any]] = deque()
        self._settling = False

    def later(self, step: Callable[[], Any]) -> None:
        """Take `step` behind those that wait already."""
        self._steps.append(step)

    def note(self, line: str) -> None:
        """Something happened."""
        self.lines.append(line)

    def settle(self) -> None:
        """Let everything that is on its way arrive, and what follows from it; the time stands still.

        Raises what a back-end's handler or a delayed call raised, and `ConversationError` where there is no end.
        """
        if (
            self._settling
        ):  # a script that plays by itself, or a callback of the router's: the steps go on anyway
            return
        self._settling = True
        try:
            self._take_steps()
        finally:
            self._settling = False
        if self.failures:
            raise self.failures.pop(0)

    def _take_steps(self) -> None:
        for _ in range(STEPS):
            if self._steps:
                self._steps.popleft()()
            elif self._due() <= self.clock.seconds():
                self.clock.advance(0)
            else:
                return
        raise ConversationError(f"the conversation has not come to rest after {STEPS} steps")

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass: each delayed call is called at its own time, and what follows from it has happened then.

        Raises `ValueError` where `seconds` is negative, and as `settle`.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds!r}")
        clock = self.clock
        self.settle()
        end = clock.seconds() + seconds
        while (due := self._due()) <= end:
            # set, not added: the sum of two floats may fall short of the time that a call is due
            clock.rightNow = due
            self.settle()
        clock.rightNow = end

    def _due(self) -> float:
        """When the next delayed call is due."""
        return min((call.getTime() for call in self.clock.getDelayedCalls()), default=float("inf"))
