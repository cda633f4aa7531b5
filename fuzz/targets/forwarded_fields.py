"""The fields that say who forwards what for whom, and all that the proxy writes of its own (rules 11 to 13).

The first byte says who the client is (see `_CONNECTIONS`); the rest is the field lines of its head.

Claims, of the head that the back-end gets:

- h11 and llhttp read it as one request, with the client's method and target.
- The client's own fields that go on stand in their order, byte for byte, and no field goes on that must not.
- Of a peer that is not trusted nothing is believed: its address stands alone; of one that is, it stands last.
- The id is the client's where it is well formed, else ours; and nothing in it or in any field is read as a format.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock

from fuzz.findings import hold, same
from fuzz.hops import next_request, values
from fuzz.oracles import h11_requests, llhttp_requests
from fuzz.segments import leading
from vegurtx.message import Backend
from vegurtx.proxy.factory import ProxyFactory
from vegurtx.proxy.intake import TAKE, Intake
from vegurtx.proxy.upstream import upstream_head
from vegurtx.router import Router
from vegurtx.wire.errors import BadHead
from vegurtx.wire.fields import fields

_ID = "01234567-89ab-4cde-8f01-23456789abcd"
_LINE = b"GET /a%b?%d HTTP/1.1\r\n"
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_ADDED = frozenset(
    {b"x-request-id", b"x-request-start", b"connect-time", b"total-route-time", b"x-forwarded-proto", b"via"}
)
_PROXIES = {
    trusts: ProxyFactory(
        Router(), {"trusted_proxies": ["198.51.100.0/24", "::1"]} if trusts else {}, reactor=Clock()
    )
    for trusts in (False, True)
}
_FOUR, _TRUSTED = IPv4Address("TCP", "192.0.2.1", 4000), IPv4Address("TCP", "198.51.100.7", 4000)
_SIX = IPv6Address("TCP", "2001:db8::1", 4000)
#: ``(trusts by list, peer, its TLS, port of a PROXY header)``
_CONNECTIONS: tuple[tuple[bool, Any, Any, int | None], ...] = (
    (False, _FOUR, None, None),
    (True, _FOUR, None, None),
    (True, _TRUSTED, None, None),
    (False, _SIX, SimpleNamespace(), None),
    (True, UNIXAddress(b"/s"), None, 443),
)


def check(data: bytes) -> None:
    """All claims, for one head."""
    number, data = leading(data, len(_CONNECTIONS))
    lists, peer, tls, port = _CONNECTIONS[number]
    proxy = _PROXIES[lists]
    try:
        head = proxy.parser.parse(_LINE + data + b"\r\n\r\n")
    except BadHead:
        return
    assert head is not None
    connection: Any = SimpleNamespace(peer=peer, tls=tls, destination_port=port)
    intake = Intake(head, connection, proxy)
    if intake.problem is not None or intake.tokens is None:
        return
    exchange: Any = SimpleNamespace(
        intake=intake,
        factory=proxy,
        proxy=proxy,
        head=head,
        target=head.target,
        upgrade=None,
        deep_continue=False,
        backend=Backend("a", 1),
        connection=connection,
        accepted_at=1_700_000_000.25,
        connect_time=1,
        route_time=2,
        request=SimpleNamespace(id=intake.given_id or _ID),
    )
    raw = upstream_head(exchange, False, ())
    again = upstream_head(exchange, False, ())
    same(again, raw, "the same request, another head")
    framed = raw + {0: b"", -1: b"0\r\n\r\n"}.get(intake.framing, b"x" * min(intake.framing, 1000))
    if intake.framing <= 1000:
        stream = h11_requests(framed)
        same(
            (len(stream.messages), stream.rest), (1, "nothing"), "h11 does not read one request", stream, raw
        )
        llhttp = llhttp_requests(framed)
        same((len(llhttp.messages), llhttp.rest), (1, "nothing"), "llhttp does not read one request", llhttp)
        same(stream.messages[0].first[:2], (head.method, head.target), "another request line")
        host = getattr(peer, "host", "unknown").encode("ascii")
        next_request(stream.messages[0], host)
    sent, given = fields(raw.partition(b"\r\n")[2][:-2]), fields(head.block)
    _forwarded(sent, given, intake)
    _kept(sent, given, intake)


def _forwarded(sent: list[tuple[bytes, bytes]], given: list[tuple[bytes, bytes]], intake: Intake) -> None:
    claimed = b", ".join(values(given, b"x-forwarded-for"))
    (chain,) = values(sent, b"x-forwarded-for")
    wanted = b"%b, %b" % (claimed, intake.peer) if claimed and intake.trusted else intake.peer
    same(chain, wanted, "another chain", given)
    if not intake.trusted:
        for name in (b"forwarded", b"x-forwarded-host", b"x-forwarded-peer-port"):
            same(values(sent, name), [], "a stranger's claim goes on")
    (request_id,) = values(sent, b"x-request-id")
    hold(request_id == _ID.encode() or request_id in values(given, b"x-request-id"), "another id", request_id)
    if request_id != _ID.encode():
        hold(20 <= len(request_id) <= 200 and request_id.isascii(), "an id that is none", request_id)
    via = b", ".join([*values(given, b"via"), b"1.1 vegur"])
    same(values(sent, b"via"), [via], "another chain of Via")
    hold(len(values(sent, b"x-forwarded-proto")) == 1 or intake.proto is None, "X-Forwarded-Proto", sent)


def _kept(sent: list[tuple[bytes, bytes]], given: list[tuple[bytes, bytes]], intake: Intake) -> None:
    """What is the client's own goes on in its order; what its Connection names goes, but for what must not."""
    tokens = intake.tokens or frozenset()
    special = TAKE | _ADDED | _FRAMING | {b"forwarded", b"x-forwarded-host", b"expect", b"host"}
    own = [(name, value) for name, value in given if name.lower() not in special | tokens]
    names = {name for name, _ in own}
    same([(name, value) for name, value in sent if name in names], own, "the client's own fields", tokens)
    same(values(sent, b"host"), values(given, b"host"), "Host")
    for name in tokens - special:
        same(values(sent, name), [], "a field that Connection names goes on")
