"""Attacks before the first byte of HTTP, on the real program: TLS handshakes, and PROXY headers that never come."""

from __future__ import annotations

import socket
import ssl
import tempfile
from pathlib import Path

from tests.faults.attack_case import AttackCase
from tests.faults.memory_bound import CONNECTION, EXCHANGE, SESSION
from vegurtx.testing import self_signed
from vegurtx.wire.proxy_protocol import V2_LIMIT, parse_proxy_header

#: the beginning of a version 2 header that is as long as one may be here
LONG_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x08\x00" + b"\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x50\x00\x50"


class TlsAttacks(AttackCase):
    """A listener for TLS beside the plain one that the ordinary client uses."""

    def setUp(self) -> None:
        """A certificate of its own."""
        folder = tempfile.TemporaryDirectory(prefix="vegurtx-")
        self.addCleanup(folder.cleanup)
        certificate = self_signed("example.org")
        chain, key = Path(folder.name, "chain.pem"), Path(folder.name, "key.pem")
        chain.write_bytes(certificate.certificate)
        key.write_bytes(certificate.key)
        options = ("--https-port", "0", "--certificate", str(chain), "--private-key", str(key))
        self.listeners = (options, 1)
        super().setUp()
        self.tls_port = self.proxy.addresses[1][1]
        self.hello = self.client_hello()

    def client_hello(self) -> bytes:
        """The first flight of a client."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.context = context
        outgoing = ssl.MemoryBIO()
        session = context.wrap_bio(ssl.MemoryBIO(), outgoing)
        with self.assertRaises(ssl.SSLWantReadError):
            session.do_handshake()
        return outgoing.read()

    def test_half_handshakes(self) -> None:
        """Rules 24, 26: 500 clients who stop at any place of the handshake, and 500 who never begin it."""
        for beginning in (b"", self.hello[:1], self.hello[:5], self.hello[:-1], self.hello):
            self.attackers(100, beginning, port=self.tls_port)
        self.attackers(500, port=self.tls_port)
        self.others_are_served()
        self.grows_by_at_most(1000, CONNECTION + SESSION)

    def test_endless_handshakes(self) -> None:
        """Rule 26: 50 clients who send records of a handshake that never ends are cut off."""
        record = b"\x16\x03\x03\x40\x00" + b"\x01\x00\xff\xfc" + bytes(16380)
        self.send_for_ever(self.attackers(50, port=self.tls_port), record)
        self.others_are_served()
        self.grows_by_at_most(50, CONNECTION + SESSION + self.limits.tls)

    def test_handshake_flood(self) -> None:
        """Rule 26: 300 handshakes, each left right after."""
        for _ in range(300):
            (sock,) = self.attackers(1, port=self.tls_port)
            self._sockets.pop()
            self.context.wrap_socket(sock).close()
        self.others_are_served()
        self.grows_by_at_most(50, CONNECTION + SESSION)

    def test_what_is_no_tls(self) -> None:
        """Rule 26: 300 clients who speak HTTP, or nothing known, are closed; so is who sends rubbish later."""
        for says in (
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x00" * 100,
            b"\x16\x03\x01\xff\xff" + b"\xff" * 100,
        ):
            for sock in self.attackers(100, says, port=self.tls_port):
                self.assertLess(len(_to_the_end(sock)), 100)
        for sock in self.attackers(20, port=self.tls_port):
            secure = self.context.wrap_socket(sock)
            with socket.socket(fileno=secure.detach()) as bare:
                bare.settimeout(60.0)
                bare.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                _to_the_end(bare)
        self._sockets.clear()
        self.others_are_served()
        self.grows_by_at_most(320, CONNECTION + SESSION)


class ProxyProtocolAttacks(AttackCase):
    """A listener for the PROXY protocol beside the plain one."""

    listeners = (("--proxy-port", "0"), 1)

    def test_no_header(self) -> None:
        """Rules 24, 25: 1,000 connections that say nothing, or the beginning of a header, and then wait."""
        port = self.proxy.addresses[1][1]
        self.assertIsNone(parse_proxy_header(LONG_V2))
        for beginning in (b"", b"P", b"PROXY TCP4 127.0.0.1 ", LONG_V2[:13], LONG_V2):
            self.attackers(200, beginning, port=port)
        self.others_are_served()
        self.grows_by_at_most(1000, CONNECTION)

    def test_long_headers(self) -> None:
        """Rule 25: 200 long headers that come in small pieces and are never whole."""
        port = self.proxy.addresses[1][1]
        socks = self.attackers(200, LONG_V2, port=port)
        for _ in range(20):
            for sock in socks:
                sock.sendall(bytes(100))
        self.others_are_served()
        self.grows_by_at_most(200, CONNECTION + 2 * V2_LIMIT)

    def test_bad_headers(self) -> None:
        """Rule 25: 500 connections that begin with something else are closed without a word."""
        port = self.proxy.addresses[1][1]
        for says in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"PROXY UDP4 x",
            b"PROXY " + b"x" * 200,
            b"\r\n\r\n\x00\r\nQUIX",
            b"\xff",
        ):
            for sock in self.attackers(100, says, port=port):
                self.assertEqual(_to_the_end(sock), b"")
        self.others_are_served()
        self.grows_by_at_most(500, CONNECTION + EXCHANGE)


def _to_the_end(sock: object) -> bytes:
    """What comes until the end, in order or by a reset."""
    said = b""
    try:
        while data := sock.recv(65536):  # type: ignore[attr-defined]
            said += data
    except ConnectionError:
        pass
    return said
