"""The access log of the real program: rotated, cut short by limits, and without anybody who reads it."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.cli_case import ROOT
from tests.ops.workers_case import PATIENCE, ROUTER, until
from vegurtx.testing import BlockingClient, ProxyProcess, ThreadedBackend


class ProgramCase(SynchronousTestCase):
    """A back-end, a folder, and the program with an access log in it."""

    def setUp(self) -> None:
        """Start the back-end."""
        self.backend = ThreadedBackend()
        self.addCleanup(self.backend.stop)
        made = tempfile.TemporaryDirectory(prefix="vegurtx-")
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        self.path = self.folder / "access.log"

    def start(self, *options: str, path: Path | None = None) -> ProxyProcess:
        """Start the program."""
        proxy = ProxyProcess(
            ROUTER,
            ["--access-log", str(path or self.path), "--log-format", "json", *options],
            program="module",
            reactor="epoll" if os.environ.get("VEGURTX_TEST_REACTOR", "epoll") == "epoll" else None,
            environment={"BACKEND_PORT": str(self.backend.port)},
            path=[str(ROOT)],
            cwd=str(self.folder),
            timeout=PATIENCE,
        )
        self.addCleanup(proxy.kill)
        return proxy

    def ask(self, client: BlockingClient, path: str) -> None:
        """A request that is served."""
        self.assertEqual(client.request("GET", path).status, 200)

    def paths(self, *files: Path) -> list[str]:
        """What was asked for, by the lines of `files`; each of them is whole."""
        lines: list[Any] = []
        for file in files:
            text = file.read_text("ascii")
            self.assertTrue(not text or text.endswith("\n"), text[-300:])
            lines += map(json.loads, text.splitlines())
        return [line["path"] for line in lines]


class Rotation(ProgramCase):
    """As logrotate does it: move the file away, then signal."""

    def rotated(self, *options: str) -> None:
        """Requests go on while it is done ten times: each has its line, once, in the order of the files."""
        proxy = self.start(*options)
        files: list[Path] = []
        asked: list[str] = []
        with BlockingClient(proxy.port, timeout=PATIENCE) as client:
            for turn in range(10):
                for number in range(30):
                    asked.append(f"/{turn}/{number}")
                    self.ask(client, asked[-1])
                files.append(self.path.with_suffix(f".{turn}"))
                self.path.rename(files[-1])
                for number in range(30):
                    asked.append(f"/{turn}/moved/{number}")
                    self.ask(client, asked[-1])
                os.kill(proxy.pid, signal.SIGUSR1)
                until(self.path.exists)
        self.assertEqual(proxy.stop(PATIENCE), 0)
        self.assertEqual(self.paths(*files, self.path), asked)

    def test_one_process(self) -> None:
        """SIGUSR1 to the program."""
        self.rotated()

    def test_workers(self) -> None:
        """SIGUSR1 to the supervisor, which tells its worker."""
        self.rotated("--workers", "1")


class Obstacles(ProgramCase):
    """What keeps lines from being written keeps nobody from being served, and the log says so."""

    def test_too_large(self) -> None:
        """The kernel lets the file grow no more; what is in it are whole lines, and a piece of one at the most."""
        proxy = self.start()
        resource.prlimit(proxy.pid, resource.RLIMIT_FSIZE, (2000, 2000))
        with BlockingClient(proxy.port, timeout=PATIENCE) as client:
            for number in range(50):
                self.ask(client, f"/{number}")
            proxy.wait_for("lines lost so far ([Errno 27] File too large)", PATIENCE)
            self.ask(client, "/still")
        self.assertEqual(proxy.stop(PATIENCE), 0)
        self.assertEqual(proxy.output.count("lines lost so far"), 1)
        self.assertLessEqual(self.path.stat().st_size, 2000)
        whole = self.path.read_text("ascii").rpartition("\n")[0]
        self.assertGreater(len(list(map(json.loads, whole.splitlines()))), 1)

    def test_full(self) -> None:
        """A full disk: nothing is written, and everything served."""
        proxy = self.start(path=Path("/dev/full"))
        with BlockingClient(proxy.port, timeout=PATIENCE) as client:
            for number in range(10):
                self.ask(client, f"/{number}")
            proxy.wait_for("lines lost so far ([Errno 28] No space left on device)", PATIENCE)
            self.ask(client, "/still")
        self.assertEqual(proxy.stop(PATIENCE), 0)

    def test_nobody_reads(self) -> None:
        """A named pipe without a reader: the program starts, serves, and ends; a reader who comes gets what follows."""
        os.mkfifo(self.path)
        proxy = self.start()
        with BlockingClient(proxy.port, timeout=PATIENCE) as client:
            self.ask(client, "/lost")
            proxy.wait_for("1 lines lost so far ([Errno 6] Nobody reads from the pipe)", PATIENCE)
            reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
            self.addCleanup(os.close, reader)
            self.ask(client, "/read")
            readable = select.poll()
            readable.register(reader, select.POLLIN)
            self.assertTrue(readable.poll(PATIENCE * 1000))
            self.assertEqual(json.loads(os.read(reader, 65536))["path"], "/read")
        self.assertEqual(proxy.stop(PATIENCE), 0)

    def test_removed(self) -> None:
        """The file and its folder are gone; when the folder is there again, so is a file."""
        folder = self.folder / "logs"
        folder.mkdir()
        path = folder / "access.log"
        proxy = self.start(path=path)
        with BlockingClient(proxy.port, timeout=PATIENCE) as client:
            path.unlink()
            folder.rmdir()
            self.ask(client, "/lost")
            proxy.wait_for("1 lines lost so far ([Errno 2] No such file or directory", PATIENCE)
            folder.mkdir()
            self.ask(client, "/kept")
        self.assertEqual(proxy.stop(PATIENCE), 0)
        self.assertEqual(self.paths(path), ["/kept"])
