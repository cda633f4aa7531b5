"""The systemd units and the logrotate snippet: judged by systemd's own tool, and tried with the real program."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from deploy_case import DEPLOY, ROOT, Running, free_port, get, run, tool
from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Settings

pytestmark = pytest.mark.once

UNITS = DEPLOY / "systemd"
FILE = "services: [{name: web, matcher: /, replicas: [{url: 'http://127.0.0.1:9'}]}]\n"


def unit(name: str) -> configparser.RawConfigParser:
    """A unit's keys; of those that come several times, the last one."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(re.sub(r"\\\n\s*", "", (UNITS / name).read_text("utf-8")))
    return parser


class Case(SynchronousTestCase):
    """What they share: a folder, and the program's environment."""

    def setUp(self) -> None:
        """Make them."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
        self.environment = {**os.environ, "PYTHONPATH": path}

    def start(self, *words: str) -> Running:
        """A program that is ended after the test."""
        running = Running(words, self.folder / "output", self.environment)
        self.addCleanup(running.kill)
        return running

    def command(self) -> list[str]:
        """The service's command, with this test's Python, paths and number of workers."""
        (self.folder / "config.yaml").write_text(FILE, "utf-8")
        line = unit("vegurtx.service")["Service"]["ExecStart"]
        for place in ("/etc/vegurtx", "/run/vegurtx", "/var/log/vegurtx"):
            line = line.replace(place, str(self.folder))
        words = shlex.split(line.replace("--workers auto", "--workers 2"))
        self.assertEqual(words[0], "/opt/vegurtx/bin/python")
        return [sys.executable, *words[1:]]


class Units(Case):
    """What stands in them."""

    def test_verify(self) -> None:
        """``systemd-analyze verify`` finds nothing, once the program is where the unit says."""
        for name in ("vegurtx.service", "vegurtx.socket"):
            text = (UNITS / name).read_text("utf-8").replace("/opt/vegurtx/bin/python", sys.executable)
            (self.folder / name).write_text(text, "utf-8")
        said = run(tool("systemd-analyze"), "verify", *sorted(self.folder.glob("vegurtx.*")))
        self.assertEqual(said, "")

    def test_hardened(self) -> None:
        """systemd's own measure of exposure: 0 is none, 10 is all of it."""
        said = run(tool("systemd-analyze"), "security", "--offline=true", UNITS / "vegurtx.service")
        found = re.search(r"exposure level for vegurtx\.service: ([0-9.]+)", said)
        assert found is not None, said
        self.assertLess(float(found[1]), 2.0)

    def test_drain_has_time(self) -> None:
        """systemd waits for longer than the drain may last, its workers' last seconds included."""
        patience = float(unit("vegurtx.service")["Service"]["TimeoutStopSec"])
        self.assertGreater(patience, Settings().hard_stop_after + 5)

    def test_descriptors(self) -> None:
        """There are enough of them for as many clients as the settings allow, each with its back-end."""
        limit = int(unit("vegurtx.service")["Service"]["LimitNOFILE"])
        self.assertGreater(limit, 2 * Settings().max_connections)

    def test_one_socket(self) -> None:
        """What the service listens on is what the socket unit opens: one socket, of IPv4."""
        socket = unit("vegurtx.socket")["Socket"]
        self.assertRegex(socket["ListenStream"], r"\A0\.0\.0\.0:\d+\Z")
        self.assertIn("--listen systemd:domain=INET:index=0", unit("vegurtx.service")["Service"]["ExecStart"])
        self.assertIn("vegurtx.socket", unit("vegurtx.service")["Unit"]["Requires"])


class Activated(Case):
    """The service's own command, with a socket that systemd's tool has opened."""

    def test_serves(self) -> None:
        """The client whose connection has started it is served; SIGTERM ends all of it with status 0."""
        port = free_port()
        # the service manager names its sockets by itself, after their unit
        program = self.start(
            tool("systemd-socket-activate"),
            f"--listen=127.0.0.1:{port}",
            "--fdname=vegurtx.socket",
            *self._variables(),
            *self.command(),
        )
        program.said("Listening on")
        self.assertEqual(get(port)[0], 503)  # by the proxy: nobody listens on the back-end's port
        program.said("2 workers serve")
        self.assertTrue((self.folder / "admin.sock").is_socket())
        self.assertEqual(program.stop(), 0)
        self.assertNotIn("Traceback", program.log.read_text("utf-8"))

    def _variables(self) -> list[str]:
        """What the tool hands over of the environment: of itself, nothing but the path."""
        return [f"--setenv=PYTHONPATH={self.environment['PYTHONPATH']}"]


class Rotated(Case):
    """The logrotate snippet, with this test's paths and its own way to the program."""

    def test_rotation(self) -> None:
        """The old file is moved away, new lines come into a new one, and none is lost."""
        program = self.start(
            *(sys.executable, "-m", "vegurtx", "--config", str(self._config()), "--port", "0"),
            *("--interface", "127.0.0.1", "--access-log", str(self.folder / "access.log")),
        )
        port = int(program.said(r"vegurtx listening on 127\.0\.0\.1:(\d+)")[1])
        text = (DEPLOY / "logrotate/vegurtx").read_text("utf-8")
        text = text.replace("/var/log/vegurtx", str(self.folder)).replace("    notifempty\n", "")
        send = f"kill -USR1 {program.process.pid}"
        self.assertIn("systemctl kill --kill-whom=main --signal=SIGUSR1 vegurtx.service", text)
        text = text.replace("systemctl kill --kill-whom=main --signal=SIGUSR1 vegurtx.service", send)
        snippet = self.folder / "snippet"
        snippet.write_text(text, "utf-8")
        snippet.chmod(0o644)
        self.folder.chmod(0o755)
        for number in range(3):
            get(port, f"/request-{number}")
            run(tool("logrotate"), "--force", "--state", self.folder / "state", snippet)
        self.assertEqual(program.stop(), 0)
        files = sorted(self.folder.glob("access.log*"))
        self.assertGreater(len(files), 1, files)
        lines = [line for path in files for line in _text(path).splitlines()]
        self.assertEqual(sorted(re.findall(r'path="/request-(\d)"', "\n".join(lines))), ["0", "1", "2"])
        self.assertEqual(len(lines), 3)

    def _config(self) -> Path:
        path = self.folder / "config.yaml"
        path.write_text(FILE, "utf-8")
        return path


def _text(path: Path) -> str:
    if path.suffix != ".gz":
        return path.read_text("utf-8")
    import gzip

    return gzip.decompress(path.read_bytes()).decode("utf-8")
