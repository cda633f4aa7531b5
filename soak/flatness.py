"""Whether what the proxy holds stays flat. Only quiet points count, when there is no load and nothing goes on.

A process's first quiet points are its warm-up: caches fill, modules are imported. Then two things must hold. At each
quiet point descriptors and objects are back at the baseline, but for a slack. And a straight line through all quiet
points (least squares) rises by no more than a bound from the first to the last one; many small steps show there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from soak.measure import Held

#: points from which on a line is fitted: fewer say nothing
FEWEST = 4


class Bounds(NamedTuple):
    """What is flat enough."""

    descriptors: int = 2
    """More than at the baseline."""
    objects: int = 40
    """Of one class, more than at the baseline."""
    memory: int = 6 << 20
    """Bytes by which the line may rise."""
    everything: int = 4000
    """Objects of all kinds by which the line may rise: their number is what a leak shows in first."""


FLAT = Bounds()


def rise(points: Sequence[tuple[float, float]]) -> float:
    """Return by how much the line through the points (time, value) rises from the first to the last; least squares."""
    count = len(points)
    middle = sum(at for at, _ in points) / count
    mean = sum(value for _, value in points) / count
    spread = sum((at - middle) ** 2 for at, _ in points)
    if not spread:
        return 0.0
    slope = sum((at - middle) * (value - mean) for at, value in points) / spread
    return slope * (points[-1][0] - points[0][0])


def growth(name: str, series: Sequence[Held], bounds: Bounds = FLAT) -> list[str]:
    """Judge one process's quiet points.

    :param name: how findings call the process.
    :param series: in their order, the first one being the baseline.
    :returns: what is not flat, a line each.
    """
    if len(series) < 2:
        return []
    base = series[0]
    found = []
    for point in series[1:]:
        if point.open > base.open + bounds.descriptors:
            found.append(
                f"{name} holds {point.open} descriptors after {point.at:.0f} s, {base.open} after {base.at:.0f} s: "
                f"{point.descriptors}, {base.descriptors} before"
            )
            break
    found += _more_objects(name, base, series[-1], bounds)
    if len(series) >= FEWEST:
        found += _rises(name, series, bounds)
    return found


def _more_objects(name: str, base: Held, last: Held, bounds: Bounds) -> list[str]:
    return [
        f"{name} holds {count} objects of {kind} after {last.at:.0f} s, "
        f"{base.objects.get(kind, 0)} after {base.at:.0f} s"
        for kind, count in sorted(last.objects.items())
        if not kind.startswith("(") and count > base.objects.get(kind, 0) + bounds.objects
    ]


def _rises(name: str, series: Sequence[Held], bounds: Bounds) -> list[str]:
    found = []
    judged: tuple[tuple[str, Callable[[Held], float], float], ...] = (
        ("memory", lambda point: point.memory, bounds.memory),
        ("the number of objects", lambda point: point.objects.get("(everything)", 0), bounds.everything),
        ("the number of descriptors", lambda point: point.open, bounds.descriptors),
    )
    for what, value, bound in judged:
        risen = rise([(point.at, value(point)) for point in series])
        if risen > bound:
            values = ", ".join(f"{value(point):.0f}" for point in series)
            found.append(f"{name}: {what} rises by {risen:.0f} (allowed: {bound}): {values}")
    return found
