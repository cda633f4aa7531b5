"""The programs around the targets: the runner, with atheris where that is there, and what makes findings small."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import skipUnless

import pytest
from twisted.trial.unittest import TestCase

from fuzz.findings import fail
from fuzz.minimise import minimised, symptom
from fuzz.registry import HERE
from fuzz.segments import MARK, cuttings, leading, segments, whole

pytestmark = pytest.mark.once


class Runner(TestCase):
    """``python -m fuzz``."""

    def run_it(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it in the project's folder."""
        command = [sys.executable, "-m", "fuzz", *arguments]
        return subprocess.run(
            command, cwd=HERE.parent, capture_output=True, text=True, timeout=120, check=False
        )

    def test_unknown_target(self) -> None:
        """A name that is no target's is a plain mistake."""
        ended = self.run_it("nonsense")
        self.assertEqual(ended.returncode, 2)
        self.assertIn("there is no target nonsense", ended.stderr)

    @skipUnless(find_spec("atheris"), "atheris is not installed")
    def test_short_run(self) -> None:
        """A few thousand inputs of two targets: they are counted, and nothing is found."""
        with TemporaryDirectory() as work:
            ended = self.run_it("--runs", "4000", "--work", work, "request_head", "proxied_request")
            self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
            self.assertRegex(ended.stdout, r"(?m)^request_head +2000 inputs  \d+ edges, \d+ features$")
            self.assertRegex(ended.stdout, r"(?m)^all +4000 inputs  0 findings$")
            self.assertTrue((Path(work) / "request_head" / "log").is_file())


class Minimising(TestCase):
    """A finding made small."""

    def test_small(self) -> None:
        """What does not matter goes; the symptom stays."""

        def check(data: bytes) -> None:
            if b"\0" in data and data.count(b"x") >= 2:
                fail("two and a NUL", data)

        data = b"some text, x and\0more and x and the rest of it"
        self.assertEqual(sorted(minimised(check, data, 10.0)), sorted(b"x\0x"))
        self.assertEqual(symptom(check, data), "Finding: two and a NUL")

    def test_nothing_to_do(self) -> None:
        """An input without a symptom stays as it is."""
        self.assertEqual(minimised(lambda data: None, b"abc", 1.0), b"abc")

    def test_time(self) -> None:
        """It ends when its time is over."""
        clock = iter(range(1000))

        def check(data: bytes) -> None:
            fail("always")

        self.assertLess(len(minimised(check, bytes(1000), 5.0, lambda: next(clock))), 1000)


class Segments(TestCase):
    """How an input says where it is cut."""

    def test_marks(self) -> None:
        """Marks are where the cuts are, and no bytes of the input."""
        data = MARK + b"GET" + MARK + b" /" + MARK + MARK
        self.assertEqual(whole(data), b"GET /")
        self.assertEqual(segments(data), [b"GET", b" /"])
        for parts in cuttings(data):
            self.assertEqual(b"".join(parts), b"GET /")

    def test_leading(self) -> None:
        """Digits mean themselves."""
        self.assertEqual(leading(b"2abc", 4), (2, b"abc"))
        self.assertEqual(leading(b"6abc", 4), (2, b"abc"))
        self.assertEqual(leading(b"", 4), (0, b""))
