"""The soak finds leaks: descriptors, objects and memory that do not come back, and what grows slowly."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from soak.flatness import FLAT, growth, rise
from soak.measure import Held

MIB = 1 << 20


def point(at: float, memory: float = 40.0, sockets: int = 12, **objects: int) -> Held:
    """What a process holds: `memory` in MiB."""
    counts = {"(everything)": 70000, "(garbage)": 0, **objects}
    return Held(at, int(memory * MIB), 0, {"socket": sockets, "file": 3}, counts)


class Flatness(TestCase):
    """Series of quiet points."""

    def test_flat(self) -> None:
        """A little up and down is flat."""
        series = [point(120.0 * n, 40 + n % 3, 12 + n % 2, Request=n % 5) for n in range(30)]
        self.assertEqual(growth("p", series), [])

    def test_descriptors(self) -> None:
        """Descriptors that are not given back are found."""
        (found,) = growth("p", [point(0), point(120, sockets=12 + FLAT.descriptors + 1)])
        self.assertIn("p holds 18 descriptors after 120 s, 15 after 0 s", found)

    def test_objects(self) -> None:
        """A class with more objects than at the baseline is named."""
        (found,) = growth("p", [point(0, Request=5), point(120, Request=5 + FLAT.objects + 1)])
        self.assertIn("objects of Request after 120 s, 5 after 0 s", found)

    def test_new_class(self) -> None:
        """So is one that had none at the baseline."""
        self.assertEqual(len(growth("p", [point(0), point(120, Relay=FLAT.objects + 1)])), 1)

    def test_memory(self) -> None:
        """Memory that grows by a little at each point is found, if it is more than the bound in all."""
        series = [point(120.0 * n, 40 + 0.3 * n) for n in range(30)]
        (found,) = growth("p", series)
        self.assertIn("memory rises", found)

    def test_step(self) -> None:
        """One step within the bound is no leak."""
        self.assertEqual(growth("p", [point(120.0 * n, 40 if n < 3 else 42) for n in range(30)]), [])

    def test_everything(self) -> None:
        """So are objects of any kind, such as plain dicts and lists."""
        series = [point(120.0 * n, **{"(everything)": 70000 + 200 * n}) for n in range(30)]
        self.assertIn("the number of objects rises by 5800", growth("p", series)[0])

    def test_line(self) -> None:
        """The line's rise is that of the points, where they are on one; a peak in the middle is none."""
        self.assertAlmostEqual(rise([(0, 1), (10, 2), (20, 3)]), 2.0)
        self.assertAlmostEqual(rise([(0, 1), (10, 9), (20, 1)]), 0.0)
        self.assertEqual(rise([(5, 1), (5, 2)]), 0.0)

    def test_few(self) -> None:
        """One point, or none, cannot be judged."""
        self.assertEqual(growth("p", []) + growth("p", [point(0)]), [])
