"""The PROXY protocol's header, whole, byte by byte and with bytes behind it (rule 25)."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from twisted.trial.unittest import TestCase

from tests.wire.vectors import TRAILING
from vegurtx.wire.proxy_protocol import Address, ProxyHeader, ProxyTLS, crc32c, parse_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FOUR = ("1.2.3.4", 1000), ("5.6.7.8", 443)
SIX = ("2001:db8::1", 1), ("::1", 65535)


def tlv(kind: int, value: bytes) -> bytes:
    """Return one TLV."""
    return struct.pack("!BH", kind, len(value)) + value


def v2(payload: bytes, family: int = 0x11, command: int = 0x21) -> bytes:
    """Return a binary header."""
    return SIGNATURE + bytes((command, family)) + len(payload).to_bytes(2, "big") + payload


def addresses(pair: tuple[Address, Address]) -> bytes:
    """Return the address block for source and destination."""
    (source, source_port), (destination, destination_port) = pair
    ports = struct.pack("!HH", source_port, destination_port)
    return ip_address(source).packed + ip_address(destination).packed + ports


def with_checksum(payload: bytes, wrong: int = 0) -> bytes:
    """Return a header that ends with a checksum TLV."""
    blank = v2(payload + tlv(3, bytes(4)))
    return blank[:-4] + (crc32c(blank) ^ wrong).to_bytes(4, "big")


TLS = tlv(0x21, b"TLSv1.3") + tlv(0x22, b"caf\xc3\xa9") + tlv(0x23, b"TLS_AES_128_GCM_SHA256")
NAME = tlv(0x01, b"h2") + tlv(0x02, b"www.example.com")
FULL_TLS = ProxyTLS("TLSv1.3", "TLS_AES_128_GCM_SHA256", "www.example.com", "caf\xe9", True)

GOOD: list[tuple[bytes, tuple[Address, Address] | None, ProxyTLS | None]] = [
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 443\r\n", FOUR, None),
    (b"PROXY TCP6 2001:DB8::1 ::1 1 65535\r\n", SIX, None),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 0 65535\r\n", (("1.2.3.4", 0), ("5.6.7.8", 65535)), None),
    (b"PROXY UNKNOWN\r\n", None, None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None, None),
    (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", None, None),
    (v2(addresses(FOUR)), FOUR, None),
    (v2(addresses(FOUR), 0x12), FOUR, None),
    (v2(addresses(SIX), 0x21), SIX, None),
    (v2(b"u" * 216, 0x31), None, None),
    (v2(b"", 0x00), None, None),
    (v2(b"", 0x00, 0x20), None, None),
    (v2(addresses(FOUR) + b"junk", 0x11, 0x20), None, None),
    (v2(b"zz", 0xFF, 0x20), None, None),
    (v2(addresses(FOUR) + tlv(4, b"\0" * 9) + tlv(0xE0, b"")), FOUR, None),
    (v2(addresses(FOUR) + NAME), FOUR, None),
    (v2(addresses(FOUR) + NAME + tlv(0x20, b"\x07\0\0\0\0" + TLS)), FOUR, FULL_TLS),
    (v2(addresses(FOUR) + NAME + tlv(0x20, b"\x03\0\0\0\0" + TLS)), FOUR, FULL_TLS),
    (
        v2(addresses(FOUR) + NAME + tlv(0x20, b"\x03\0\0\0\x01" + TLS)),
        FOUR,
        FULL_TLS._replace(verified=False),
    ),
    (v2(addresses(FOUR) + NAME + tlv(0x20, b"\x01\0\0\0\0" + TLS)), FOUR, FULL_TLS._replace(verified=False)),
    (v2(addresses(FOUR) + tlv(0x20, b"\x01\0\0\0\0")), FOUR, ProxyTLS(None, None, None, None, False)),
    (v2(addresses(FOUR) + tlv(0x20, b"\x00\0\0\0\0" + TLS)), FOUR, None),
    (with_checksum(addresses(FOUR) + NAME), FOUR, None),
    (v2(b"".join([addresses(SIX), tlv(4, b"\0" * 4041)]), 0x21), SIX, None),
]

BAD: list[tuple[bytes, int]] = [
    (b"GET / HTTP/1.1\r\n", 1),
    (b"\x16\x03\x01", 1),
    (b"PRI * HTTP/2.0\r\n", 3),
    (b"PROXY\r\n", 6),
    (b"PROXY TCP5 ", 10),
    (b"PROXY  TCP4", 7),
    (b"proxy TCP4", 1),
    (b"PROXY TCP4 x", 12),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", 31),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX", 32),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", 30),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", 33),
    (b"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n", 33),
    (b"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n", 34),
    (b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", 30),
    (b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", 33),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", 33),
    (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", 36),
    (b"PROXY TCP4 1.2.3.4 ::1 ", 20),
    (b"PROXY TCP6 1.2.3.4 ::1 1 2\r\n", 28),
    (b"PROXY TCP6 ::1 ::1%eth0 1 2\r\n", 19),
    (b"PROXY UNKNOWN \0", 15),
    (b"PROXY UNKNOWNX", 14),
    (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", 107),
    (b"PROXY TCP4 " + b"1" * 200, 107),
    (b"\r\n\r\nGET ", 5),
    (SIGNATURE + b"\x11", 13),
    (SIGNATURE + b"\x22", 13),
    (SIGNATURE + b"\x31", 13),
    (SIGNATURE + b"\x21\x41", 14),
    (SIGNATURE + b"\x21\x13", 14),
    (SIGNATURE + b"\x21\x11\x10\x00", 16),
    (SIGNATURE + b"\x20\x00\xff\xff", 16),
    (v2(addresses(FOUR)[:-1]), 27),
    (v2(addresses(FOUR), 0x21), 28),
    (v2(addresses(FOUR) + b"\4\0"), 30),
    (v2(addresses(FOUR) + b"\4\0\2x"), 32),
    (v2(addresses(FOUR) + tlv(0x20, b"\1\0\0\0")), 35),
    (v2(addresses(FOUR) + tlv(0x20, b"\1\0\0\0\0\x21\0\xff")), 39),
    (v2(addresses(FOUR) + tlv(3, b"\0")), 32),
    (with_checksum(addresses(FOUR) + NAME, wrong=1), len(with_checksum(addresses(FOUR) + NAME))),
]
"""Bytes, and after how many of them at the latest there must be a refusal."""


class GoodHeaderTests(TestCase):
    """Headers that are to be read."""

    def test_whole_with_anything_behind(self) -> None:
        """A header reads the same whatever follows it."""
        for raw, pair, tls in GOOD:
            source, destination = pair or (None, None)
            for trailing in TRAILING:
                wanted = ProxyHeader(len(raw), source, destination, tls)
                self.assertEqual(parse_proxy_header(raw + trailing), wanted, raw)

    def test_every_beginning_is_incomplete(self) -> None:
        """A header that comes a byte at a time is neither refused nor taken for whole too early."""
        for raw, _, _ in GOOD:
            for end in range(len(raw)):
                self.assertIsNone(parse_proxy_header(raw[:end]), raw[:end])


class BadHeaderTests(TestCase):
    """Headers that are to be refused."""

    def test_whole_with_anything_behind(self) -> None:
        """A bad header is refused whatever follows."""
        for raw, _ in BAD:
            for trailing in TRAILING:
                with self.assertRaises(ValueError, msg=raw):
                    parse_proxy_header(raw + trailing)

    def test_as_soon_as_it_can_be_known(self) -> None:
        """A byte that cannot belong to a header is refused when it comes, and not before."""
        for raw, latest in BAD:
            for end in range(latest):
                self.assertIsNone(parse_proxy_header(raw[:end]), raw[:end])
            with self.assertRaises(ValueError, msg=raw):
                parse_proxy_header(raw[:latest])


class ChecksumTests(TestCase):
    """CRC-32C."""

    def test_known_answers(self) -> None:
        """The check value of the algorithm, and those of RFC 3720 appendix B.4."""
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(crc32c(bytes(32)), 0x8A9136AA)
        self.assertEqual(crc32c(b"\xff" * 32), 0x62A8AB43)
