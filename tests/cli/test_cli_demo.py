"""``python -m vegurtx demo``: it serves, and whatever ends it, nothing is left."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.cli_case import MODULE, PATIENCE, environment, run_program
from vegurtx.testing import BlockingClient

ROUTER = """
from vegurtx import Backend, Router

class ByPath(Router):
    def checkout_service(self, domain_group, request, state):
        return int(request.path[1:])
    def service_backend(self, port, request, state):
        return Backend("127.0.0.1", port)
"""


class RunningDemo:
    """The demo in a process; `said` has what it printed until it was ready."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *MODULE, "demo", "--router", "demo_routing.ByPath", "--port", "0", *options],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        # A demo that says nothing must not hold the test for ever.
        self._watchdog = threading.Timer(PATIENCE, self.process.kill)
        self._watchdog.start()
        self.said = self.read_until("Ctrl-C ends everything.")
        found = re.search(r"listening on 127\.0\.0\.1:(\d+), back-ends on (\d+), (\d+)\.", self.said)
        assert found is not None, self.said
        self.port, *self.backend_ports = map(int, found.groups())
        self.pids = [int(pid) for pid in re.findall(r"kill (\d+)", self.said)]

    def read_until(self, text: str) -> str:
        """What it prints, up to the line with `text`."""
        assert self.process.stdout is not None
        said = ""
        while text not in said:
            line = self.process.stdout.readline()
            assert line, f"it ended after {said!r}"
            said += line
        return said

    def wait(self) -> int:
        """Its exit status."""
        status = self.process.wait(PATIENCE)
        self.close()
        return status

    def close(self) -> None:
        """Whatever happened, end it."""
        self._watchdog.cancel()
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:  # not read to its end: a back-end that was left behind would hold it open
                stream.close()


class DemoTests(SynchronousTestCase):
    """With a router that is told by the path where to go, so that no port is fixed."""

    def setUp(self) -> None:
        """A folder with the router."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        (self.folder / "demo_routing.py").write_text(ROUTER, "utf-8")

    def start(self) -> RunningDemo:
        """A demo that is ready."""
        demo = RunningDemo(self.folder, "--backends", "0,0")
        self.addCleanup(demo.close)
        return demo

    def ask(self, demo: RunningDemo, backend_port: int) -> tuple[int, bytes]:
        """Ask a back-end through the proxy."""
        with BlockingClient(demo.port) as client:
            response = client.request("GET", f"/{backend_port}")
            return response.status, response.body

    def assert_nothing_left(self, demo: RunningDemo) -> None:
        """Every port is free again, soon."""
        for port in (demo.port, *demo.backend_ports):
            deadline = time.monotonic() + PATIENCE
            while _answers(port):
                self.assertLess(time.monotonic(), deadline, f"somebody still listens on {port}")

    def test_serves(self) -> None:
        """Both back-ends answer through the proxy, and say who they are."""
        demo = self.start()
        for port in demo.backend_ports:
            self.assertEqual(self.ask(demo, port), (200, f"Hello from port {port}: GET /{port}\n".encode()))

    def test_one_backend_ends(self) -> None:
        """What the demo advises to try: one ends, the proxy and the other go on."""
        demo = self.start()
        first, second = demo.backend_ports
        os.kill(demo.pids[0], signal.SIGTERM)
        demo.read_until(f"The back-end on port {first} has ended.")
        self.assertEqual(self.ask(demo, first)[0], 503)
        self.assertEqual(self.ask(demo, second)[0], 200)

    def test_signals_end_everything(self) -> None:
        """SIGINT and SIGTERM: status 0, not a word, nothing left."""
        for number in (signal.SIGINT, signal.SIGTERM):
            demo = self.start()
            demo.process.send_signal(number)
            out, err = demo.process.communicate(timeout=PATIENCE)
            self.assertEqual((out, err), ("", ""), err)
            self.assertEqual(demo.wait(), 0)
            self.assert_nothing_left(demo)

    def test_signals_come_together(self) -> None:
        """A terminal signals the whole group, and make its child again: still not a word."""
        demo = self.start()
        # Nobody hears the one before the other has come, too.
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            os.killpg(demo.process.pid, number)
        out, err = demo.process.communicate(timeout=PATIENCE)
        self.assertEqual(err, "", err)
        # Its back-ends may have ended before it has heard the signal itself.
        self.assertEqual([line for line in out.splitlines() if not line.endswith(" has ended.")], [])
        self.assertEqual(demo.wait(), 0)
        self.assert_nothing_left(demo)

    def test_killed(self) -> None:
        """A demo that could say no good-bye takes its back-ends with it."""
        demo = self.start()
        demo.process.kill()
        demo.wait()
        self.assert_nothing_left(demo)

    def test_port_in_use(self) -> None:
        """The proxy's, or a back-end's: one line, status 1."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            line = f"vegurtx: cannot listen on 127.0.0.1:{port}: Address already in use\n"
            for options in (
                ["--port", str(port), "--backends", "0"],
                ["--port", "0", "--backends", f"0,{port}"],
            ):
                arguments = [*MODULE, "demo", "--router", "demo_routing.ByPath", *options]
                outcome = run_program(arguments, cwd=self.folder)
                self.assertEqual(outcome.err, line)
                self.assertEqual((outcome.status, outcome.out), (1, ""))

    def test_misuse(self) -> None:
        """One line."""
        for options, line in (
            (
                ["--backends", "a"],
                "--backends: 'a' is not allowed; it must be a whole number from 0 to 65535",
            ),
            (["--router", "nowhere.R"], "router 'nowhere.R': there is no module 'nowhere'"),
        ):
            outcome = run_program([*MODULE, "demo", *options], cwd=self.folder)
            self.assertEqual(outcome, (1, "", f"vegurtx: {line}\n"))


def _answers(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
