"""Attacks of clients on the real program: others are served while they go on, and memory stays within its bound."""

from __future__ import annotations

import contextlib
import random
import threading

import pytest

from tests.faults.attack_case import HEAD, AttackCase
from tests.faults.memory_bound import CONNECTION, EXCHANGE, HIGH_WATER, READ

POST = b"POST /sink HTTP/1.1\r\nHost: 0.test\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GET = HEAD + b"\r\n"


class Attacks(AttackCase):
    """The limits of the head are smaller than the default: a bound that nothing can reach would prove nothing."""

    options = ("--max-head-length", "65536", "--max-header-value-length", "4096")

    def test_slow_heads(self) -> None:
        """Rules 3, 24: 500 clients (slowloris) who send a field every now and then."""
        socks = self.attackers(500, HEAD)

        def drip() -> None:
            for sock in socks:
                sock.sendall(b"X-Slow: yes\r\n")

        self.others_are_served(drip, rounds=5)
        self.grows_by_at_most(500, CONNECTION + 4 * (len(HEAD) + 5 * 13))

    def test_slow_bodies(self) -> None:
        """Rules 5, 24: 150 uploads that hardly go on, each with a connection to a back-end."""
        socks = self.attackers(150, POST + b"Content-Length: 1000000\r\n\r\n")

        def drip() -> None:
            for sock in socks:
                sock.sendall(b"x")

        self.others_are_served(drip, rounds=5)
        self.grows_by_at_most(150, CONNECTION + EXCHANGE + 4 * 200)

    def test_slow_readers(self) -> None:
        """Rules 21, 24: 50 clients who ask for 20 MB each, and read nothing of it."""
        self.attackers(50, GET.replace(b"/ ", b"/bytes/20000000 "), receive_buffer=4096)
        self.others_are_served()
        self.grows_by_at_most(50, CONNECTION + EXCHANGE + HIGH_WATER + 2 * READ)

    def test_endless_heads(self) -> None:
        """Rule 3: 50 clients each who never end their head, their field, their request line: 431, 431, 414."""
        for beginning, more, status in (
            (HEAD, b"X-Field: of no use\r\n" * 50, b" 431 "),
            (HEAD + b"X-Endless: ", b"x" * 1000, b" 431 "),
            (HEAD + b"Cookie: " + b"a" * 4000, b"; b", b" 431 "),
            (b"GET /", b"x" * 1000, b" 414 "),
            (b"X" * 100, b"X" * 1000, b" 4"),
        ):
            told = self.send_for_ever(self.attackers(50, beginning), more)
            for answer in told.values():
                self.assertIn(status, answer[:40])
            self.others_are_served()
        self.grows_by_at_most(50, CONNECTION + self.limits.head)

    def test_very_many_fields(self) -> None:
        """Rule 3: a thousand fields are served, one more is 431."""
        most = HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(999))
        for sock in self.attackers(20, most + b"\r\n"):
            self.assertTrue(sock.recv(65536).startswith(b"HTTP/1.1 200 "))
        for sock in self.attackers(20, most + b"One: more\r\n\r\n"):
            self.assertTrue(sock.recv(65536).startswith(b"HTTP/1.1 431 "))
        self.others_are_served()
        self.grows_by_at_most(40, CONNECTION + EXCHANGE + self.limits.head)

    def test_endless_chunk_lines(self) -> None:
        """Rule 6: size lines, extensions and trailers without an end: 400, and the upload is cancelled."""
        for beginning, more in (
            (b"5;ext=", b"x" * 500),
            (b"0" * 16, b"0" * 100),
            (b"5\r\nhello\r\n0\r\n", b"Trailer: of no use\r\n" * 50),
            (b"5\r\nhello\r\n0\r\nTrailer: ", b"x" * 500),
        ):
            told = self.send_for_ever(self.attackers(30, CHUNKED + beginning), more)
            for answer in told.values():
                self.assertIn(b" 400 ", answer[:40] or b" 400 ")  # a reset may have taken it away
            self.others_are_served()
        self.grows_by_at_most(30, CONNECTION + EXCHANGE + self.limits.chunk_line + READ)

    def test_tiny_chunks(self) -> None:
        """Rule 6: 20 uploads of 20,000 chunks of one byte each arrive whole."""
        socks = self.attackers(20, CHUNKED)
        for _ in range(4):
            for sock in socks:
                sock.sendall(b"1;a=b\r\nx\r\n" * 5000)
            self.bystander.wait_for(5)
        for sock in socks:
            sock.sendall(b"0\r\n\r\n")
        for sock in socks:
            self.assertIn(b'"bytes": 20000', sock.recv(65536))
        self.grows_by_at_most(20, CONNECTION + EXCHANGE + self.limits.held + self.limits.bodies)

    def test_pipelining(self) -> None:
        """Rule 7: ten thousand requests in one go, of clients who read all answers, and of such who read none."""
        flood = GET * 10_000
        for sock in self.attackers(10, receive_buffer=4096):
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sent = 0
                while sent < len(flood):
                    sent += sock.send(flood[sent:])
        self.others_are_served()
        (reader,) = self.attackers(1)
        writing = threading.Thread(target=reader.sendall, args=(flood.replace(b"0.test", b"nothing.test"),))
        writing.start()
        answers = reader.makefile("rb")
        for _ in range(10_000):
            self.assertEqual(answers.readline(), b"HTTP/1.1 404 Not Found\r\n")
            while answers.readline() != b"\r\n":
                pass
            self.assertEqual(answers.read(11), b"'not_found'")
        writing.join()
        answers.close()
        self.others_are_served()
        self.grows_by_at_most(
            11, CONNECTION + EXCHANGE + self.limits.head + self.limits.held + self.limits.bodies
        )

    def test_connections_that_say_nothing(self) -> None:
        """Rule 24: 5,000 of them."""
        self.attackers(5000)
        self.others_are_served()
        self.grows_by_at_most(5000, CONNECTION)

    def test_connections_that_come_and_go(self) -> None:
        """3,000 connects and resets, some with a head."""
        for number in range(3000):
            (sock,) = self.attackers(1, GET if number % 3 == 0 else b"")
            self._sockets.pop()
            sock.close()
        self.others_are_served()
        self.grows_by_at_most(300, CONNECTION + EXCHANGE)

    def test_rubbish(self) -> None:
        """Rules 1, 4: 500 clients who speak no HTTP/1: each is refused, or left alone until it says more."""
        seeded = random.Random(9)
        kinds = [
            b"GET /\r\n",
            b"GET /\r\n\r\n",
            b"GET / HTTP/0.9\r\n\r\n",
            b"GET / HTTP/3.0\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            b"\x00" * 1000,
            seeded.randbytes(2000),
            b"\r\n\r\n\r\n\r\n",
        ]
        for sock in self.attackers(500):
            sock.sendall(kinds[seeded.randrange(len(kinds))])
            sock.settimeout(60.0)
            answer = sock.recv(65536)
            self.assertRegex(answer[:13], rb"^HTTP/1\.1 (400|505) ")
        self.others_are_served()
        self.grows_by_at_most(500, CONNECTION + 4 * 2000)


@pytest.mark.slow
class LargeAttacks(AttackCase):
    """With the default limits, and more of everything."""

    def test_slow_heads(self) -> None:
        """Rules 3, 24: 5,000 slow heads."""
        socks = self.attackers(5000, HEAD)

        def drip() -> None:
            for sock in socks:
                sock.sendall(b"X-Slow: yes\r\n")

        self.others_are_served(drip, rounds=5)
        self.grows_by_at_most(5000, CONNECTION + 4 * (len(HEAD) + 5 * 13))

    def test_slow_readers(self) -> None:
        """Rules 21, 24: 300 clients who read nothing."""
        self.attackers(300, GET.replace(b"/ ", b"/bytes/20000000 "), receive_buffer=4096)
        self.others_are_served()
        self.grows_by_at_most(300, CONNECTION + EXCHANGE + HIGH_WATER + 2 * READ)
