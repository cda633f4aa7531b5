"""Who a request says it is from (rule 12)."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.trial.unittest import TestCase

from vegurtx.proxy.intake import _address, connection_tokens, persistent


class Clients(TestCase):
    """A client as it is written into X-Forwarded-For."""

    def test_address(self) -> None:
        """Rule 12: IPv4 and IPv6 as they are, IPv4 inside IPv6 as IPv4, a UNIX socket as unknown (RFC 7239)."""
        for peer, written in [
            (IPv4Address("TCP", "192.0.2.1", 1), b"192.0.2.1"),
            (IPv6Address("TCP", "2001:db8::1", 1), b"2001:db8::1"),
            (IPv6Address("TCP", "::1", 1), b"::1"),
            (IPv6Address("TCP", "::ffff:192.0.2.1", 1), b"192.0.2.1"),
            (UNIXAddress(b"/run/x"), b"unknown"),
            (None, b"unknown"),
        ]:
            self.assertEqual(_address(peer), written)


class Options(TestCase):
    """The options in Connection."""

    def test_persistent(self) -> None:
        """Rules 10 and 19: 1.1 unless it says close; 1.0 only if it says keep-alive; close wins."""
        for value, new, old in [
            (None, True, False),
            (b"keep-alive", True, True),
            (b"Keep-Alive", True, True),
            (b"close", False, False),
            (b"close, keep-alive", False, False),
            (b"x, KEEP-ALIVE", True, True),
            (b"", True, False),
        ]:
            tokens = connection_tokens(value)
            self.assertEqual((persistent(tokens, 1), persistent(tokens, 0)), (new, old), value)
        with self.assertRaises(ValueError):
            connection_tokens(b"a b")
