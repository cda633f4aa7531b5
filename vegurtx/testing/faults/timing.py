"""Faults of time: bytes that come late, or slowly. None is lost."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from vegurtx.testing.faults.stage import Lane, Stage

#: seconds between the pieces of a `Bandwidth`
TICK = 0.02


@dataclass(frozen=True)
class Latency:
    """Every byte, and the end, comes `seconds` later. Order is kept."""

    seconds: float

    def stage(self, lane: Lane) -> Stage:
        """See `Fault`."""
        return _Late(lane, self.seconds)


@dataclass(frozen=True)
class Drip:
    """At most `size` bytes every `every` seconds, the first ones at once. The end comes behind the last byte."""

    size: int
    every: float

    def stage(self, lane: Lane) -> Stage:
        """See `Fault`."""
        return _Dripping(lane, self.size, self.every)


@dataclass(frozen=True)
class Bandwidth:
    """At most `rate` bytes a second, in pieces of a fiftieth of a second (at least one byte each)."""

    rate: int

    def stage(self, lane: Lane) -> Stage:
        """See `Fault`."""
        size = max(1, int(self.rate * TICK))
        return _Dripping(lane, size, size / self.rate)


class _Late(Stage):
    """Keeps each segment for a while."""

    def __init__(self, lane: Lane, seconds: float) -> None:
        super().__init__(lane)
        self._seconds = seconds
        self._waiting: deque[tuple[float, bytes | None]] = deque()  # None: the end
        self._call: Any = None

    def feed(self, data: bytes) -> None:
        """Keep `data`."""
        self.lane.hold(len(data))
        self._keep(data)

    def end(self) -> None:
        """Keep the end."""
        self._keep(None)

    def _keep(self, what: bytes | None) -> None:
        clock = self.lane.clock
        self._waiting.append((clock.seconds() + self._seconds, what))
        if self._call is None:
            self._call = clock.callLater(self._seconds, self._due)

    def _due(self) -> None:
        self._call = None
        clock = self.lane.clock
        while self._waiting and self._waiting[0][0] <= clock.seconds():
            _, what = self._waiting.popleft()
            if what is None:
                self.onward.pass_end()
            else:
                self.lane.hold(-len(what))
                self.onward.pass_on(what)
        if self._waiting and self._call is None:
            self._call = clock.callLater(max(0.0, self._waiting[0][0] - clock.seconds()), self._due)

    def stop(self) -> None:
        """Forget what is kept."""
        self._waiting.clear()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()


class _Dripping(Stage):
    """Lets a few bytes through at a time."""

    def __init__(self, lane: Lane, size: int, every: float) -> None:
        super().__init__(lane)
        self._size = size
        self._every = every
        self._waiting = bytearray()
        self._ended = False
        self._call: Any = None

    def feed(self, data: bytes) -> None:
        """Let the first of it through, if it is time."""
        self.lane.hold(len(data))
        self._waiting += data
        if self._call is None:
            self._drop()

    def end(self) -> None:
        """The end comes behind what waits."""
        self._ended = True
        if not self._waiting:
            self.onward.pass_end()

    def _drop(self) -> None:
        self._call = None
        if not self._waiting:
            return
        drop = bytes(self._waiting[: self._size])
        del self._waiting[: self._size]
        self._call = self.lane.clock.callLater(self._every, self._drop)
        self.lane.hold(-len(drop))
        self.onward.pass_on(drop)
        if self._ended and not self._waiting:
            self.onward.pass_end()

    def stop(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()
