"""A folder with a test's own modules, as the current directory of the test."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import TestCase


class ModulesCase(TestCase):
    """The modules are in the current directory, which is not in the search path."""

    def setUp(self) -> None:
        """Make the folder."""
        made = tempfile.TemporaryDirectory(prefix="vegurtx-")
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name).resolve()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        self.patch(sys, "path", [part for part in sys.path if part])
        self.addCleanup(self.forget_modules)

    def forget_modules(self) -> None:
        """The next test's modules have the same names, and are others."""
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(str(self.folder)):
                del sys.modules[name]

    def write(self, path: str, text: str) -> Path:
        """A file in the folder."""
        file = self.folder / path
        file.write_text(text, "utf-8")
        return file
