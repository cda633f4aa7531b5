"""The pages on faults and robustness: their code runs, their numbers are the code's, the files they name are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.faults import memory_bound
from vegurtx import Settings
from vegurtx.errors import entry
from vegurtx.net.tls.layer import EARLY, HANDSHAKE_LIMIT, SLICE
from vegurtx.testing import faults
from vegurtx.wire.limits import BodyLimits, ResponseLimits

ROOT = Path(__file__).resolve().parents[2]
FAULTS = (ROOT / "docs/faults.md").read_text("utf-8")
ROBUSTNESS = (ROOT / "docs/robustness.md").read_text("utf-8")

_namespace: dict[str, Any] = {}
exec(
    compile("\n".join(re.findall(r"```python\n(.*?)```", FAULTS, re.DOTALL)), "docs/faults.md", "exec"),
    _namespace,
)
BadNetwork = _namespace["BadNetwork"]
BadNetwork.__module__ = __name__


class Pages(SynchronousTestCase):
    """What the pages say."""

    def test_files(self) -> None:
        """Each test file that is named exists."""
        for name in set(re.findall(r"`((?:tests/\w+/)?test_\w+\.py)`", ROBUSTNESS)):
            place = ROOT / name if "/" in name else ROOT / "tests/faults" / name
            self.assertTrue(place.exists(), name)

    def test_numbers(self) -> None:
        """The table of parts, and the numbers of the list."""
        for part, bound in (
            ("connection", memory_bound.CONNECTION),
            ("exchange", memory_bound.EXCHANGE),
            ("a TLS session", memory_bound.SESSION),
            ("the last term", memory_bound.ALLOCATOR),
        ):
            self.assertIn(f"| {part} | {bound:,} |", ROBUSTNESS)
        self.assertEqual(memory_bound.HOLD, 64 * 1024)
        self.assertEqual(BodyLimits().trailer, 64 * 1024)
        self.assertEqual(ResponseLimits().head, 8 * 1024 * 1024)
        self.assertEqual(ResponseLimits().interim, 256 * 1024)
        self.assertEqual(HANDSHAKE_LIMIT + SLICE + EARLY, 384 * 1024)
        self.assertIn(f"a read ({memory_bound.READ:,} bytes)", ROBUSTNESS)

    def test_formula(self) -> None:
        """It is the sum of its parts, and grows with each setting that it names."""
        default = memory_bound.total(Settings())
        for name, larger in (
            ("max_connections", 100_001),
            ("pool_max_idle", 4097),
            ("max_head_length", 1_048_577),
            ("max_chunk_line_length", 4097),
            ("retry_buffer_limit", 65_537),
        ):
            self.assertIn(
                f"`{name}`" if name not in ("max_connections", "pool_max_idle") else name, ROBUSTNESS
            )
            self.assertGreater(memory_bound.total(Settings.from_mapping({name: larger})), default, name)

    def test_codes(self) -> None:
        """The H-codes beside reasons are those of the table of reasons."""
        found = re.findall(r'`\("(\w+)", "(\w+)"\)`, (H\d\d)', ROBUSTNESS)
        self.assertEqual(len(found), 3)
        for blame, what, code in found:
            self.assertEqual(entry((blame, what)).code, code)

    def test_public_names(self) -> None:
        """Each fault is on its page."""
        for name in faults.__all__:
            if name not in ("Fault", "Link", "FaultProxy"):
                self.assertIn(f"| `{name}(", FAULTS)
