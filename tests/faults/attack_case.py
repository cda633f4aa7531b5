"""What the attacks share: a program, many sockets at once, and what must hold while they go on."""

from __future__ import annotations

import errno
import os
import resource
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.faults.memory_bound import ALLOCATOR, Bound, bound
from tests.faults.program_case import PATIENCE, REACTOR, ROOT, Bystander, settings_of
from vegurtx.testing import ProxyProcess, ThreadedBackend

#: requests that an ordinary client has answered while an attack is at its worst
ANSWERS = 30
HEAD = b"GET / HTTP/1.1\r\nHost: 0.test\r\n"


class Script:
    """A back-end for attacks: says the same again and again on each connection, once a request's head has come."""

    def __init__(self) -> None:
        self.ended = threading.Semaphore(0)
        """Released whenever the proxy has ended a connection."""
        self._first = self._said = b""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, suppress(OSError):
            while b"\r\n\r\n" not in sock.recv(65536):
                pass
            first, said = self._first, self._said
            sock.sendall(first)
            while said:
                sock.sendall(said)
        self.ended.release()

    def say(self, first: bytes, said: bytes) -> None:
        """From now on say `first`, and then `said` without an end."""
        self._first, self._said = first, said

    def stop(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class AttackCase(SynchronousTestCase):
    """The program under attack. What it may grow by is computed from its options: see `grows_by_at_most`."""

    options: ClassVar[Sequence[str]] = ()
    #: more options that are no settings, and how many listeners they make
    listeners: tuple[Sequence[str], int] = ((), 0)
    proxy: ProxyProcess
    backend: ThreadedBackend
    limits: Bound

    def ports(self) -> list[int]:
        """Of the back-ends beside the ordinary one: ``1.test`` and so on."""
        return []

    def setUp(self) -> None:
        """A program for each attack, since freed memory would hide the next one's; and an ordinary client of it."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < 16_384:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(16_384, hard), hard))
        self.limits = bound(settings_of(self.options))
        self.backend = ThreadedBackend(receive_buffer=65536)
        self.addCleanup(self.backend.stop)
        more, count = self.listeners
        self.proxy = ProxyProcess(
            "tests.faults.routers.ByNumber",
            [*self.options, *more],
            reactor=REACTOR,
            environment={"FAULTS_PORTS": ",".join(map(str, (self.backend.port, *self.ports())))},
            listeners=1 + count,
            path=[str(ROOT)],
            cwd=str(ROOT),
        )
        self.addCleanup(self.proxy.stop)
        self._sockets: list[socket.socket] = []
        self.bystander = Bystander(self.proxy.port)
        self.bystander.wait_for(ANSWERS)
        self._before = self.proxy.rss()
        self._descriptors = self.proxy.fds()
        self.addCleanup(self.check_well)  # trial calls tearDown behind the cleanups

    def check_well(self) -> None:
        """Behind the attack nothing is left of it, and the log has no traceback."""
        self.bystander.wait_for(ANSWERS)
        for sock in self._sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        for _ in range(2000):
            if self.proxy.fds() <= self._descriptors + 8:  # connections in the pool may stay
                break
            self.bystander.wait_for(1)
        else:
            self.fail(f"{self.proxy.fds()} descriptors are open, {self._descriptors} were before")
        self.bystander.stop()
        self.assertTrue(self.proxy.running, self.proxy.output)
        for word in ("Traceback", "Unhandled", "#critical"):
            self.assertNotIn(word, self.proxy.output)
        self.assertEqual(self.backend.failures, [])

    # -- the attackers ---------------------------------------------------------------------------------------------

    def attackers(
        self, count: int, says: bytes = b"", *, port: int | None = None, receive_buffer: int | None = None
    ) -> list[socket.socket]:
        """So many connections, each of which has said `says`."""
        made = []
        for number in range(count):
            sock = socket.socket()
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.settimeout(PATIENCE)
            # a source of its own for each 10,000: ports of one address are few
            sock.bind((f"127.0.0.{2 + number // 10_000}", 0))
            sock.connect(("127.0.0.1", port or self.proxy.port))
            if says:
                sock.sendall(says)
            made.append(sock)
        self._sockets += made
        return made

    def send_for_ever(self, socks: Sequence[socket.socket], says: bytes) -> dict[socket.socket, bytes]:
        """Each says `says` again and again until the proxy has ended it; return what each was told before."""
        told: dict[socket.socket, bytes] = {}
        with selectors.DefaultSelector() as selector:
            for sock in socks:
                sock.setblocking(False)
                selector.register(sock, selectors.EVENT_READ | (selectors.EVENT_WRITE if says else 0))
                told[sock] = b""
            left = len(socks)
            while left:
                ready = selector.select(PATIENCE)
                self.assertTrue(ready, f"{left} attackers wait for ever")
                for key, events in ready:
                    sock: socket.socket = key.fileobj  # type: ignore[assignment]
                    over = False
                    if events & selectors.EVENT_READ:
                        try:
                            data = sock.recv(65536)
                            told[sock] += data
                            over = not data
                        except OSError as problem:
                            over = problem.errno != errno.EAGAIN
                    if not over and says and events & selectors.EVENT_WRITE:
                        try:
                            sock.send(says)
                        except OSError as problem:
                            if problem.errno != errno.EAGAIN:
                                selector.modify(sock, selectors.EVENT_READ)
                    if over:
                        selector.unregister(sock)
                        left -= 1
        return told

    # -- what must hold --------------------------------------------------------------------------------------------

    def others_are_served(self, meanwhile: Callable[[], None] | None = None, rounds: int = 1) -> None:
        """The ordinary client has its answers; `meanwhile` is done before each third of them."""
        for _ in range(rounds):
            if meanwhile is not None:
                meanwhile()
            self.bystander.wait_for(ANSWERS // rounds)

    def grows_by_at_most(self, count: int, each: int) -> None:
        """At its peak the program had for `count` attackers no more than `each` bytes an attacker."""
        with open(f"/proc/{self.proxy.pid}/status", encoding="ascii", errors="replace") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024
        growth = peak - self._before
        allowed = count * each + ALLOCATOR
        if os.environ.get("FAULTS_SAY"):
            print(
                f"\n{self.id()}: {growth / 1e6:.1f} MB of {allowed / 1e6:.1f} MB, {growth // count} an attacker"
            )
        self.assertLess(growth, allowed)
