"""Memory: a peer that does not read holds the other side up, and the proxy stays as small as it was.

Each test fills every buffer on the way until nothing moves any more, looks at the proxy's memory, and then
lets the whole gigabyte through at full speed.
"""

from __future__ import annotations

import json
import select
import socket
import threading

import pytest

from tests.peers.peer_case import GIGABYTE, MEGABYTE, PATIENCE, PeerCase, on_each_reactor, proxy_before
from vegurtx.testing import BlockingClient, ProxyProcess, ThreadedBackend
from vegurtx.testing.pattern import PERIOD, pattern

GROWTH = 20 * MEGABYTE
"""What the program may grow by."""

STUCK = 1.0
"""Seconds in which a socket takes no byte: then every buffer before it is full."""

KERNEL = 100 * MEGABYTE
"""More than the kernel's buffers for four sockets ever hold. What was taken beyond it is in the proxy."""


def send_until_stuck(sock: socket.socket, size: int) -> int:
    """Send the pattern until nobody takes more of it, at most `size` bytes; return how many went."""
    sent = 0
    sock.setblocking(False)
    while sent < size and select.select([], [sock], [], STUCK)[1]:
        try:
            sent += sock.send(pattern(sent, min(PERIOD, size - sent)))
        except BlockingIOError:
            continue
    sock.settimeout(PATIENCE)
    return sent


def send_rest(sock: socket.socket, sent: int, size: int) -> None:
    """Send what is left of `size` bytes of the pattern behind the first `sent`."""
    while sent < size:
        piece = pattern(sent, min(PERIOD, size - sent))
        sock.sendall(piece)
        sent += len(piece)


class EagerBackend:
    """A back-end for one connection: it answers with a gigabyte, as fast as that is taken.

    `stuck` is set when nobody takes more of it; `taken` has then the bytes that were taken.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.stuck = threading.Event()
        self.taken = 0
        self.failures: list[BaseException] = []
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()

    def stop(self) -> None:
        """Wait for its end."""
        self._listener.close()
        self._serving.join(PATIENCE)

    def _serve(self) -> None:
        try:
            sock, _ = self._listener.accept()
            with sock:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += sock.recv(65536)
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIGABYTE)
                self.taken = send_until_stuck(sock, GIGABYTE)
                self.stuck.set()
                send_rest(sock, self.taken, GIGABYTE)
        except BaseException as error:
            self.failures.append(error)
        finally:
            self.stuck.set()


class Memory:
    """A program's memory from now on."""

    def __init__(self, proxy: ProxyProcess) -> None:
        self._proxy = proxy
        self._before = proxy.rss()

    def growth(self) -> int:
        """How many bytes larger it has been than at the beginning, at most, ever since."""
        with open(f"/proc/{self._proxy.pid}/status", encoding="ascii", errors="replace") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
        return peak * 1024 - self._before


@pytest.mark.slow
class SlowReaders(PeerCase):
    """The program is a fresh one in each test."""

    @classmethod
    def setUpClass(cls) -> None:
        """Nothing is shared but the back-end, which only the uploads use."""
        cls.backend = ThreadedBackend(receive_buffer=65536)
        cls.addClassCleanup(cls.backend.stop)

    def start(self, backend: ThreadedBackend | EagerBackend) -> Memory:
        """A program before `backend`, and its memory."""
        self.proxy = proxy_before([backend], reactor_name=self.reactor_name)
        self.addCleanup(self.proxy.stop)
        return Memory(self.proxy)

    def check_well(self) -> None:
        """The program's own log is looked at before it is stopped."""

    def test_slow_client(self) -> None:
        """A download to a client that reads nothing, and then everything."""
        backend = EagerBackend()
        self.addCleanup(backend.stop)
        memory = self.start(backend)
        client = BlockingClient(self.proxy.port, timeout=PATIENCE, receive_buffer=65536)
        self.addCleanup(client.close)
        # `download` would read at once; here nothing is read until all stands still.
        client.send(b"GET / HTTP/1.1\r\nHost: pooled.test\r\n\r\n")
        self.assertTrue(backend.stuck.wait(PATIENCE))
        self.assertEqual(backend.failures, [])
        self.assertLess(backend.taken, KERNEL)
        self.assertLess(memory.growth(), GROWTH)
        self.assertEqual(self.read_content(client), GIGABYTE)
        self.assertLess(memory.growth(), GROWTH)
        super().check_well()

    def test_slow_back_end(self) -> None:
        """An upload to a back-end that reads nothing, and then everything; with a length and chunked."""
        for framing in (b"Content-Length: %d" % GIGABYTE, b"Transfer-Encoding: chunked"):
            memory = self.start(self.backend)
            self.backend.may_read.clear()
            self.addCleanup(self.backend.may_read.set)
            with BlockingClient(self.proxy.port, timeout=PATIENCE) as client:
                client.send(b"POST /sink HTTP/1.1\r\nHost: pooled.test\r\n%b\r\n\r\n" % framing)
                if framing.startswith(b"T"):
                    # One chunk: its size line first, and what ends it after it.
                    client.send(b"%x\r\n" % GIGABYTE)
                sent = send_until_stuck(client.socket, GIGABYTE)
                self.assertLess(sent, KERNEL)
                self.assertLess(memory.growth(), GROWTH)
                self.backend.may_read.set()
                send_rest(client.socket, sent, GIGABYTE)
                if framing.startswith(b"T"):
                    client.send(b"\r\n0\r\n\r\n")
                answer = json.loads(client.receive_response().body)
            self.assertEqual((answer["bytes"], answer["matches"]), (GIGABYTE, True))
            self.assertLess(memory.growth(), GROWTH)
            super().check_well()

    def read_content(self, client: BlockingClient) -> int:
        """Read an answer of known length; compare each byte; return how many there were."""
        head = client.receive_head()
        self.assertIn(b"Content-Length: %d" % GIGABYTE, head)
        first = client.unread
        self.assertEqual(first, pattern(0, len(first)).tobytes())
        done = len(first)
        buffer = memoryview(bytearray(PERIOD))
        while done < GIGABYTE:
            count = client.socket.recv_into(buffer[: min(PERIOD, GIGABYTE - done)])
            self.assertTrue(count, f"the answer broke off after {done} bytes")
            if buffer[:count] != pattern(done, count):
                self.fail(f"the answer differs after {done} bytes")
            done += count
        return done


globals().update(on_each_reactor(SlowReaders))
