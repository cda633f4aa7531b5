"""The soak finds what is wrong in the access log: lost lines, doubled ones, and those that say something else."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

from twisted.trial.unittest import TestCase

from soak.audit import Audit
from soak.outcome import Entry


class Log(TestCase):
    """Ledger and access log, compared."""

    def setUp(self) -> None:
        """An empty folder."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.audit = Audit(Path(folder.name))

    def entered(self, id: str, *codes: str, lines: tuple[int, int] = (1, 1), at: float = 0.0) -> None:
        """The load has made a request, seen 200 or 503, and allows these codes."""
        statuses = frozenset([200] if codes == ("",) else [503])
        entry = Entry(id, 7, "single", frozenset(codes), statuses, lines, at)
        with self.audit.ledger.open("a") as ledger:
            ledger.write(f"{json.dumps(entry.as_json())}\n")

    def logged(self, id: str, status: int = 200, **more: Any) -> None:
        """The proxy has written a line."""
        with self.audit.log.open("a") as log:
            log.write(f"{json.dumps({'request_id': id, 'status': status, **more})}\n")

    def problem(self) -> str:
        """The one finding's text."""
        ((number, kind, problem),) = self.audit.settle()
        self.assertEqual((number, kind), (7, "single"))
        return problem

    def test_good(self) -> None:
        """A line a request, with a status and a code that it may have: nothing is found."""
        self.entered("a", "")
        self.entered("b", "H12", "H13")
        self.logged("b", 503, code="H13")
        self.logged("a")
        self.assertEqual(self.audit.settle(), [])
        self.assertEqual(self.audit.counts["requests compared with the access log"], 2)

    def test_lost(self) -> None:
        """A request without a line is found, unless it may have none."""
        self.entered("a", "")
        self.entered("b", "", lines=(0, 1))
        self.assertIn("a: the access log has 0 lines of it", self.problem())

    def test_doubled(self) -> None:
        """A request with two lines is found."""
        self.entered("a", "")
        self.logged("a")
        self.logged("a")
        self.assertIn("2 lines", self.problem())

    def test_code(self) -> None:
        """Another code than the fault's is found."""
        self.entered("a", "H12")
        self.logged("a", 503, code="H13")
        self.assertIn("says H13", self.problem())

    def test_status(self) -> None:
        """Another status than the client has seen is found."""
        self.entered("a", "")
        self.logged("a", 201)
        self.assertIn("says 201, the client has seen [200]", self.problem())

    def test_nobodys(self) -> None:
        """A line about a request that nobody has made is found; one about what was no request is none."""
        self.logged("a")
        with self.audit.log.open("a") as log:
            log.write('{"status": 400, "code": "H26"}\n')
        ((number, _, problem),) = self.audit.settle()
        self.assertEqual(number, -1)
        self.assertIn("nobody has entered", problem)

    def test_no_json(self) -> None:
        """A line that is cut short, or mixed with another one, is found."""
        self.audit.log.write_text('{"status": 200, "requ{"status":\n')
        self.assertEqual(len(self.audit.settle()), 1)

    def test_rotated(self) -> None:
        """Lines count once, whether they are in the log, or in one that was moved away before or after it was read."""
        self.entered("a", "")
        self.logged("a")
        self.audit.rotate()
        self.entered("b", "")
        self.logged("b")
        self.assertEqual(self.audit.settle(), [])
        self.entered("c", "")
        self.logged("c")
        self.audit.rotate()
        self.entered("d", "")
        self.logged("d")
        self.assertEqual(self.audit.settle(), [])
        self.assertEqual(self.audit.settle(), [])

    def test_killed(self) -> None:
        """Lines that a killed process has not written are not missed, those of other moments are."""
        self.audit.lines_lost()
        self.entered("a", "", at=monotonic() - 0.3)
        self.entered("b", "", at=monotonic() - 10)
        self.assertIn("b: ", self.problem())
