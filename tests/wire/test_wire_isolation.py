"""The codec stands alone: it must be importable, and usable, without Twisted (DESIGN section 3)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import TestCase

import vegurtx.wire

PROGRAM = """
import importlib, pkgutil, sys
import vegurtx.wire
for module in pkgutil.iter_modules(vegurtx.wire.__path__):
    importlib.import_module("vegurtx.wire." + module.name)
strangers = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(sorted(name for name in strangers if not name.startswith("_")))
"""


class IsolationTests(TestCase):
    """What an import of the codec pulls in."""

    def test_fresh_process(self) -> None:
        """A fresh interpreter that imports all of the codec has nothing but it and the standard library."""
        root = Path(vegurtx.wire.__file__).parents[2]
        # -S: site-packages may load what they like at start; the codec is to do without them altogether.
        done = subprocess.run(
            [sys.executable, "-S", "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=False
        )
        self.assertEqual((done.stdout.strip(), done.stderr), ("['vegurtx']", ""))
