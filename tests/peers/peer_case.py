"""What the tests with real peers share: the program in a process of its own, on both reactors, and its tools.

A test class describes conversations once; `on_each_reactor` makes a test class of it for each reactor that
the program can run on. ``VEGURTX_TEST_REACTOR`` narrows that to one, as for all other tests. A tool that is
missing skips the test and says which package has it; where the environment variable ``CI`` is set, it is a
failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from vegurtx.testing import ProxyProcess, ThreadedBackend
from vegurtx.testing.process import Program

ROOT = Path(__file__).resolve().parents[2]

REACTORS: dict[str, str | None] = {"epoll": "epoll", "uvloop": None}
"""Name → what ``--reactor`` is given. Nothing is the program's own choice, which is uvloop."""

KINDS = ("single", "pooled")
"""The names (`tests.peers.routers.KEEPALIVE`) under which a conversation is held: keep-alive off and on."""

MEGABYTE = 1 << 20
GIGABYTE = 1 << 30

PATIENCE = 60.0
"""Seconds after which a tool counts as hanging."""

PACKAGES = {
    "ab": "apache2-utils",
    "curl": "curl",
    "go": "golang-go",
    "nginx": "nginx-light",
    "node": "nodejs",
    "wrk": "wrk",
}
"""Tool → the Debian package that has it."""


def tool(name: str) -> str:
    """Return the path of the program `name`.

    :raises SkipTest: it is not there (`AssertionError` where ``CI`` is set).
    """
    # An ordinary user's path lacks the folders where Debian puts servers.
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")
    if path is not None:
        return path
    missing = f"{name} is missing; on Debian: apt-get install {PACKAGES[name]}"
    if os.environ.get("CI"):
        raise AssertionError(missing)
    raise SkipTest(missing)


def output_of(
    command: Sequence[str], *, environment: dict[str, str] | None = None, given: bytes = b""
) -> bytes:
    """Run `command` with `given` on its standard input; return its standard output.

    :raises AssertionError: it fails (its standard error is in the message).
    :raises subprocess.TimeoutExpired: it does not end in `PATIENCE` seconds.
    """
    done = subprocess.run(
        command, input=given, capture_output=True, timeout=PATIENCE, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        said = (done.stderr + done.stdout).decode("utf-8", "replace")
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
    return done.stdout


def on_each_reactor(case: type[PeerCase]) -> dict[str, type[PeerCase]]:
    """Return `case` as test classes by name, one for each reactor, for the module's ``globals().update``."""
    wanted = os.environ.get("VEGURTX_TEST_REACTOR")
    made = {}
    for name in [wanted] if wanted else REACTORS:
        facts = {
            "reactor_name": name,
            "__module__": case.__module__,
            "__doc__": case.__doc__,
            "__test__": True,
        }
        class_name = f"{case.__name__}_{name}"
        made[class_name] = type(class_name, (case,), facts)
    return made


def proxy_before(
    backends: Sequence[Any],
    *,
    reactor_name: str,
    router: str = "ByDomain",
    options: Sequence[str] = (),
    program: Program = "twistd",
) -> ProxyProcess:
    """Start the program with a router of `tests.peers.routers` before `backends` (each has a ``port``)."""
    return ProxyProcess(
        f"tests.peers.routers.{router}",
        options,
        reactor=REACTORS[reactor_name],
        environment={"PEERS_PORTS": ",".join(str(backend.port) for backend in backends)},
        program=program,
        path=[str(ROOT)],
        cwd=str(ROOT),
    )


class PeerCase(SynchronousTestCase):
    """A proxy with one `ThreadedBackend` behind it, which all tests of a class share.

    Nothing that happens may leave a traceback in the program's log, nor a failure at the back-end.
    """

    __test__ = False
    reactor_name: ClassVar[str]
    tools: ClassVar[Sequence[str]] = ()
    backend: ClassVar[ThreadedBackend]
    proxy: ClassVar[ProxyProcess]

    @classmethod
    def setUpClass(cls) -> None:
        """Look for the tools; start both."""
        for name in cls.tools:
            tool(name)
        cls.backend = ThreadedBackend()
        cls.addClassCleanup(cls.backend.stop)
        cls.proxy = proxy_before([cls.backend], reactor_name=cls.reactor_name)
        cls.addClassCleanup(cls.proxy.stop)

    def setUp(self) -> None:
        """Whatever the test does, the program must be well after it."""
        self.addCleanup(self.check_well)

    def check_well(self) -> None:
        """The program runs and has complained of nothing; the back-end had only correct requests."""
        self.assertTrue(self.proxy.running, self.proxy.output)
        for word in ("Traceback", "Unhandled", "#error", "#critical"):
            self.assertNotIn(word, self.proxy.output)
        self.assertEqual(self.backend.failures, [])

    def used_connections(self, before: int) -> int:
        """How many connections the back-end has had since `before`, its count of them at some time."""
        return self.backend.connections - before
