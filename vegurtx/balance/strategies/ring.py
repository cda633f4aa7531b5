"""A hash ring: who is near a point of a circle, so that a key keeps its owner while others come and go.

Each member has points on the circle, more of them with more weight; a key belongs to the member whose point follows
it. A member that goes leaves its keys to those whose points follow its own, and nobody else's keys move (Karger and
others, 1997).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from math import floor, log2
from struct import Struct

#: points of a member of mean weight: 96 to 192, which keeps shares within about a tenth of the fair one
_POINTS = 192
#: on the whole ring; with very many members each has fewer
_MOST_POINTS = 262_144
#: the bits of a member's index
_OWNER = 2**20 - 1

_unpack = Struct(">8Q").unpack


class Ring:
    """The circle of 2**64 points.

    :param members: ``(name, weight)``, a million at the most; the points depend on the name alone, and how many
        there are on the weight. A weight of 0: no point.
    """

    __slots__ = ("_marks",)

    def __init__(self, members: Sequence[tuple[bytes, float]]) -> None:
        scale = _scale([weight for _, weight in members if weight])
        #: points, with their owner's index in the lowest bits
        self._marks: list[int] = []
        for owner, (name, weight) in enumerate(members):
            if weight:
                count = max(1, round(weight * scale))
                self._marks.extend([point & ~_OWNER | owner for point in _points_of(name, count)])
        self._marks.sort()

    def __len__(self) -> int:
        return len(self._marks)

    def owner(self, point: int) -> int:
        """The index of the member that `point` belongs to. The ring must not be empty."""
        marks = self._marks
        at = bisect_left(marks, point)
        return marks[at if at < len(marks) else 0] & _OWNER

    def owners(self, point: int, most: int) -> Iterator[int]:
        """The members' indices in the order in which they follow `point`, with repetitions, `most` steps far."""
        marks = self._marks
        at = bisect_left(marks, point)
        count = len(marks)
        for step in range(at, at + min(most, count)):
            yield marks[step % count] & _OWNER


def _scale(weights: Sequence[float]) -> float:
    """Points for a weight of 1: a power of two.

    So the points of those who stay are the same when somebody of another weight comes or goes, nearly always.
    """
    if not weights:
        return 1.0
    points = min(_POINTS, _MOST_POINTS / len(weights))
    return 2.0 ** floor(log2(points * len(weights) / sum(weights)))


def _points_of(name: bytes, count: int) -> list[int]:
    """The first `count` points of an endless sequence."""
    points: list[int] = []
    for number in range((count + 7) // 8):
        points.extend(_unpack(blake2b(b"%d\0%b" % (number, name)).digest()))
    return points[:count]
