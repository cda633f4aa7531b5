"""Attacks of back-ends on the real program: other back-ends' clients are served, and memory stays within its bound."""

from __future__ import annotations

from tests.faults.attack_case import AttackCase, Script
from tests.faults.memory_bound import CONNECTION, EXCHANGE, READ
from vegurtx.wire.limits import ResponseLimits

GET = b"GET / HTTP/1.1\r\nHost: 1.test\r\nConnection: close\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Attacks(AttackCase):
    """Each back-end says something without an end; 20 clients ask for it."""

    def ports(self) -> list[int]:
        """One back-end that the test defines."""
        self.script = Script()
        self.addCleanup(self.script.stop)
        return [self.script.port]

    def attack(self, first: bytes, said: bytes, count: int = 20) -> list[bytes]:
        """The back-end attacks; what each client was told, until its connection ended."""
        self.script.say(first, said)
        told = self.send_for_ever(self.attackers(count, GET), b"")
        self.others_are_served()
        for _ in range(count):
            self.assertTrue(self.script.ended.acquire(timeout=60.0), "a back-end's connection has not ended")
        return list(told.values())

    def test_interim_responses(self) -> None:
        """Rule 17: 1xx for ever: 502, soon."""
        for answer in self.attack(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000):
            self.assertLess(len(answer), ResponseLimits().interim + READ)
            self.assertIn(b"HTTP/1.1 502 ", answer)
        self.grows_by_at_most(20, CONNECTION + EXCHANGE + 2 * ResponseLimits().interim + self.limits.bodies)

    def test_head(self) -> None:
        """Rule 14: a head, a status line, a field, a cookie without an end: 502."""
        for first, said in (
            (b"HTTP/1.1 200 OK\r\n", b"X-Field: of no use\r\n" * 100),
            (b"HTTP/1.1 200 ", b"O" * 1000),
            (b"HTTP/1.1 200 OK\r\nX-Field: ", b"x" * 10_000),
            (b"HTTP/1.1 200 OK\r\nSet-Cookie: a=", b"x" * 1000),
            (b"", b"\x00" * 1000),
        ):
            for answer in self.attack(first, said):
                self.assertTrue(answer.startswith(b"HTTP/1.1 502 "), answer[:60])
        self.grows_by_at_most(20, CONNECTION + EXCHANGE + 4 * 524_288 + READ)

    def test_trailers(self) -> None:
        """Rules 6, 21: trailers and chunk lines without an end break the response off."""
        for first, said in (
            (CHUNKED + b"2\r\nhi\r\n0\r\n", b"Trailer: of no use\r\n" * 100),
            (CHUNKED + b"2\r\nhi\r\n0\r\nTrailer: ", b"x" * 1000),
            (CHUNKED + b"2\r\nhi\r\n2;ext=", b"x" * 1000),
        ):
            for answer in self.attack(first, said):
                # a 502 where the first segment had it all
                self.assertRegex(answer[:13], rb"^HTTP/1\.1 (200|502) ")
                self.assertNotIn(b"0\r\n\r\n", answer)
        self.grows_by_at_most(20, CONNECTION + EXCHANGE + self.limits.chunk_line + self.limits.bodies)

    def test_tiny_chunks(self) -> None:
        """Rule 6: a response of one-byte chunks for ever holds nobody up; its clients leave."""
        self.script.say(CHUNKED, b"1;a=b\r\nx\r\n" * 1000)
        socks = self.attackers(2, GET, receive_buffer=4096)
        for sock in socks:
            self.assertTrue(sock.recv(65536))
        self.others_are_served()
        for sock in socks:
            sock.close()
        self._sockets.clear()
        for _ in socks:
            self.assertTrue(self.script.ended.acquire(timeout=60.0))
        self.grows_by_at_most(2, CONNECTION + EXCHANGE + self.limits.bodies + 4 * READ)

    def test_bodies_that_nobody_reads(self) -> None:
        """Rule 21: a response without an end, to 20 clients who do not read it."""
        self.script.say(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65536))
        self.attackers(20, GET, receive_buffer=4096)
        self.others_are_served()
        self.grows_by_at_most(20, CONNECTION + EXCHANGE + self.limits.bodies)
