"""docs/proxy-log.md: every namespace that logs, and none that does not."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from vegurtx.ops.proxy_log.levels import LEVELS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "proxy-log.md"
_LOGGER = re.compile(r"^_?log = Logger\(\)", re.MULTILINE)


class Docs(SynchronousTestCase):
    """The page's table."""

    def setUp(self) -> None:
        """Read the page, and who logs."""
        self.page = PAGE.read_text("utf-8")
        self.told = re.findall(r"^\| `(vegurtx\.[a-z_.]+)` \|", self.page, re.MULTILINE)
        self.loggers = [
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for path in (ROOT / "vegurtx").rglob("*.py")
            if _LOGGER.search(path.read_text("utf-8"))
        ]

    def test_all_are_told(self) -> None:
        """Each module that logs is, or is below, a namespace of the table."""
        self.assertGreater(len(self.loggers), 20)
        untold = [
            name
            for name in self.loggers
            if not any(name == each or name.startswith(f"{each}.") for each in self.told)
        ]
        self.assertEqual(untold, [])

    def test_all_are_there(self) -> None:
        """No namespace of the table stands for nobody."""
        silent = [
            each
            for each in self.told
            if not any(name == each or name.startswith(f"{each}.") for name in self.loggers)
        ]
        self.assertEqual(silent, [])

    def test_levels(self) -> None:
        """The levels are named, from the least one on."""
        self.assertIn("`debug`, `info` (the default), `warn`, `error` or `critical`", self.page)
        self.assertEqual(LEVELS, ("debug", "info", "warn", "error", "critical"))
