"""What the tests of the real program under faults and attacks share: the program, and a client that must not notice."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Settings
from vegurtx.testing import BlockingClient, ProxyProcess, ThreadedBackend

ROOT = Path(__file__).resolve().parents[2]
REACTOR = {"epoll": "epoll", "uvloop": None}[os.environ.get("VEGURTX_TEST_REACTOR", "epoll")]
#: seconds after which something counts as hanging
PATIENCE = 60.0


class Bystander:
    """An ordinary client in a thread of its own: asks one request after the other, until it is stopped.

    :param port: the proxy's.
    :param host: which back-end it asks for.
    """

    def __init__(self, port: int, host: str = "0-pooled.test") -> None:
        self.answered = 0
        self.failures: list[BaseException] = []
        self._port = port
        self._host = host
        self._stopping = threading.Event()
        self._progress = threading.Condition()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            with BlockingClient(self._port, timeout=PATIENCE) as client:
                while not self._stopping.is_set():
                    response = client.request("GET", "/bytes/100", headers=[("Host", self._host)])
                    if response.status != 200 or len(response.body) != 100:
                        raise AssertionError(f"{response.status}, {len(response.body)} bytes")
                    with self._progress:
                        self.answered += 1
                        self._progress.notify_all()
        except BaseException as error:
            self.failures.append(error)
            with self._progress:
                self._progress.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until `count` more requests have been answered.

        :raises AssertionError: they were not, or not well.
        """
        wanted = self.answered + count
        with self._progress:
            good = self._progress.wait_for(lambda: self.failures or self.answered >= wanted, PATIENCE)
        if self.failures:
            raise self.failures[0]
        if not good:
            raise AssertionError(f"{self.answered} requests were answered, not {wanted}")

    def stop(self) -> None:
        """Let it end."""
        self._stopping.set()
        self._thread.join(PATIENCE)
        if self.failures:
            raise self.failures[0]


class ProgramCase(SynchronousTestCase):
    """The program before back-ends of the test; nothing that happens may leave a traceback in its log."""

    options: ClassVar[Sequence[str]] = ()

    def start(self, *ports: int, options: Sequence[str] = (), **more: Any) -> ProxyProcess:
        """The program, before a `ThreadedBackend` (``0.test``) and then `ports`."""
        self.backend = ThreadedBackend()
        self.addCleanup(self.backend.stop)
        listed = ",".join(str(port) for port in (self.backend.port, *ports))
        self.proxy = ProxyProcess(
            "tests.faults.routers.ByNumber",
            [*self.options, *options],
            reactor=REACTOR,
            environment={"FAULTS_PORTS": listed},
            path=[str(ROOT)],
            cwd=str(ROOT),
            **more,
        )
        self.addCleanup(self.proxy.stop)
        self.addCleanup(self.check_log)
        return self.proxy

    def check_log(self) -> None:
        """Whatever came, the program runs, and has no traceback to show."""
        self.assertTrue(self.proxy.running, self.proxy.output)
        for word in ("Traceback", "Unhandled", "#critical"):
            self.assertNotIn(word, self.proxy.output)

    def bystander(self, port: int | None = None) -> Bystander:
        """An ordinary client, which has had its first answers."""
        bystander = Bystander(port or self.proxy.port)
        self.addCleanup(bystander.stop)
        bystander.wait_for(20)
        return bystander

    def connect(self, port: int | None = None) -> socket.socket:
        """A bare client socket."""
        sock = socket.create_connection(("127.0.0.1", port or self.proxy.port), PATIENCE)
        self.addCleanup(sock.close)
        return sock

    def peak(self) -> int:
        """The most memory that the program has had, in bytes (Linux)."""
        with open(f"/proc/{self.proxy.pid}/status", encoding="ascii", errors="replace") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024


def settings_of(options: Sequence[str]) -> Settings:
    """The settings that the program has with these options."""
    pairs = zip(options[::2], options[1::2], strict=True)
    return Settings.from_mapping({name.removeprefix("--").replace("-", "_"): value for name, value in pairs})
