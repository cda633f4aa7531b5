"""The documents as a whole: links lead somewhere, names exist, numbers were measured, and Sphinx is content."""

from __future__ import annotations

import ast
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
from twisted.trial.unittest import SynchronousTestCase

import vegurtx
import vegurtx.testing
from tests.behaviour.table import RULES
from tests.docs.fresh_checkout import ROOT

pytestmark = pytest.mark.once

DOCS = ROOT / "docs"
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*TOP, *sorted(DOCS.rglob("*.md"))]
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")


def prose(page: Path) -> str:
    """A page without its code."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """The headings of a page, as GitHub names them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def names_in(path: Path) -> set[str]:
    """The classes, functions and constants that a module defines."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


class Links(SynchronousTestCase):
    """On GitHub, where no Sphinx turns them."""

    def test_links(self) -> None:
        """Each one leads to a file, and to a heading of it."""
        for page in PAGES:
            for target, anchor in _LINK.findall(prose(page)):
                where = page.parent / target if target else page
                self.assertTrue(where.exists(), f"{page.relative_to(ROOT)}: {target}")
                if anchor:
                    self.assertIn(anchor, anchors(where), f"{page.relative_to(ROOT)}: {target}#{anchor}")

    def test_tests_that_are_named(self) -> None:
        """The threat model names tests that there are."""
        text = (DOCS / "threat-model.md").read_text("utf-8")
        for line in text.splitlines():
            folder = ""
            for name in re.findall(r"`((?:tests/\w+/)?test_\w+\.py)`", line):
                folder = name.rpartition("/")[0] or folder
                path = ROOT / folder / name.rpartition("/")[2]
                self.assertTrue(path.is_file(), f"{name} in {line}")


class Rules(SynchronousTestCase):
    """``http-rules.md``."""

    def rows(self) -> Iterator[tuple[int, str, str]]:
        """Number, code and tests of each rule."""
        for line in (DOCS / "http-rules.md").read_text("utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            if line.startswith("| ") and cells[0].isdigit():
                yield int(cells[0]), cells[2], cells[3]

    def test_all_of_them(self) -> None:
        """Once each, in order, as many as have tests."""
        self.assertEqual([number for number, *_ in self.rows()], sorted(RULES))

    def test_code_and_tests_are_there(self) -> None:
        """Each module, each name in it, each test."""
        for number, code, tests in self.rows():
            path = None
            for word in re.findall(r"`([^`]+)`", code):
                if word.endswith(".py"):
                    path = ROOT / "vegurtx" / word
                    self.assertTrue(path.is_file(), f"rule {number}: {word}")
                else:
                    assert path is not None
                    self.assertIn(word, names_in(path), f"rule {number}: {path.name}")
            for word in re.findall(r"`(\w+\.py)`", tests):
                text = (ROOT / "tests/behaviour" / word).read_text("utf-8")
                self.assertTrue(
                    re.search(rf"Rules? [\d, and-]*\b{number}\b|Rules? \d+ to \d+|Rules? \d+-\d+", text), word
                )


class Reference(SynchronousTestCase):
    """``reference/``."""

    def test_every_public_name(self) -> None:
        """Nobody is forgotten."""
        text = "\n".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
        for package in (vegurtx, vegurtx.testing):
            for name in package.__all__:
                if name not in ("__version__", "IRouter", "IMiddleware"):
                    self.assertRegex(text, rf":: {package.__name__}\.{name}\n")
        for name in ("IRouter", "IMiddleware", "IObserver"):
            self.assertIn(f":: vegurtx.interfaces.{name}\n", text)


class Numbers(SynchronousTestCase):
    """What the README says was measured."""

    def test_published(self) -> None:
        """The last column of its comparison is the published run's, for a small GET."""
        published = json.loads((ROOT / "benchmarks/results/published.json").read_text("utf-8"))
        case = published["cases"]["small"]
        readme = (ROOT / "README.md").read_text("utf-8")
        for beginning, peer in {
            "**vegurtx**": "vegurtx",
            "HAProxy": "haproxy",
            "nginx": "nginx",
            "Go's `ReverseProxy`": "go",
            "Node's `http-proxy`": "node",
            "`twisted.web.proxy`": "twisted",
        }.items():
            (row,) = re.findall(rf"^\| {re.escape(beginning)} \|.*\| ([^|]+) \|$", readme, re.MULTILINE)
            runs = case.get(peer, [])
            costs = [1e6 * run["cpu"] / run["units"] for run in runs]
            said = f"{statistics.median(costs):.1f}" if costs else "–"
            self.assertEqual(row, said, f"README.md, {beginning}: put {said} there")


class Picture(SynchronousTestCase):
    """``lifecycle.svg``."""

    def test_it_has_all_callbacks(self) -> None:
        """And is well-formed, with words for whoever cannot see it, and colours for the dark."""
        text = (DOCS / "lifecycle.svg").read_text("utf-8")
        words = " ".join(re.findall(r"<text[^>]*>([^<]*)<", text))
        ElementTree.fromstring(text)
        for name in vegurtx.IRouter.names():
            self.assertIn(name, words)
        for needed in ("<title", "<desc", "prefers-color-scheme: dark"):
            self.assertIn(needed, text)


class Site(SynchronousTestCase):
    """What `make docs` makes."""

    @unittest.skipUnless(
        find_spec("sphinx") and find_spec("myst_parser") and find_spec("furo"), "needs the extra docs"
    )
    def test_it_builds_without_a_warning(self) -> None:
        """Every page is on a list, every name leads somewhere."""
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "sphinx",
                    "-W",
                    "--keep-going",
                    "-n",
                    "-q",
                    "-b",
                    "html",
                    DOCS,
                    folder,
                ],
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=300,
            )
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            made = Path(folder)
            self.assertIn("README.html", (made / "index.html").read_text("utf-8"))
            text = (made / "reference/interfaces.html").read_text("utf-8")
            for name in vegurtx.IRouter.names():
                self.assertIn(f'id="vegurtx.interfaces.IRouter.{name}"', text)
            self.assertIn("Two commands", (made / "overview.html").read_text("utf-8"))
