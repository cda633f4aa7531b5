"""The README and the tutorial, done as a reader does them: every file saved, every command run, every output checked.

The pages name ports, so each is read in a network of its own. Where that cannot be had, other ports are put in the
place of the page's.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from tests.docs.fresh_checkout import ROOT, copy_checkout, environment
from tests.docs.page_blocks import blocks_of
from tests.docs.page_steps import Run, Start, steps_of
from tests.docs.private_network import private_network

#: seconds
PATIENCE = 180
REACTOR = os.environ.get("VEGURTX_TEST_REACTOR", "epoll")


class Page(NamedTuple):
    """How a page is read."""

    path: Path
    in_checkout: bool
    #: commands that are not run, and why
    without: Mapping[str, str]
    #: the same, where other ports are put in the place of the page's
    without_other_ports: Mapping[str, str]
    #: ports that programs of the page listen on, or that nobody listens on
    ports: frozenset[int]


PAGES = {
    "README": Page(
        ROOT / "README.md",
        True,
        {"make test": "it would run this test"},
        {
            "make demo": "its ports are the program's, not the page's; tests/cli/test_cli_demo.py runs it on others"
        },
        frozenset({8080, 8081, 8082}),
    ),
    "tutorial": Page(
        ROOT / "docs/tutorial.md",
        False,
        {"pip install vegurtx": "it needs a package index; tests/test_packaging.py installs the built wheel"},
        {},
        frozenset({8080, 8081, 8082, 8083, 8443, 9900}),
    ),
}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def read(page: Page, *, private: bool) -> subprocess.CompletedProcess[str]:
    """Read `page` in a fresh folder."""
    with tempfile.TemporaryDirectory() as name:
        folder, beside = Path(name) / "fresh", Path(name) / "beside"
        folder.mkdir()
        beside.mkdir()
        if page.in_checkout:
            copy_checkout(folder)
        without = dict(page.without)
        command = [sys.executable, "-m", "tests.docs.page_reader", str(page.path)]
        if private:
            command = [*(private_network() or ()), *command, "--private-network"]
        else:
            without.update(page.without_other_ports)
            ports = zip(sorted(page.ports), free_ports(len(page.ports)), strict=True)
            command.append("--ports=" + ",".join(f"{old}={new}" for old, new in ports))
        command += [f"--without={skipped}" for skipped in without]
        return subprocess.run(
            command,
            cwd=folder,
            env=environment(REACTOR, beside),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )


class PagesRun(SynchronousTestCase):
    """Each page is as it says."""

    def assert_page(self, name: str) -> None:
        """Reading it comes to its end."""
        done = read(PAGES[name], private=private_network() is not None)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_readme(self) -> None:
        """Every command and file of the README, in a fresh checkout."""
        self.assert_page("README")

    def test_tutorial(self) -> None:
        """Every command and file of the tutorial, in an empty folder."""
        self.assert_page("tutorial")

    def test_what_is_left_out(self) -> None:
        """What is not run is on its page, and is a command of it."""
        for name, page in PAGES.items():
            commands = {step.command for step in steps_of(page.path) if isinstance(step, (Run, Start))}
            self.assertLessEqual({*page.without, *page.without_other_ports}, commands, name)

    def test_ports(self) -> None:
        """Each port of a page is known, so that another one can be put in its place."""
        for name, page in PAGES.items():
            code = "\n".join(block.text for block in blocks_of(page.path))
            numbers = {int(number) for number in re.findall(r"\b\d{4,5}\b", code)}
            self.assertEqual(numbers, page.ports, name)


class OtherPorts(SynchronousTestCase):
    """Where there is no network of one's own."""

    def test_readme_on_other_ports(self) -> None:
        """The README works on other ports than its own, side by side with whatever uses those."""
        done = read(PAGES["README"], private=False)
        self.assertEqual(done.returncode, 0, done.stdout)
