"""What the tests of worker processes share: the program with two workers, a load on it, and its router."""

from __future__ import annotations

import contextlib
import os
import select
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.cli_case import ROOT
from vegurtx import Backend, Router
from vegurtx.testing import BlockingClient, ProxyProcess, ThreadedBackend

ROUTER = "tests.ops.workers_case.Here"
#: seconds; a Python on a busy machine starts slowly
PATIENCE = 60.0


class Here(Router):
    """The back-end of the test; the answer says which process has served it."""

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> int:
        """There is one."""
        return int(os.environ["BACKEND_PORT"])

    def service_backend(self, port: int, request: Any, state: Any) -> Backend:
        """On loopback."""
        return Backend("127.0.0.1", port, keepalive="default")

    def additional_headers(self, direction: str, log: Any, request: Any, state: Any) -> list[tuple[str, str]]:
        """Who serves."""
        return [("Worker", str(os.getpid()))] if direction == "downstream" else []


def unreliable() -> Here:
    """A router that cannot be had in a worker while the file ``broken`` is there."""
    if os.path.exists("broken") and os.environ.get("SUPERVISOR") != str(os.getpid()):
        raise RuntimeError("broken\x1b[31m")
    return Here()


class WorkersCase(SynchronousTestCase):
    """A back-end, a folder, and the program with workers."""

    def setUp(self) -> None:
        """Start the back-end."""
        self.backend = ThreadedBackend()
        self.addCleanup(self.backend.stop)
        made = tempfile.TemporaryDirectory(prefix="vegurtx-")
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        self.added = {"BACKEND_PORT": str(self.backend.port)}
        self.reactor = "epoll" if os.environ.get("VEGURTX_TEST_REACTOR", "epoll") == "epoll" else None

    def start(
        self, *options: str, router: str | None = ROUTER, workers: str | None = "2", **how: Any
    ) -> ProxyProcess:
        """Start the program; it is killed after the test."""
        how = {"program": "module", "reactor": self.reactor, "cwd": str(self.folder), **how}
        asked = [] if workers is None else ["--workers", workers]
        proxy = ProxyProcess(
            router,
            [*asked, *options],
            environment={**self.added, **how.pop("added", {})},
            path=[str(ROOT)],
            timeout=PATIENCE,
            **how,
        )
        self.addCleanup(proxy.kill)
        return proxy

    def ask(self, port: int) -> int:
        """Which process serves a client."""
        with BlockingClient(port, timeout=PATIENCE) as client:
            response = client.request("GET", "/")
        self.assertEqual(response.status, 200)
        return int(response.header("Worker") or 0)

    def workers(self, port: int, others_than: set[int] = frozenset(), count: int = 2) -> set[int]:  # type: ignore[assignment]
        """The processes that serve; waits until there are `count` of them besides `others_than`."""
        found: set[int] = set()

        def all_seen() -> bool:
            found.add(self.ask(port))
            return len(found - others_than) == count

        until(all_seen)
        return found - others_than

    def assert_clean(self, proxy: ProxyProcess) -> None:
        """It has nothing to complain of."""
        for word in ("Traceback", "Unhandled", "#error", "#critical"):
            self.assertNotIn(word, proxy.output)


class Load:
    """Clients in threads, some on connections that stay. Leaving it stops them.

    :param port: where they ask.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.answers: Counter[int] = Counter()
        """How many answers each process gave."""
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._ask, args=(each,)) for each in (1, 3, 100, 10**9)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def more(self, count: int = 100) -> None:
        """Wait until there are so many answers more."""
        wanted = self.answers.total() + count
        until(lambda: self.answers.total() >= wanted)

    def _ask(self, requests: int) -> None:
        """So many requests a connection, as long as the proxy keeps it."""
        while not self._over.is_set():
            try:
                with BlockingClient(self._port, timeout=PATIENCE) as client:
                    for _ in range(requests):
                        response = client.request("GET", "/bytes/1000")
                        with self._lock:
                            self.answers[int(response.header("Worker") or 0)] += 1
                        if response.status != 200:
                            self.failures.append(f"status {response.status}")
                        if response.header("Connection") == "close" or self._over.is_set():
                            break
            except Exception as error:
                self.failures.append(repr(error))


@contextlib.contextmanager
def watched(*pids: int) -> Iterator[Callable[[], None]]:
    """Gives a function that waits until all these processes, of whomever they are children, have ended."""
    descriptors = [os.pidfd_open(pid) for pid in pids]

    def ended() -> None:
        for descriptor in descriptors:
            assert select.select([descriptor], [], [], PATIENCE)[0], "a process has not ended"

    try:
        yield ended
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def until(condition: Callable[[], object]) -> None:
    """Wait until `condition()`."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        os.sched_yield()
