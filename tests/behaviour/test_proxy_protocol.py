"""Rule 25: behind a PROXY header, v1 or v2, in any segments, the client is whom the header names.

Source of the headers' form: the PROXY protocol specification, sections 2.1 (text) and 2.2 (binary).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address

from tests.behaviour.conversation import GET, OK, Conversation, HandTurned
from vegurtx.net.proxied import ProxiedFactory
from vegurtx.proxy.factory import ProxyFactory
from vegurtx.testing import Request, RunningProxy, ScriptedConnection, answering, router_to
from vegurtx.wire.proxy_protocol import crc32c

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
UNSPEC, TCP4, TCP6, UNIX = 0x00, 0x11, 0x21, 0x31
SECOND = b"GET /second HTTP/1.1\r\nHost: example.org\r\n\r\n"


def binary(command: int, family: int, addresses: bytes = b"", *tlvs: bytes) -> bytes:
    """A header of version 2."""
    block = addresses + b"".join(tlvs)
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def addresses(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    """The addresses of an IPv4 or IPv6 header."""
    return (
        ip_address(source).packed
        + ip_address(destination).packed
        + struct.pack("!HH", source_port, destination_port)
    )


def tlv(kind: int, value: bytes) -> bytes:
    """A TLV."""
    return struct.pack("!BH", kind, len(value)) + value


def ssl_tlv(client: int = 1, *inner: bytes) -> bytes:
    """What the header says of the client's TLS."""
    return tlv(0x20, struct.pack("!BI", client, 0) + b"".join(inner))


def with_checksum(header: bytes) -> bytes:
    """`header` with a CRC-32C TLV behind it all."""
    length = int.from_bytes(header[14:16], "big") + 7
    whole = header[:14] + struct.pack("!H", length) + header[16:] + tlv(0x03, bytes(4))
    return whole[:-4] + struct.pack("!I", crc32c(whole))


FROM_4 = addresses("192.0.2.7", "198.51.100.9", 51234, 8080)
FROM_6 = addresses("2001:db8::7", "2001:db8::9", 51234, 8080)
BY_4 = IPv4Address("TCP", "192.0.2.7", 51234)
BY_6 = IPv6Address("TCP", "2001:db8::7", 51234)

NAMING = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.9 51234 8080\r\n", BY_4),
    (b"PROXY TCP6 2001:db8::7 2001:db8::9 51234 8080\r\n", BY_6),
    (b"PROXY TCP6 2001:0DB8:0:0:0:0:0:7 2001:db8::9 51234 8080\r\n", BY_6),
    (binary(PROXY, TCP4, FROM_4), BY_4),
    (binary(PROXY, TCP6, FROM_6), BY_6),
    (binary(PROXY, TCP4, FROM_4, tlv(0xE0, b"x" * 300), tlv(0x04, b"")), BY_4),
    (with_checksum(binary(PROXY, TCP4, FROM_4)), BY_4),
]

UNNAMED = [
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN 192.0.2.7 198.51.100.9 51234 8080\r\n",
    b"PROXY UNKNOWN whatever stands here\r\n",
    binary(LOCAL, UNSPEC),
    binary(LOCAL, TCP4, FROM_4),
    binary(PROXY, UNSPEC),
    binary(PROXY, UNIX, b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")),
]

REFUSED = [
    GET,
    b"\r\n" + GET,
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"proxy TCP4 192.0.2.7 198.51.100.9 51234 8080\r\n",
    b"PROXY TCP5 192.0.2.7 198.51.100.9 51234 8080\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.9 51234\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.9 51234 65536\r\n",
    b"PROXY TCP4 192.0.2.777 198.51.100.9 51234 8080\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::9 51234 8080\r\n",
    b"PROXY TCP4 192.0.2.7  198.51.100.9 51234 8080\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.9 51234 8080\n",
    b"PROXY UNKNOWN".ljust(107, b"a"),
    b"PROXY UNKNOWN ".ljust(107, b"a"),
    b"PROXY\r\n",
    binary(0x11, TCP4, FROM_4),
    binary(0x22, TCP4, FROM_4),
    binary(PROXY, 0x41, FROM_4),
    binary(PROXY, TCP4, FROM_4[:-1]),
    binary(PROXY, TCP4, FROM_4, b"\x01\x00"),
    binary(PROXY, TCP4, FROM_4, tlv(0x03, b"nope")),
    binary(PROXY, TCP4, FROM_4, tlv(0x20, b"\x01")),
    SIGNATURE + struct.pack("!BBH", PROXY, TCP4, 5000),
    SIGNATURE[:-1] + b"X",
]


class Proxied(Conversation):
    """A client behind a PROXY header before a proxy before a back-end that answers."""

    async def stage(self, *, clock: bool = False, **settings: Any) -> RunningProxy:
        """Start it; what the back-end sees is in `seen`."""
        self.seen: list[Request] = []

        def answer(request: Request) -> bytes:
            self.seen.append(request)
            return OK

        backend = await self.backend(handler=answering(answer))
        self.router = router_to(backend, keepalive="default", feature={"peer_port"})
        self.clock = HandTurned(self.reactor)
        reactor: Any = self.clock if clock else self.reactor
        factory = self.listener = ProxyFactory(self.router, settings, reactor=reactor)
        self.addCleanup(factory.stop)
        return await self.listen(ProxiedFactory(factory), router=self.router)

    async def in_segments(self, client: ScriptedConnection, segments: Sequence[bytes]) -> None:
        """Send each on its own, so that the proxy reads it on its own."""
        for segment in segments:
            client.send(segment)
            await self.turns(1)

    async def asked(self, proxy: RunningProxy, *segments: bytes) -> tuple[Request, Any]:
        """Send these; return the request as the back-end saw it, and as the router did."""
        client = await proxy.connect()
        await self.in_segments(client, segments)
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(await self.router.finished, "normal")
        client.close()
        return self.seen[-1], self.router.requests[-1]

    def ways(self, data: bytes) -> list[list[bytes]]:
        """`data` whole, byte by byte, and cut in two at some places."""
        cuts = [[data[:at], data[at:]] for at in (1, 5, 12, 13, 16, 20) if at < len(data)]
        return [[data], [data[at : at + 1] for at in range(len(data))], *cuts]


class Headers(Proxied):
    """A good header."""

    async def test_names_client(self) -> None:
        """Rule 25: `peer` is the header's client, `proxy_peer` who connected, and so say the fields."""
        proxy = await self.stage()
        for header, peer in NAMING:
            for segments in self.ways(header + GET):
                with self.row(header, len(segments)):
                    seen, request = await self.asked(proxy, *segments)
                    self.assertEqual(request.peer, peer)
                    self.assertEqual(request.proxy_peer.host, "127.0.0.1")
                    self.assertEqual(request.local, IPv4Address("TCP", "127.0.0.1", proxy.port))
                    self.assertIs(request.tls, None)
                    self.assertEqual(seen.all("X-Forwarded-For"), [peer.host])
                    self.assertEqual(seen.all("X-Forwarded-Port"), ["8080"])
                    self.assertEqual(seen.all("X-Forwarded-Peer-Port"), ["51234"])
                    self.assertEqual(seen.all("X-Forwarded-Proto"), [])

    async def test_names_nobody(self) -> None:
        """Rule 25: UNKNOWN, LOCAL and UNIX sockets: the client is who connected, the port is Host's."""
        proxy = await self.stage()
        for header in UNNAMED:
            for segments in self.ways(header + GET):
                with self.row(header, len(segments)):
                    seen, request = await self.asked(proxy, *segments)
                    self.assertEqual(request.peer.host, "127.0.0.1")
                    self.assertIs(request.proxy_peer, None)
                    self.assertIs(request.tls, None)
                    self.assertEqual(seen.all("X-Forwarded-For"), ["127.0.0.1"])
                    self.assertEqual(seen.all("X-Forwarded-Port"), ["80"])
                    self.assertEqual(seen.all("X-Forwarded-Proto"), ["http"])

    async def test_mapped_address(self) -> None:
        """Rule 25: an IPv4 client in an IPv6 header is an IPv4 client in ``X-Forwarded-For``."""
        proxy = await self.stage()
        header = binary(PROXY, TCP6, addresses("::ffff:192.0.2.7", "::1", 51234, 8080))
        seen, request = await self.asked(proxy, header + GET)
        self.assertEqual(seen.all("X-Forwarded-For"), ["192.0.2.7"])
        self.assertEqual(request.peer, BY_4)

    async def test_tls(self) -> None:
        """Rule 25: what a v2 header says of the client's TLS is `request.tls`, and its scheme https."""
        proxy = await self.stage()
        inner = tlv(0x21, b"TLSv1.3"), tlv(0x23, b"TLS_AES_128_GCM_SHA256")
        destination = addresses("192.0.2.7", "198.51.100.9", 51234, 8443)
        header = binary(PROXY, TCP4, destination, tlv(0x02, b"shop.example"), ssl_tlv(1, *inner))
        for segments in self.ways(header + GET):
            seen, request = await self.asked(proxy, *segments)
            self.assertEqual(request.tls.protocol, "TLSv1.3")
            self.assertEqual(request.tls.cipher, "TLS_AES_128_GCM_SHA256")
            self.assertEqual(request.tls.server_name, "shop.example")
            self.assertEqual(seen.all("X-Forwarded-Proto"), ["https"])
            self.assertEqual(seen.all("X-Forwarded-Port"), ["8443"])

    async def test_tls_without_details(self) -> None:
        """Rule 25: a client that used TLS, and of which nothing more is said, used TLS."""
        proxy = await self.stage()
        seen, request = await self.asked(proxy, binary(PROXY, TCP4, FROM_4, ssl_tlv()) + GET)
        self.assertEqual(tuple(request.tls), (None, None, None, None))
        self.assertEqual(seen.all("X-Forwarded-Proto"), ["https"])

    async def test_no_tls(self) -> None:
        """Rule 25: TLS information whose bit says that there was no TLS is no TLS."""
        proxy = await self.stage()
        seen, request = await self.asked(proxy, binary(PROXY, TCP4, FROM_4, ssl_tlv(0)) + GET)
        self.assertIs(request.tls, None)
        self.assertEqual(seen.all("X-Forwarded-Proto"), [])

    async def test_port(self) -> None:
        """Settled: the header's destination port is rule 12's port, whatever `Host` says."""
        proxy = await self.stage()
        ask = b"GET / HTTP/1.1\r\nHost: example.org:%d\r\nX-Forwarded-Proto: gopher\r\n\r\n"
        for port, proto in [(80, "http"), (443, "https"), (8080, "gopher")]:
            for named in (80, 443, 5000):
                with self.row(port, named):
                    header = b"PROXY TCP4 192.0.2.7 198.51.100.9 51234 %d\r\n" % port
                    seen, _ = await self.asked(proxy, header + ask % named)
                    self.assertEqual(seen.all("X-Forwarded-Port"), [str(port)])
                    self.assertEqual(seen.all("X-Forwarded-Proto"), [proto])

    async def test_trusted(self) -> None:
        """Rules 12, 25: ``trusted_proxies`` judges the client of the header."""
        proxy = await self.stage(trusted_proxies="192.0.2.0/24")
        ask = b"GET / HTTP/1.1\r\nHost: example.org\r\nX-Forwarded-For: 203.0.113.1\r\n\r\n"
        for client, expected in [
            ("192.0.2.7", "203.0.113.1, 192.0.2.7"),
            ("198.51.100.7", "198.51.100.7"),
        ]:
            header = f"PROXY TCP4 {client} 198.51.100.9 51234 8080\r\n".encode("ascii")
            seen, _ = await self.asked(proxy, header + ask)
            self.assertEqual(seen.all("X-Forwarded-For"), [expected])

    async def test_pipelined_behind(self) -> None:
        """Rules 7, 25: requests that come in the header's segment are answered, all as that client's."""
        proxy = await self.stage()
        client = await proxy.connect()
        client.send(NAMING[0][0] + GET + SECOND)
        for _ in range(2):
            self.assertEqual((await client.receive_response()).body, b"hi")
        await self.router.finished
        self.assertEqual([request.target for request in self.seen], ["/", "/second"])
        self.assertEqual([request.peer for request in self.router.requests], [BY_4, BY_4])
        client.send(GET)
        await client.receive_response()
        self.assertEqual(self.seen[-1].all("X-Forwarded-For"), ["192.0.2.7"])

    async def test_one_header_only(self) -> None:
        """Rule 25: a second header is no request."""
        proxy = await self.stage()
        header = NAMING[0][0]
        client = await proxy.connect()
        client.send(header + header + GET)
        self.assertEqual((await client.receive_response()).status, 400)
        await client.eof()
        self.assertEqual(self.router.calls, [])

    async def test_half_closed_behind(self) -> None:
        """Settled: a client that half-closes behind a whole request still gets its answer."""
        proxy = await self.stage()
        client = await proxy.connect()
        client.send(NAMING[0][0] + GET)
        client.half_close()
        self.assertEqual((await client.receive_response()).body, b"hi")
        await client.eof()


class NoHeader(Proxied):
    """A bad header, or none."""

    async def test_refused(self) -> None:
        """Rule 25: closed without a word, and nobody is told of it."""
        proxy = await self.stage()
        for bad in REFUSED:
            for segments in self.ways(bad):
                with self.row(bad, len(segments)):
                    client = await proxy.connect()
                    await self.in_segments(client, segments)
                    await client.closed()
                    self.assertEqual(client.received, b"")
        self.assertEqual(self.router.calls, [])
        await self.until(lambda: not self.listener.connections)

    async def test_refused_with_request_behind(self) -> None:
        """Rule 25: what follows a bad header is never read as a request."""
        proxy = await self.stage()
        for bad in REFUSED:
            with self.row(bad):
                client = await proxy.connect()
                client.send(bad + GET)
                await client.closed()
                self.assertEqual(client.received, b"")
        self.assertEqual((self.router.calls, self.seen), ([], []))

    async def test_ends_in_header(self) -> None:
        """Rule 25: a connection that ends inside its header is closed, in order or not."""
        proxy = await self.stage()
        for header in (NAMING[0][0], NAMING[3][0]):
            for size in (0, 1, 8, len(header) - 1):
                with self.row(header, size):
                    client = await proxy.connect()
                    client.send(header[:size])
                    client.half_close()
                    await client.closed()
                    self.assertEqual(client.received, b"")
                    client = await proxy.connect()
                    client.send(header[:size])
                    await self.turns()
                    client.abort()
        await self.until(lambda: not self.listener.connections)
        self.assertEqual(self.router.calls, [])

    async def test_deadline(self) -> None:
        """Rule 24: the header has ``timeout`` to come whole, and bytes that trickle in do not move that."""
        proxy = await self.stage(clock=True, timeout=60_000)
        for header in (NAMING[0][0], NAMING[3][0]):
            client = await proxy.connect()
            for size in range(1, 6):
                client.send(header[size - 1 : size])
                await self.until(partial(self.holds, header[:size]), "the byte to arrive")
                self.clock.advance(11)
            self.assertEqual(client.arrival.value, "open")
            self.clock.advance(6)
            await client.closed()
            self.assertEqual(client.received, b"")
            await self.until(lambda: not self.listener.connections)
        self.assertEqual(self.router.calls, [])

    def holds(self, beginning: bytes) -> bool:
        """Whether this has come of the one header that is under way."""
        held: list[Any] = [getattr(each, "_header", None) for each in self.listener.connections]
        return held == [beginning]

    async def test_others_go_on(self) -> None:
        """Rule 25: a bad header ends its own connection, and no other."""
        proxy = await self.stage()
        good = await proxy.connect()
        good.send(NAMING[0][0])
        bad = await proxy.connect()
        bad.send(GET)
        await bad.closed()
        good.send(GET)
        self.assertEqual((await good.receive_response()).body, b"hi")
