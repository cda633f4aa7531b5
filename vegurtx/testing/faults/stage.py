"""What every fault is made of: a stage through which one direction's bytes pass.

A direction is a row of stages between two sockets. Each hands bytes on to the next one, at once or later; what it keeps
meanwhile counts as held, and past a bound the sender is not read any more: a slow network is slow for both of its ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

#: bytes that a direction holds back before its sender has to wait
HELD = 65536


class Fault(Protocol):
    """A fault in a script: it knows how to begin. The classes of this package are all there are."""

    def stage(self, lane: Lane) -> Stage:
        """Return a new stage for one direction of one connection."""


class Stage:
    """Passes everything on, at once; the faults' stages differ from it.

    :param lane: the direction that it is a part of.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        #: what comes behind it
        self.onward: Stage | Lane = lane

    def feed(self, data: bytes) -> None:
        """Bytes have come."""
        self.onward.pass_on(data)

    def end(self) -> None:
        """The sender has ended its direction in order."""
        self.onward.pass_end()

    def stop(self) -> None:
        """The connection is over: leave no delayed call."""

    # what a stage says to the one behind it, and the last one to the lane
    def pass_on(self, data: bytes) -> None:
        """See `feed`."""
        self.feed(data)

    def pass_end(self) -> None:
        """See `end`."""
        self.end()


class Lane:
    """One direction of one connection.

    :param clock: the reactor: ``seconds`` and ``callLater``.
    :param faults: in the order in which bytes meet them.
    :param deliver: takes bytes that have come through.
    :param finish: is told when the end of the direction has come through.
    :param cut: ends the whole connection, ``"fin"`` or ``"reset"``.
    :param regulate: is told when `full` has changed.
    """

    def __init__(
        self,
        clock: Any,
        faults: Sequence[Fault],
        deliver: Callable[[bytes], None],
        finish: Callable[[], None],
        cut: Callable[[str], None],
        regulate: Callable[[], None],
    ) -> None:
        self.clock = clock
        self.pass_on = deliver
        self.pass_end = finish
        self.cut = cut
        #: how many bytes have come from the sender
        self.taken = 0
        #: whether so much is kept that the sender must wait
        self.full = False
        self._regulate = regulate
        self._held = 0
        self._stages = [fault.stage(self) for fault in faults] or [Stage(self)]
        for before, behind in zip(self._stages, self._stages[1:], strict=False):
            before.onward = behind

    def feed(self, data: bytes) -> None:
        """Bytes from the sender."""
        self.taken += len(data)
        self._stages[0].feed(data)

    def end(self) -> None:
        """The sender has ended its direction in order."""
        self._stages[0].end()

    def hold(self, size: int) -> None:
        """A stage keeps `size` bytes more, or (negative) fewer."""
        self._held += size
        if (self._held > HELD) is not self.full:
            self.full = not self.full
            self._regulate()

    def stop(self) -> None:
        """The connection is over."""
        for stage in self._stages:
            stage.stop()
