"""Faults that break a connection: ends at a certain byte, and peers that are there no more without having said so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vegurtx.testing.faults.stage import HELD, Lane, Stage

End = Literal["fin", "reset", "half"]


@dataclass(frozen=True)
class Cut:
    """Behind `at` bytes of this direction the connection ends.

    :param at: bytes that are passed on before; 0 ends it when the first byte comes.
    :param end: ``"fin"``: in order, in both directions, as by a program that closes; ``"reset"``: with a RST to both
        sides; ``"half"``: this direction alone in order, the other one goes on.
    """

    at: int
    end: End = "fin"

    def stage(self, lane: Lane) -> Stage:
        """See `Fault`."""
        return _Cutting(lane, self.at, self.end)


@dataclass(frozen=True)
class Stall:
    """Behind `at` bytes nothing of this direction comes through any more, and it does not end either.

    In both directions this is a half-open connection: the other peer is gone, and nobody has said so. What its sender
    still says is taken until the buffers on the way are full.
    """

    at: int = 0

    def stage(self, lane: Lane) -> Stage:
        """See `Fault`."""
        return _Stalling(lane, self.at)


class _Cutting(Stage):
    """Counts down to the end."""

    def __init__(self, lane: Lane, at: int, end: End) -> None:
        super().__init__(lane)
        self._left = at
        self._end: End = end
        self._done = False

    def feed(self, data: bytes) -> None:
        """Pass on what is before the cut."""
        if self._done:
            return
        piece = data[: self._left]
        self._left -= len(piece)
        if piece:
            self.onward.pass_on(piece)
        if not self._left:
            self._done = True
            if self._end == "half":
                self.onward.pass_end()
            else:
                self.lane.cut(self._end)

    def end(self) -> None:
        """The sender was faster."""
        if not self._done:
            self._done = True
            self.onward.pass_end()


class _Stalling(Stage):
    """Counts down to the silence."""

    def __init__(self, lane: Lane, at: int) -> None:
        super().__init__(lane)
        self._left = at
        self._holds = False

    def feed(self, data: bytes) -> None:
        """Pass on what is before the silence; keep nothing of the rest."""
        piece = data[: self._left]
        self._left -= len(piece)
        if piece:
            self.onward.pass_on(piece)
        if len(piece) < len(data) and not self._holds:
            self._holds = True
            self.lane.hold(HELD + 1)  # never given back: the sender is not read any more

    def end(self) -> None:
        """Nobody is told."""
