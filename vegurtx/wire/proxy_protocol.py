"""Reads the PROXY protocol header that a load balancer puts before a connection's first byte.

``net``'s PROXY listener collects bytes and asks here until there is an answer; the header is cut off, and all
that follows is HTTP or TLS. Source: the PROXY protocol specification, versions 1 (text) and 2 (binary); rule
25.
"""

from __future__ import annotations

import re
import struct
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

V1_LIMIT = 107
"""Bytes: the longest text header, CRLF included."""

V2_LIMIT = 4096
"""Bytes: the longest binary header that we read; real ones have a few hundred."""

_V1_SIGNATURE = b"PROXY "
_V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED = 16

_FAMILIES = (b"TCP4 ", b"TCP6 ", b"UNKNOWN")
_v1_beginning = re.compile(
    rb"PROXY (?:TCP4 [0-9. ]*+|TCP6 [0-9A-Fa-f:. ]*+|UNKNOWN(?: [ -~]*+)?+)\r?"
).fullmatch
_ADDRESS = rb"([0-9A-Fa-f:.]++)"
_PORT = rb"(0|[1-9][0-9]{0,4})"
_v1_addresses = re.compile(rb"PROXY TCP([46]) %s %s %s %s" % (_ADDRESS, _ADDRESS, _PORT, _PORT)).fullmatch
_v1_unknown = re.compile(rb"PROXY UNKNOWN(?: [ -~]*+)?+").fullmatch

_LOCAL, _PROXY = 0x20, 0x21
_INET, _INET6, _UNIX = 1, 2, 3
_ADDRESS_SIZES = {0: 0, _INET: 12, _INET6: 36, _UNIX: 216}

_TLV_AUTHORITY, _TLV_CRC32C, _TLV_SSL = 0x02, 0x03, 0x20
_SSL_VERSION, _SSL_CN, _SSL_CIPHER = 0x21, 0x22, 0x23
_CLIENT_SSL, _CLIENT_CERTIFICATE = 0x01, 0x06

Address = tuple[str, int]


class ProxyTLS(NamedTuple):
    """What the load balancer says about the TLS connection that it ended."""

    version: str | None
    """As in ``TLSv1.3``."""
    cipher: str | None
    sni: str | None
    """The name that the client asked for (from the authority TLV)."""
    client_cn: str | None
    """Common name of the client's certificate."""
    verified: bool
    """Whether the client gave a certificate and it was found good."""


class ProxyHeader(NamedTuple):
    """A whole PROXY header."""

    end: int
    """Offset just behind the header."""
    source: Address | None
    """The real client's address and port; ``None`` for UNKNOWN, LOCAL and UNIX sockets."""
    destination: Address | None
    tls: ProxyTLS | None
    """``None`` if the client did not use TLS, or if nobody says."""


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Parse the PROXY header at the start of `data`; call again with more bytes until it answers.

    :return: the header, or ``None`` if it is not complete yet
    :raises ValueError: at the first byte that cannot belong to a header of version 1 or 2, and if it is too
        long
    """
    if not data:
        return None
    if data[0] == _V1_SIGNATURE[0]:
        return _parse_v1(data)
    return _parse_v2(data)


def _parse_v1(data: bytes) -> ProxyHeader | None:
    line, ended, _ = data[:V1_LIMIT].partition(b"\r\n")
    if not ended:
        if not _may_begin_v1(line):
            raise ValueError("not a PROXY header")
        if len(line) == V1_LIMIT:
            raise ValueError("PROXY header too long")
        return None
    end = len(line) + 2
    if _v1_unknown(line):
        return ProxyHeader(end, None, None, None)
    match = _v1_addresses(line)
    if match is None:
        raise ValueError("malformed PROXY header")
    family, *hosts = (group.decode("ascii") for group in match.group(1, 2, 3))
    kind = IPv4Address if family == "4" else IPv6Address
    source, destination = (str(kind(host)) for host in hosts)
    ports = int(match[4]), int(match[5])
    if max(ports) > 65535:
        raise ValueError("malformed port in a PROXY header")
    return ProxyHeader(end, (source, ports[0]), (destination, ports[1]), None)


def _may_begin_v1(line: bytes) -> bool:
    """Tell whether `line` is the beginning of a text header."""
    words = [_V1_SIGNATURE + family for family in _FAMILIES]
    return any(word.startswith(line) for word in words) or _v1_beginning(line) is not None


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if data[: len(_V2_SIGNATURE)] != _V2_SIGNATURE[: len(data)]:
        raise ValueError("not a PROXY header")
    command = data[12] if len(data) > 12 else _LOCAL
    family = data[13] >> 4 if len(data) > 13 else 0
    if command not in (_LOCAL, _PROXY):
        raise ValueError("unknown version or command in a PROXY header")
    if command == _PROXY and (family not in _ADDRESS_SIZES or (data[13:14] and data[13] & 15 > 2)):
        raise ValueError("unknown address family in a PROXY header")
    if len(data) < _V2_FIXED:
        return None
    end = _V2_FIXED + int.from_bytes(data[14:16], "big")
    if end > V2_LIMIT:
        raise ValueError("PROXY header too long")
    if len(data) < end:
        return None
    if command == _LOCAL:
        # The sender's own connection, a health check say: whatever addresses it carries do not count.
        return ProxyHeader(end, None, None, None)
    tlvs_at = _V2_FIXED + _ADDRESS_SIZES[family]
    if tlvs_at > end:
        raise ValueError("PROXY header without its addresses")
    # Of a protocol that is not specified, the addresses do not count either (section 2.2).
    source, destination = _addresses(family if data[13] & 15 else 0, data[_V2_FIXED:tlvs_at])
    return ProxyHeader(end, source, destination, _tls(data[:end], tlvs_at))


def _addresses(family: int, block: bytes) -> tuple[Address | None, Address | None]:
    if family == _INET:
        source, destination, source_port, destination_port = struct.unpack("!4s4sHH", block)
        return (str(IPv4Address(source)), source_port), (str(IPv4Address(destination)), destination_port)
    if family == _INET6:
        source, destination, source_port, destination_port = struct.unpack("!16s16sHH", block)
        return (str(IPv6Address(source)), source_port), (str(IPv6Address(destination)), destination_port)
    return None, None


def _tls(header: bytes, tlvs_at: int) -> ProxyTLS | None:
    """Read the TLVs behind the addresses; check the checksum if there is one."""
    found: dict[int, bytes] = {}
    for kind, at, value in _tlvs(header, tlvs_at, len(header)):
        if kind == _TLV_CRC32C:
            # The sender computed it over the header with this field zero.
            blank = header[:at] + bytes(len(value)) + header[at + len(value) :]
            if value != crc32c(blank).to_bytes(4, "big"):
                raise ValueError("wrong checksum in a PROXY header")
        found[kind] = value
    ssl = found.get(_TLV_SSL)
    if ssl is None:
        return None
    if len(ssl) < 5:
        raise ValueError("malformed SSL information in a PROXY header")
    client, verify = ssl[0], ssl[1:5]
    if not client & _CLIENT_SSL:
        return None
    inner = {kind: value for kind, _, value in _tlvs(ssl, 5, len(ssl))}
    return ProxyTLS(
        _text(inner.get(_SSL_VERSION)),
        _text(inner.get(_SSL_CIPHER)),
        _text(found.get(_TLV_AUTHORITY)),
        _text(inner.get(_SSL_CN)),
        bool(client & _CLIENT_CERTIFICATE) and verify == bytes(4),
    )


def _tlvs(block: bytes, at: int, end: int) -> list[tuple[int, int, bytes]]:
    """Return kind, offset of the value, and value of each TLV in `block`."""
    found = []
    while at < end:
        if end - at < 3:
            raise ValueError("cut-off TLV in a PROXY header")
        value_at = at + 3
        at = value_at + int.from_bytes(block[at + 1 : value_at], "big")
        if at > end:
            raise ValueError("cut-off TLV in a PROXY header")
        found.append((block[value_at - 3], value_at, block[value_at:at]))
    return found


def _text(value: bytes | None) -> str | None:
    """Decode a name; what is not UTF-8 is kept visible, because nothing here decides on it."""
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_CRC32C = _crc32c_table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) checksum of `data` (RFC 9260 appendix A)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC32C[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
