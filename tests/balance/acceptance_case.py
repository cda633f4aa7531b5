"""What the balancer's acceptance shares: the real program with a file, replicas that die and come back, and clients."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from vegurtx.testing import BlockingClient, ProxyProcess, ThreadedBackend

ROOT = Path(__file__).resolve().parents[2]

#: seconds after which something that was waited for will not come any more
PATIENCE = 60.0

_REACTORS = {"epoll": "epoll", "uvloop": None}
_LISTENING = re.compile(rb"demo back-end listening on \S+:(\d+)")


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that the program, or another process, does.

    :raises AssertionError: it does not happen.
    """
    deadline = time.monotonic() + PATIENCE
    turn = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        turn.wait(0.005)


class DemoReplica:
    """A demo back-end in a process of its own, which dies and comes back where it was.

    It has a loopback address of its own: nobody else can take its port while it is dead.
    """

    def __init__(self) -> None:
        self.host = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """As the file has it."""
        return f"http://{self.host}:{self.port}"

    @property
    def greeting(self) -> bytes:
        """How its answers begin."""
        return b"Hello from port %d:" % self.port

    def start(self) -> None:
        """Listen, at the port that it had if it has had one."""
        command = [sys.executable, "-m", "vegurtx", "demo-backend", "--until-eof"]
        command += ["--interface", self.host, "--port", str(self.port)]
        process = self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        said = _LISTENING.match(process.stdout.readline())
        assert said is not None, "the demo back-end does not listen"
        self.port = int(said[1])

    def kill(self) -> None:
        """Die at once, in the middle of whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                with contextlib.suppress(OSError):
                    stream.close()


class Clients:
    """Some clients in threads, each asking again and again on a connection of its own. Leaving it ends them.

    :param port: whom they ask.
    :param count: how many they are.
    """

    def __init__(self, port: int, count: int, target: str = "/") -> None:
        self._port = port
        self._target = target
        self._over = threading.Event()
        self.answers: list[bytes] = []
        """The bodies of all answers with the status 200."""
        self.failures: list[str] = []
        """Whatever else came."""
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]

    def __enter__(self) -> Clients:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def go_on(self, count: int = 100) -> None:
        """Wait until `count` more answers have come."""
        enough = len(self.answers) + len(self.failures) + count
        until(lambda: len(self.answers) + len(self.failures) >= enough, f"{count} answers")

    def until_answer(self, start: bytes) -> None:
        """Wait until one of the answers from now on begins with `start`."""
        seen = len(self.answers)
        until(lambda: any(one.startswith(start) for one in self.answers[seen:]), f"an answer {start!r}")

    def _ask(self) -> None:
        try:
            with BlockingClient(self._port, timeout=PATIENCE) as client:
                while not self._over.is_set():
                    response = client.request("GET", self._target)
                    if response.status == 200:
                        self.answers.append(response.body)
                    else:
                        self.failures.append(f"{response.status} {response.body!r}")
        except Exception as error:
            self.failures.append(repr(error))


class RudeReplica:
    """A replica that reads a little of whatever comes, says the same to everybody, and hangs up.

    :param answer: what it says; ``None``: nothing, and it does not hang up either.
    """

    def __init__(self, answer: bytes | None = b"") -> None:
        self.answer = answer
        self.taken: list[socket.socket] = []
        """Connections that it keeps."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        for one in [self._listener, *self.taken]:
            one.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                if self.answer is None:
                    self.taken.append(connection)
                    continue
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(PATIENCE)
                    connection.recv(65536)
                    connection.sendall(self.answer)


class AcceptanceCase(SynchronousTestCase):
    """The real program with a file, in a folder of its own. It must not leave a traceback in its log."""

    def setUp(self) -> None:
        """Make the folder."""
        folder = TemporaryDirectory(prefix="vegurtx-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, text: str) -> None:
        """Put a file in the place of the configuration, in one step, as an editor does."""
        (self.folder / "new.yaml").write_text(dedent(text), "utf-8")
        os.replace(self.folder / "new.yaml", self.folder / "config.yaml")

    def start(self, text: str, *options: str) -> ProxyProcess:
        """The program with this file; it is stopped, and its log looked at, after the test."""
        self.write(text)
        proxy = ProxyProcess(
            None,
            ["--config", "config.yaml", *options],
            reactor=_REACTORS[os.environ.get("VEGURTX_TEST_REACTOR", "epoll")],
            path=[str(ROOT), str(self.folder)],
            cwd=str(self.folder),
        )
        self.addCleanup(self._end, proxy)
        return proxy

    def _end(self, proxy: ProxyProcess) -> None:
        try:
            if proxy.running:
                proxy.stop(PATIENCE)
        finally:
            proxy.kill()
        for word in ("Traceback", "Unhandled", "#critical"):
            self.assertNotIn(word, proxy.output)

    def reload(self, proxy: ProxyProcess, text: str, answer: str = "config.yaml: loaded") -> None:
        """Another file, SIGHUP, and what the program says to it."""
        said = proxy.output.count(answer)
        self.write(text)
        proxy.signal(signal.SIGHUP)
        until(lambda: proxy.output.count(answer) > said, f"{answer!r}: {proxy.output[-2000:]}")

    def backends(self, *names: str) -> list[ThreadedBackend]:
        """Back-ends in threads, which say their names."""
        found = [ThreadedBackend(name=name) for name in names]
        for backend in found:
            self.addCleanup(backend.stop)
        return found

    def demo_replicas(self, count: int) -> list[DemoReplica]:
        """Demo back-ends in processes."""
        found = []
        for _ in range(count):
            replica = DemoReplica()
            self.addCleanup(replica.kill)
            found.append(replica)
        return found
