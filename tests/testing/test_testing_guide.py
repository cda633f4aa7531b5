"""``docs/testing.md``: its blocks are run exactly as they are written there."""

from __future__ import annotations

import re
import unittest
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

PAGE = Path(__file__).resolve().parent.parent.parent / "docs/testing.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


class Guide(SynchronousTestCase):
    """The page is one module."""

    def test_blocks(self) -> None:
        """Every test of the page passes, and each block behind the first has one."""
        names: dict[str, Any] = {"__name__": "the_page"}
        ran = 0
        for block in BLOCKS:
            known = set(names)
            exec(compile(block, str(PAGE), "exec"), names)
            suite = unittest.TestSuite(
                unittest.defaultTestLoader.loadTestsFromTestCase(value)
                for name, value in names.items()
                if name not in known
                and isinstance(value, type)
                and issubclass(value, unittest.TestCase)
                and value.__module__ == "the_page"
            )
            result = unittest.TestResult()
            suite.run(result)
            for case, trace in [*result.errors, *result.failures]:
                self.fail(f"{case}:\n{trace}")
            self.assertEqual(result.testsRun > 0, block is not BLOCKS[0], block)
            ran += result.testsRun
        self.assertGreater(ran, 15)

    def test_line_length(self) -> None:
        """The page's code reads as the project's own does."""
        for block in BLOCKS:
            for line in block.splitlines():
                self.assertLessEqual(len(line), 120, line)
