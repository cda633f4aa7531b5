"""What reads the pages: it does what the words say, and nothing on a page goes unseen."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.docs.page_blocks import blocks_of
from tests.docs.page_reader import Disagreement, Reader, with_ports
from tests.docs.page_steps import Run, Save, Start, Stop, steps_of
from tests.docs.shown_output import appears, matches

pytestmark = pytest.mark.once


class PageCase(SynchronousTestCase):
    """Pages of the test's own, in a folder of its own."""

    def setUp(self) -> None:
        """Work there."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(folder.name)

    def page(self, text: str) -> Path:
        """A page with this text; ~~~ stands for a fence."""
        path = Path("page.md")
        path.write_text(text.replace("~~~", "```"), "utf-8")
        return path

    def read(self, text: str, **without: str) -> None:
        """Read it."""
        Reader(without).read(steps_of(self.page(text)))

    def disagreement(self, text: str) -> str:
        """What is wrong with it."""
        return str(self.assertRaises(Disagreement, self.read, text))


class Blocks(PageCase):
    """From Markdown to blocks."""

    def test_leads(self) -> None:
        """The paragraph before a block is its lead; a heading, or another block, is none."""
        page = self.page(
            "One\ntwo:\n\n~~~sh\nx\n~~~\n\n~~~sh\ny\n~~~\n\nThree\n\n# Four\n\n~~~python\nz\n~~~\n"
        )
        self.assertEqual(
            [(block.language, block.text, block.lead, block.line) for block in blocks_of(page)],
            [("sh", "x\n", "One two:", 4), ("sh", "y\n", "", 8), ("python", "z\n", "", 16)],
        )

    def test_what_nobody_would_run(self) -> None:
        """Indented code, a fence that is left open, a block that is no file, output without its command."""
        for text in ("One\n\n    x\n", "~~~sh\nx\n", "~~~python\nx\n~~~\n", "~~~console\nx\n~~~\n"):
            with self.assertRaises(ValueError, msg=text):
                steps_of(self.page(text))

    def test_a_terminal_says_when_it_is_ready(self) -> None:
        """Else nobody would know when to read on."""
        with self.assertRaises(ValueError):
            steps_of(self.page("In a terminal:\n\n~~~console\n$ x\n~~~\n"))


class Words(PageCase):
    """From words to steps."""

    def test_steps(self) -> None:
        """Each kind of block."""
        page = self.page(
            "Save `a.py`:\n\n~~~python\nx\n~~~\n\nAdd this to the end of `a.py`:\n\n~~~python\ny\n~~~\n\n"
            "~~~sh\na \\\n  b\nc\n~~~\n\n~~~console\n$ d\ne\n$ f\n> g\nh\n~~~\n\n"
            "Stop the proxy with Ctrl-C, and in its terminal:\n\n~~~console\n$ i\nj\n~~~\n"
        )
        self.assertEqual(
            steps_of(page),
            [
                Save(3, "a.py", "x\n", False),
                Save(9, "a.py", "y\n", True),
                Run(13, "a \\\n  b", None),
                Run(13, "c", None),
                Run(19, "d", "e\n"),
                Run(19, "f\ng", "h\n"),
                Stop(29, True),
                Start(29, "i", "j\n"),
            ],
        )

    def test_other_ports(self) -> None:
        """Whole numbers only."""
        self.assertEqual(with_ports(":8080 18080 8080.", {"8080": "40000"}), ":40000 18080 40000.")


class Output(SynchronousTestCase):
    """What is shown, and what was printed."""

    def test_matches(self) -> None:
        """To the letter, but for the dots."""
        for shown, printed in (
            ("a\n", "a\n"),
            ("a\n", "a"),
            ("a...c\n", "abc\n"),
            ("a\n...\nd\n", "a\nb\nc\nd\n"),
        ):
            self.assertTrue(matches(shown, printed), (shown, printed))
        for shown, printed in (
            ("a\n", "a\nb\n"),
            ("", "a\n"),
            ("a\n", ""),
            ("a...c\n", "ab\nc\n"),
            (".\n", "a\n"),
        ):
            self.assertFalse(matches(shown, printed), (shown, printed))

    def test_appears(self) -> None:
        """In this order, with anything between."""
        self.assertTrue(appears("a\nc\n", "x\na\nb\nc\ny\n"))
        for shown, printed in (("a\nc\n", "c\na\n"), ("a\n", "xa\n"), ("a\n", "ab\n"), ("a\n", "a")):
            self.assertFalse(appears(shown, printed), (shown, printed))


SLEEPER = """\
Save this as `p.py`:

~~~python
import time
~~~

And to the end of `p.py`:

~~~python
try:
    print("ready", flush=True)
    time.sleep(99)
except KeyboardInterrupt:
    open("end", "w")
~~~

In a terminal:

~~~console
$ exec python3 p.py
ready
~~~

Press Ctrl-C:

~~~console
$ ls end
end
~~~
"""

COMPLAINER = """\
In a terminal:

~~~console
$ exec python3 -uc "import time; print(1); time.sleep(99)"
1
~~~

Press Ctrl-C:

~~~sh
true
~~~
"""

LEFT_OUT = """\
In a terminal:

~~~console
$ demo
ready
~~~

~~~sh
false
~~~

Press Ctrl-C:

~~~sh
true
~~~
"""


class Reading(PageCase):
    """Doing it."""

    def test_a_page_that_holds(self) -> None:
        """A file, what is added to it, a program that goes on, and its end."""
        self.read(SLEEPER)

    def test_another_output(self) -> None:
        """Said with both outputs."""
        self.assertIn("but it said\ntwo", self.disagreement("~~~console\n$ echo two\none\n~~~\n"))

    def test_more_output_than_is_shown(self) -> None:
        """Nothing shown means that nothing is printed."""
        self.disagreement("~~~console\n$ echo two\n~~~\n")

    def test_a_command_that_fails(self) -> None:
        """Also where its output is not shown."""
        self.assertIn("ended with 1", self.disagreement("~~~sh\nfalse\n~~~\n"))

    def test_a_program_that_ends_before_it_is_ready(self) -> None:
        """What it said is in the message."""
        text = "In a terminal:\n\n~~~console\n$ echo no such port\nready\n~~~\n"
        self.assertIn("no such port", self.disagreement(text))

    def test_a_program_that_complains_at_its_end(self) -> None:
        """A traceback is no clean end."""
        self.assertIn("KeyboardInterrupt", self.disagreement(COMPLAINER))

    def test_what_is_left_out(self) -> None:
        """A program that is not started is not stopped either."""
        self.read(LEFT_OUT, demo="why", false="why")
