"""The soak itself, for twenty seconds of load: it finds nothing in the program, and much in one that is broken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from twisted.trial.unittest import TestCase

ROOT = Path(__file__).resolve().parents[2]
#: appended to the program's own text: each fiftieth request leaves a descriptor behind, each one its connection
LEAK = """
import os
_begin, _left = ProxyFactory.begin, []
def _leaking(self, connection, head):
    _left.append(connection)
    if len(_left) % 50 == 0:
        os.dup(0)
    _begin(self, connection, head)
ProxyFactory.begin = _leaking
"""


@pytest.mark.slow
class ShortSoak(TestCase):
    """The program on the reactor that the tests run on."""

    timeout = 600  # trial's; the soak has limits of its own

    def folder(self) -> Path:
        """A folder that is gone when the test is over."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def soak(self, mode: str, seed: int, root: Path = ROOT) -> tuple[int, dict[str, Any]]:
        """Run it; returns its exit status and its report."""
        folder = self.folder()
        reactor = ["--reactor", "epoll"] if os.environ.get("VEGURTX_TEST_REACTOR", "epoll") == "epoll" else []
        command = [sys.executable, "-m", "soak", "--mode", mode, "--seed", str(seed), "--out", str(folder)]
        command += ["--minutes", "0.34", "--quiet-every", "6.8", "--rate", "20", *reactor]
        ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        self.assertTrue((folder / f"{mode}.json").exists(), ended.stdout + ended.stderr)
        report: dict[str, Any] = json.loads((folder / f"{mode}.json").read_text("utf-8"))
        return ended.returncode, report

    def assert_good(self, status: int, report: dict[str, Any]) -> None:
        """Nothing was found, and something was done."""
        self.assertEqual((status, report["findings"]), (0, []))
        self.assertGreater(report["load"]["bodies checked"], 200)
        self.assertGreater(report["log"]["requests compared with the access log"], 200)
        self.assertGreater(report["disturbances"]["reloads"], 1)
        self.assertGreater(sum(len(series) for series in report["quiet"].values()), 2)

    def test_single(self) -> None:
        """One process."""
        self.assert_good(*self.soak("single", 11))

    def test_workers(self) -> None:
        """Two workers, which end, are killed, and replaced by a new program's."""
        status, report = self.soak("workers", 12)
        self.assert_good(status, report)
        self.assertGreater(report["disturbances"]["upgrades"], 0)

    def test_leak(self) -> None:
        """A program that leaks: objects and descriptors that do not come back are found, and the exit status is 1."""
        root = self.folder()
        for name in ("vegurtx", "soak", "benchmarks"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
        with (root / "vegurtx/proxy/factory.py").open("a") as module:
            module.write(LEAK)
        status, report = self.soak("single", 11, root)
        self.assertEqual(status, 1)
        told = "\n".join(finding["what"] for finding in report["findings"])
        self.assertIn("descriptors after", told)
        self.assertIn("objects of vegurtx.net.server.ClientConnection", told)
