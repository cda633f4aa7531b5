"""The PROXY header, versions 1 and 2 (rule 25).

Claims:

- It is found with the bytes that end it, and not before: each shorter beginning is unfinished, none is refused; and
  what is refused stays refused, whatever follows.
- What is unfinished is within the limits of the specification.
- Twisted's own parsers read the same addresses, or refuse.
- Written again from its addresses, it is read as the same addresses.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

from twisted.protocols.haproxy._exceptions import InvalidProxyHeader
from twisted.protocols.haproxy._v1parser import V1Parser
from twisted.protocols.haproxy._v2parser import V2Parser

from fuzz.findings import fail, hold, same
from fuzz.segments import segments, whole
from vegurtx.wire.proxy_protocol import (
    V1_LIMIT,
    V2_LIMIT,
    ProxyHeader,
    ProxyTLS,
    crc32c,
    parse_proxy_header,
)

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def check(data: bytes) -> None:
    """All claims, for the beginning of one connection."""
    raw = whole(data)
    header = _parsed(raw)
    at = 0
    for part in segments(data):
        at += len(part)
        _beginning(raw[:at], raw, header)
    # every beginning of what may be a header, and the places where big ones change
    for end in [*range(min(len(raw), 140)), *range(140, len(raw), 97)]:
        _beginning(raw[:end], raw, header)
    if isinstance(header, ProxyHeader):
        hold(header.end <= len(raw), "a header longer than its bytes")
        same(_parsed(raw[: header.end]), header, "bytes behind a header change it")
        same(_parsed(raw + b"x"), header, "a byte behind a header changes it")
        same(header.source is None, header.destination is None, "half of the addresses")
        _strings(header.tls)
        _beside_twisted(raw[: header.end], header)
        _written(header)
    elif header is None:
        hold(len(raw) < (V1_LIMIT if raw[:1] == b"P" else V2_LIMIT), "too long for a header", len(raw))


def _parsed(raw: bytes) -> ProxyHeader | str | None:
    try:
        return parse_proxy_header(raw)
    except ValueError:
        return "refused"


def _beginning(begin: bytes, raw: bytes, header: ProxyHeader | str | None) -> None:
    """What a beginning of `raw` may be."""
    found = _parsed(begin)
    if isinstance(found, ProxyHeader):
        same(header, found, "more bytes change a header", begin)
    elif found == "refused":
        same(header, "refused", "more bytes make good what was bad", begin)
    elif isinstance(header, ProxyHeader) and len(begin) >= header.end:
        fail("a header is not found where it ends", begin, header)


def _strings(tls: ProxyTLS | None) -> None:
    for text in (tls.version, tls.cipher, tls.sni, tls.client_cn) if tls is not None else ():
        hold(text is None or text.encode("utf-8") is not None, "a name that cannot be written", text)


def _beside_twisted(raw: bytes, header: ProxyHeader) -> None:
    try:
        info = V1Parser.parse(raw[:-2]) if raw[:1] == b"P" else V2Parser.parse(raw)
    except (InvalidProxyHeader, ValueError):  # it knows fewer families, and no ports that are text
        return
    if header.source is None or header.destination is None:
        return
    for address, theirs in ((header.source, info.source), (header.destination, info.destination)):
        if theirs is None:
            fail("Twisted sees no address", address)
        port, host = getattr(theirs, "port", None), getattr(theirs, "host", "")
        host = host.decode("ascii") if isinstance(host, bytes) else host
        same((ip_address(host), port), (ip_address(address[0]), address[1]), "Twisted sees another address")


def _written(header: ProxyHeader) -> None:
    """Written again, in both versions."""
    if header.source is None or header.destination is None:
        return
    (source, source_port), (destination, destination_port) = header.source, header.destination
    four = "." in source and ":" not in source
    same(four, "." in destination and ":" not in destination, "addresses of two families")
    line = f"PROXY TCP{4 if four else 6} {source} {destination} {source_port} {destination_port}\r\n"
    again = _parsed(line.encode("ascii"))
    same(again, ProxyHeader(len(line), header.source, header.destination, None), "written as version 1")
    block = b"".join(
        (IPv4Address(host) if four else IPv6Address(host)).packed for host in (source, destination)
    ) + struct.pack("!HH", source_port, destination_port)
    head = _SIGNATURE + bytes((0x21, 0x11 if four else 0x21)) + struct.pack("!H", len(block) + 7) + block
    checked = head + b"\x03\0\4" + crc32c(head + b"\x03\0\4" + bytes(4)).to_bytes(4, "big")
    again = _parsed(checked)
    same(again, ProxyHeader(len(checked), header.source, header.destination, None), "written as version 2")
    wrong = checked[:-1] + bytes((checked[-1] ^ 1,))
    same(_parsed(wrong), "refused", "a wrong checksum is taken")
