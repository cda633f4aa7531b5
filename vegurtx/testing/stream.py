"""The record of what one peer received: all bytes, where each segment ended, and how far the script has
read.
"""

from __future__ import annotations


class Stream:
    """Bytes in the order they came, kept for ever, with a reading position.

    One buffer serves as record and as input, so that a test which receives megabytes does not hold them
    twice.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._ends: list[int] = []
        self._read = 0
        self._searched: tuple[bytes, int] = (b"", 0)

    def __len__(self) -> int:
        """Bytes that have come and were not consumed."""
        return len(self._data) - self._read

    @property
    def position(self) -> int:
        """How many bytes were consumed."""
        return self._read

    def back_to(self, position: int) -> None:
        """Consume what is behind `position` once more."""
        self._read = position

    def add(self, segment: bytes) -> None:
        """A segment has arrived."""
        self._data += segment
        self._ends.append(len(self._data))

    def all(self) -> bytes:
        """Everything that ever came."""
        return bytes(self._data)

    def total(self) -> int:
        """How many bytes ever came."""
        return len(self._data)

    def segments(self) -> list[bytes]:
        """Everything, cut where it arrived."""
        starts = [0, *self._ends]
        return [bytes(self._data[start:end]) for start, end in zip(starts, self._ends, strict=False)]

    def unread(self) -> bytes:
        """What was not consumed."""
        return bytes(self._data[self._read :])

    def peek(self, size: int) -> bytes:
        """The first `size` of these bytes, or fewer."""
        return bytes(self._data[self._read : self._read + size])

    def take(self, size: int) -> bytes | None:
        """Consume exactly `size` bytes; `None` while there are fewer."""
        if len(self) < size:
            return None
        taken = self.peek(size)
        self._read += size
        return taken

    def take_until(self, marker: bytes) -> bytes | None:
        """Consume everything up to the end of `marker`; `None` while it has not come."""
        # Where this marker was looked for before, only what is new needs a look: else a slow sender costs
        # squares.
        searched_for, searched_to = self._searched
        start = max(self._read, searched_to - len(marker) + 1) if searched_for == marker else self._read
        found = self._data.find(marker, start)
        if found < 0:
            self._searched = (marker, len(self._data))
            return None
        return self.take(found + len(marker) - self._read)
