"""The real programs: twistd in the foreground and as a daemon, twist, and ``python -m vegurtx``."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.cli_case import MODULE, PATIENCE, ROOT, TWISTD, end, environment, run_program
from vegurtx.testing import BlockingClient, ProxyProcess, ThreadedBackend
from vegurtx.testing.process import Program

ROUTER = """
import os
from vegurtx import Backend, Router

class Here(Router):
    def checkout_service(self, domain_group, request, state):
        return int(os.environ["BACKEND_PORT"])
    def service_backend(self, port, request, state):
        return Backend("127.0.0.1", port)
    def additional_headers(self, direction, log, request, state):
        from twisted.internet import reactor
        loop = getattr(reactor, "_asyncioEventloop", None)
        kind = type(reactor).__name__ if loop is None else type(loop).__module__
        return [("Reactor", kind)] if direction == "downstream" else []
"""


class Programs(SynchronousTestCase):
    """Each serves a request with a router out of the current directory."""

    def setUp(self) -> None:
        """A back-end, and a folder with a router."""
        self.backend = ThreadedBackend()
        self.addCleanup(self.backend.stop)
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        (self.folder / "routing.py").write_text(ROUTER, "utf-8")
        self.added = {"BACKEND_PORT": str(self.backend.port), "VEGURTX_MAX_REQUEST_LINE_LENGTH": "100"}

    def reactor_of(self, port: int) -> str | None:
        """What the program runs on, learnt through a request that it serves."""
        with BlockingClient(port) as client:
            response = client.request("GET", "/")
            self.assertEqual(response.status, 200)
            return response.header("Reactor")

    def serve(self, program: Program, reactor: str | None = None, *options: str) -> str | None:
        """Start it, ask it, stop it."""
        proxy = ProxyProcess(
            "routing.Here",
            options,
            reactor=reactor,
            program=program,
            environment=self.added,
            path=[str(ROOT)],
            cwd=str(self.folder),
        )
        self.addCleanup(proxy.kill)
        name = self.reactor_of(proxy.port)
        proxy.stop()
        self.assertNotIn("Traceback", proxy.output)
        self.assertNotIn("Unhandled", proxy.output)
        return name

    def test_uvloop_by_itself(self) -> None:
        """Where nobody names a reactor, each program runs on uvloop."""
        for program in ("twistd", "twist", "module"):
            self.assertEqual(self.serve(program), "uvloop")

    def test_named_reactor(self) -> None:
        """A reactor that is named is honoured."""
        for program in ("twistd", "twist", "module"):
            self.assertEqual(self.serve(program, "epoll"), "EPollReactor")
        self.assertEqual(self.serve("module", "asyncio"), "asyncio.unix_events")

    def test_environment_and_option(self) -> None:
        """A setting of the environment reaches the proxy; the option of the command line wins."""
        line = "/" + "x" * 150
        for options, status in (((), 414), (("--max-request-line-length", "300"), 200)):
            proxy = ProxyProcess(
                "routing.Here",
                options,
                program="module",
                environment=self.added,
                path=[str(ROOT)],
                cwd=str(self.folder),
            )
            self.addCleanup(proxy.kill)
            with BlockingClient(proxy.port) as client:
                self.assertEqual(client.request("GET", line).status, status)
            proxy.stop()

    def test_daemon(self) -> None:
        """The daemon serves, on uvloop too, and ends on SIGTERM."""
        pid_file, log = self.folder / "vegur.pid", self.folder / "vegur.log"
        arguments = [*TWISTD, f"--pidfile={pid_file}", f"--logfile={log}", "vegur", "--port", "0"]
        arguments += ["--interface", "127.0.0.1", "--router", "routing.Here"]
        outcome = run_program(arguments, cwd=self.folder, added=self.added)
        self.assertEqual(outcome, (0, "", ""))
        pid = int(pid_file.read_text("ascii"))
        self.addCleanup(end, pid)
        said = next(line for line in log.read_text("utf-8").splitlines() if "vegurtx listening on" in line)
        self.assertEqual(self.reactor_of(int(said.rpartition(":")[2])), "uvloop")
        os.kill(pid, signal.SIGTERM)
        _until(lambda: not pid_file.exists())


class Misuse(SynchronousTestCase):
    """One line on standard error, status 1, in each program; nothing else is said."""

    def assert_line(self, line: str, *arguments: str) -> None:
        """What each of the programs says."""
        for program in ([*TWISTD, "-n", "--pidfile=", "vegur"], MODULE):
            outcome = run_program([*program, *arguments])
            self.assertEqual(outcome.err, f"vegurtx: {line}\n", outcome.err)
            self.assertEqual((outcome.status, outcome.out), (1, ""))

    def test_unknown_option(self) -> None:
        """twistd would print all its help."""
        self.assert_line("option --nope not recognized", "--nope")

    def test_router(self) -> None:
        """A router that is not there."""
        self.assert_line("router 'nowhere.R': there is no module 'nowhere'", "--router", "nowhere.R")

    def test_port_in_use(self) -> None:
        """The port is named. A daemon says it, too, before it becomes one."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            listener = [
                "--interface",
                "127.0.0.1",
                "--port",
                str(port),
                "--router",
                "examples.toy_router.ToyRouter",
            ]
            line = f"cannot listen on 127.0.0.1:{port}: Address already in use"
            self.assert_line(line, *listener)
            self.assertEqual(
                run_program([*TWISTD, "--pidfile=", "vegur", *listener]).err, f"vegurtx: {line}\n"
            )

    def test_interface(self) -> None:
        """An address that is none, and one that is not ours (RFC 5737)."""
        for interface, reason in (
            ("localhost", "not an IP address"),
            ("192.0.2.1", "Cannot assign requested address"),
        ):
            line = f"cannot listen on {interface}:8080: {reason}"
            self.assert_line(line, "--interface", interface, "--router", "examples.toy_router.ToyRouter")


class Plugin(SynchronousTestCase):
    """What twistd finds."""

    def test_listed(self) -> None:
        """The command is in twistd's help, and finding it loads nothing of the package but the plugin."""
        outcome = run_program([*TWISTD, "--help"])
        self.assertIn("vegur ", outcome.out)
        self.assertIn("An HTTP proxy that you program in Python.", " ".join(outcome.out.split()))
        check = "import sys, twisted.plugins.vegurtx_plugin; assert 'vegurtx' not in sys.modules, sorted(sys.modules)"
        self.assertEqual(run_program(["-c", check]), (0, "", ""))

    def test_environment_of_tests(self) -> None:
        """The tests' programs see this checkout."""
        self.assertIn(str(ROOT), environment()["PYTHONPATH"])


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()
