"""The real program with workers: served evenly, restarted, reloaded, stopped, and orphaned."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

from tests.cli.cli_case import MODULE, ROOT, TWISTD, environment, run_program
from tests.ops.workers_case import PATIENCE, ROUTER, Load, WorkersCase, until, watched
from vegurtx.testing import BlockingClient, ProcessFailed, ProxyProcess, ThreadedBackend

STICKY = """
services:
  - name: one
    matcher: /
    sticky: {{cookie: who}}
    replicas:
      - url: {0}
      - url: {1}
"""


class Serving(WorkersCase):
    """As one process would."""

    def test_both_serve(self) -> None:
        """Clients are served by both, about evenly; the supervisor says once where they listen."""
        proxy = self.start()
        served = [self.ask(proxy.port) for _ in range(100)]
        self.assertEqual(len(set(served)), 2)
        self.assertNotIn(proxy.pid, served)
        # Each client goes to either with the same chance: fewer than 20 of 100 come once in 10**9 runs.
        self.assertGreater(min(served.count(each) for each in set(served)), 20)
        self.assertEqual(proxy.output.count("vegurtx listening on"), 1)
        self.assertEqual(proxy.stop(PATIENCE), 0)
        self.assert_clean(proxy)

    def test_all_listeners(self) -> None:
        """PROXY headers and a UNIX socket's clients reach the workers, too; the socket's file is removed in the end."""
        path = self.folder / "socket"
        proxy = self.start("--proxy-port", "0", "--listen", f"unix:{path}", listeners=2)
        with BlockingClient(proxy.addresses[1][1]) as client:
            client.send(b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n")
            response = client.request("GET", "/")
            self.assertIn(["X-Forwarded-For", "192.0.2.7"], json.loads(response.body)["headers"])
        with socket.socket(socket.AF_UNIX) as client_socket:
            client_socket.settimeout(PATIENCE)
            client_socket.connect(str(path))
            client_socket.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
            self.assertIn(b" 200 Status\r\n", client_socket.recv(65536))
        proxy.stop(PATIENCE)
        self.assertFalse(path.exists())

    def test_sticky_sessions(self) -> None:
        """A cookie that one worker has made is good for all of them."""
        other = ThreadedBackend(name="the other")
        self.addCleanup(other.stop)
        config = self.folder / "config.yaml"
        config.write_text(STICKY.format(self.backend.url, other.url), "utf-8")
        proxy = self.start("--config", str(config), router=None)
        with BlockingClient(proxy.port) as client:
            response = client.request("GET", "/")
        cookie = (response.header("Set-Cookie") or "").partition(";")[0]
        self.assertEqual(
            (response.status, cookie[:4]),
            (200, "who="),
            response.raw if hasattr(response, "raw") else response,
        )
        first = json.loads(response.body)["backend"]
        for _ in range(20):
            with BlockingClient(proxy.port) as client:
                response = client.request("GET", "/", headers=[("Host", "x"), ("Cookie", cookie)])
                self.assertEqual(json.loads(response.body)["backend"], first)

    def test_systemd(self) -> None:
        """A socket that systemd has opened is served by all, after a program upgrade, too."""
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
            # What systemd does: descriptor 3, and the process's own number.
            start = (
                "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ |= {'LISTEN_FDS': '1', "
                "'LISTEN_FDNAMES': 'web', 'LISTEN_PID': str(os.getpid())}; os.execv(sys.executable, sys.argv[2:])"
            )
            command = [sys.executable, *MODULE, "--router", ROUTER, "--workers", "2"]
            command += ["--listen", "systemd:domain=INET:index=0"]
            process = subprocess.Popen(
                [sys.executable, "-c", start, str(sock.fileno()), *command],
                cwd=self.folder,
                env=environment(self.added),
                pass_fds=[sock.fileno()],
                stdout=subprocess.PIPE,
                text=True,
            )
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        before = self.workers(port)
        process.send_signal(signal.SIGUSR2)
        self.workers(port, before)
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), 0)


class Deaths(WorkersCase):
    """Who follows a worker that has gone."""

    def test_killed_under_load(self) -> None:
        """A worker that is killed is replaced; the other one serves on; clients who wait for the new one are served."""
        proxy = self.start()
        first = self.workers(proxy.port)
        victim = min(first)
        with Load(proxy.port) as load:
            load.more()
            os.kill(victim, signal.SIGKILL)
            proxy.wait_for(f"(process {victim}) has ended by SIGKILL", PATIENCE)
            new = self.workers(proxy.port, first, count=1)
            until(lambda: load.answers[next(iter(new))])
        # Its connections were lost with it; every client could connect again.
        self.assertLessEqual(len(load.failures), 4, load.failures)
        self.assertEqual(proxy.stop(PATIENCE), 0)

    def test_told_to_end(self) -> None:
        """A worker that gets SIGTERM drains, and another one takes its place: no request fails."""
        proxy = self.start()
        first = self.workers(proxy.port)
        with Load(proxy.port) as load, watched(*first) as all_ended:
            for victim in first:
                load.more()
                os.kill(victim, signal.SIGTERM)
            self.workers(proxy.port, first)
            all_ended()
            load.more()
        self.assertEqual(load.failures, [])

    def test_dies_at_the_start(self) -> None:
        """Who cannot start is tried again, with its own words in the log; when it can, it serves."""
        start = "import os, sys; os.environ['SUPERVISOR'] = str(os.getpid()); sys.argv[0] = 'vegurtx'; "
        (self.folder / "broken").touch()
        command = [sys.executable, "-c", start + "from vegurtx.cli.main import main; main()"]
        command += ["--router", "tests.ops.workers_case.unreliable", "--workers", "1", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--interface", "127.0.0.1"],
            cwd=self.folder,
            env=environment(self.added),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        said = ""
        for line in process.stdout:
            said += line
            if "2 in a row have ended before they were ready" in line:
                (self.folder / "broken").unlink()
            if "vegurtx listening on" in line:
                break
        self.assertIn("worker 0 says: vegurtx: router 'tests.ops.workers_case.unreliable'", said)
        self.assertIn("RuntimeError: broken\\x1b[31m", said)
        self.assertIn("has ended with status 1", said)
        process.terminate()
        self.assertEqual(process.wait(PATIENCE), 0)

    def test_supervisor_killed(self) -> None:
        """Workers without a supervisor end by themselves."""
        proxy = self.start()
        with watched(*self.workers(proxy.port)) as all_ended:
            os.kill(proxy.pid, signal.SIGKILL)
            all_ended()


class Signals(WorkersCase):
    """What the supervisor is told, all are."""

    def test_reload(self) -> None:
        """SIGHUP reaches both."""
        proxy = self.start()
        proxy.signal(signal.SIGHUP)
        for number in (0, 1):
            proxy.wait_for(f"worker {number}] SIGHUP: there are no certificates", PATIENCE)

    def test_drain(self) -> None:
        """On SIGTERM a running request ends in order, then the supervisor does, and leaves nobody behind."""
        for program in ("module", "twistd"):
            proxy = self.start(program=program)
            with watched(*self.workers(proxy.port)) as all_ended, BlockingClient(proxy.port) as client:
                self.begin_upload(client)
                proxy.signal(signal.SIGTERM)
                proxy.wait_for("draining: 1 client connections", PATIENCE)
                client.send(b"hi")
                response = client.receive_response()
                self.assertEqual((response.status, response.header("Connection")), (200, "close"))
                self.assertEqual(proxy.wait(PATIENCE), 0)
                all_ended()
            self.assert_clean(proxy)

    def test_hard_stop(self) -> None:
        """A client that stays is cut off in time."""
        proxy = self.start("--hard-stop-after", "0.1")
        with BlockingClient(proxy.port) as client:
            self.begin_upload(client)
            self.assertEqual(proxy.stop(PATIENCE), 0)
            self.assertEqual(client.closed(), "reset")
        self.assertIn("1 client connections are cut off (H24)", proxy.output)

    def test_twice(self) -> None:
        """A second SIGTERM, a while later, waits for no client; with workers and without."""
        for workers in ("2", None):
            proxy = self.start(workers=workers)
            with BlockingClient(proxy.port) as client:
                self.begin_upload(client)
                proxy.signal(signal.SIGTERM)
                proxy.wait_for("draining: 1 client connections", PATIENCE)
                until(lambda proxy=proxy: self.impatient(proxy))  # type: ignore[misc]
                self.assertEqual(proxy.wait(PATIENCE), 0)

    def test_without_workers(self) -> None:
        """One process alone ends with status 0 as well, whichever program it is."""
        for program in ("module", "twistd", "twist"):
            proxy = self.start(program=program, workers=None)
            self.assertEqual(self.ask(proxy.port), proxy.pid)
            self.assertEqual(proxy.stop(PATIENCE), 0)
            self.assert_clean(proxy)

    def impatient(self, proxy: ProxyProcess) -> bool:
        """Once more, please; whether that has helped."""
        proxy.signal(signal.SIGTERM)
        try:
            proxy.wait_for("are cut off (H24)", 0.5)
        except ProcessFailed:
            return False
        return True

    def begin_upload(self, client: BlockingClient) -> None:
        """The first half of a request that is at the back-end."""
        before = self.backend.requests
        client.send(b"POST /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nxx")
        until(lambda: self.backend.requests > before)


class Misuse(WorkersCase):
    """One clear line."""

    def test_value(self) -> None:
        """A number, or ``auto``."""
        for value in ("0", "-1", "513", "many", ""):
            outcome = run_program([*MODULE, "--router", ROUTER, "--workers", value])
            line = f"--workers: {value!r} is not allowed; it must be a whole number from 1 to 512, or auto"
            self.assertEqual(outcome, (1, "", f"vegurtx: {line}\n"))

    def test_port_in_use(self) -> None:
        """It is told at once, by a daemon, too; a second instance does not join the first one's sockets."""
        proxy = self.start("--hard-stop-after", "1")
        options = [
            "--workers",
            "2",
            "--router",
            ROUTER,
            "--port",
            str(proxy.port),
            "--interface",
            "127.0.0.1",
        ]
        line = f"vegurtx: cannot listen on 127.0.0.1:{proxy.port}: Address already in use\n"
        for program in (MODULE, [*TWISTD, "--pidfile=", "vegur"]):
            outcome = run_program([*program, *options], added={**self.added, "PYTHONPATH": str(ROOT)})
            self.assertEqual(outcome, (1, "", line))

    def test_endpoint(self) -> None:
        """An endpoint that cannot be shared."""
        options = ["--workers", "2", "--router", ROUTER, "--listen", "stdio:"]
        line = "vegurtx: --workers: 'stdio:' cannot be shared by several processes\n"
        self.assertEqual(run_program([*MODULE, *options]), (1, "", line))
