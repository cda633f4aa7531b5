"""What was tried against the running program: signals at the wrong time, files that go away. Each was a defect once."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.cli.cli_case import MODULE, environment, run_program
from tests.ops.workers_case import PATIENCE, ROUTER, WorkersCase, until
from vegurtx.testing import BlockingClient, self_signed


class Upgrades(WorkersCase):
    """SIGUSR2, when what the program was started with is not there any more. The running one must stay."""

    def test_log_folder_has_gone(self) -> None:
        """The check looks for it, as the start does."""
        (self.folder / "logs").mkdir()
        proxy = self.start("--access-log", "logs/access.log", workers="1")
        shutil.rmtree(self.folder / "logs")
        proxy.signal(signal.SIGUSR2)
        proxy.wait_for(
            "the running program stays, the new one cannot follow: vegurtx: --access-log: ", PATIENCE
        )
        self.ask(proxy.port)
        self.assertEqual(proxy.stop(PATIENCE), 0)

    def test_certificate_of_an_endpoint(self) -> None:
        """The check reads it, whatever way it was given."""
        made = self_signed("a.example")
        (self.folder / "both.pem").write_bytes(made.certificate + made.key)
        endpoint = "ssl:0:privateKey=both.pem:certKey=both.pem:interface=127.0.0.1"
        proxy = self.start("--listen", endpoint, workers="1")
        (self.folder / "both.pem").write_bytes(b"nothing")
        proxy.signal(signal.SIGUSR2)
        proxy.wait_for("the running program stays, the new one cannot follow: vegurtx: --listen: ", PATIENCE)
        self.ask(proxy.port)
        self.assertEqual(proxy.stop(PATIENCE), 0)


class Signals(WorkersCase):
    """Without workers."""

    def test_not_for_us(self) -> None:
        """SIGUSR1 without an access log, and SIGUSR2, change nothing, and end nothing."""
        proxy = self.start(workers=None)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            proxy.signal(number)
            proxy.wait_for(f"{number.name} changes nothing", PATIENCE)
        self.ask(proxy.port)
        self.assertEqual(proxy.stop(PATIENCE), 0)
        self.assert_clean(proxy)

    def test_while_it_starts(self) -> None:
        """They wait until there is somebody to hear them; with workers and without."""
        asked = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
        for workers in ([], ["--workers", "1"]):
            process = subprocess.Popen(
                [sys.executable, *MODULE, "--router", ROUTER, "--port", "0", *workers],
                cwd=self.folder,
                env=environment(self.added),
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            for each in (process.stdout.close, process.wait, process.kill):  # the last one first
                self.addCleanup(each)
            until(lambda pid=process.pid: _holds_back(pid, asked))
            for number in asked:
                process.send_signal(number)
            for line in process.stdout:
                if ("SIGUSR2: checking" if workers else "SIGUSR2 changes nothing") in line:
                    break
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            self.assertEqual(process.wait(PATIENCE), 0)

    def test_while_it_drains(self) -> None:
        """A drain goes on to its end, whatever else is said meanwhile."""
        proxy = self.start("--access-log", "access.log", workers=None)
        with BlockingClient(proxy.port, timeout=PATIENCE) as client:
            client.send(b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nxx")
            until(lambda: self.backend.requests > 0)
            proxy.signal(signal.SIGTERM)
            proxy.wait_for("draining: 1 client connections", PATIENCE)
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                proxy.signal(number)
            proxy.wait_for("SIGUSR2 changes nothing", PATIENCE)
            client.send(b"hi")
            self.assertEqual(client.receive_response().status, 200)
        self.assertEqual(proxy.wait(PATIENCE), 0)
        self.assert_clean(proxy)


class NothingIsLeft(WorkersCase):
    """Of a start that fails, not even the file of a UNIX socket."""

    def test_unix_sockets(self) -> None:
        """Where the admin API's port is in use, or the access log cannot be had."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = str(taken.getsockname()[1])
        path = self.folder / "proxy.sock"
        start = [*MODULE, "--router", ROUTER, "--listen", f"unix:{path}"]
        for options in (["--admin-port", port], ["--access-log", str(self.folder)]):
            for workers in ([], ["--workers", "1"]):
                with self.subTest(options=options, workers=workers):
                    outcome = run_program([*start, *options, *workers], cwd=self.folder, added=self.added)
                    self.assertEqual((outcome.status, outcome.err.count("\n")), (1, 1), outcome.err)
                    self.assertFalse(path.exists())


def _holds_back(pid: int, numbers: tuple[signal.Signals, ...]) -> bool:
    """Whether the process's signal mask has all of them."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
    except FileNotFoundError:
        return False
    mask = int(status.partition("SigBlk:")[2].split()[0], 16)
    return all(mask >> (number - 1) & 1 for number in numbers)
