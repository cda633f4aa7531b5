"""The head of the request to the back-end (rules 11 to 13).

What the client sent goes on in its order, byte for byte; fields of the client's connection end here; what the proxy
adds stands at the end.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from vegurtx.proxy.additional import replaced
from vegurtx.wire.fields import token_list, without

if TYPE_CHECKING:
    from vegurtx.proxy.exchange import Exchange

#: what a `Connection` field may name, but not take away
_KEPT = frozenset(
    {
        b"close",
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"keep-alive",
        b"transfer-encoding",
        b"upgrade",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-peer-port",
        b"x-forwarded-port",
        b"x-forwarded-proto",
    }
)
#: forwarding fields that stay where they are, and that a peer which is not trusted must not bring
_CLAIMED = frozenset({b"forwarded", b"x-forwarded-host", b"x-forwarded-proto"})


def own_names(configured: Set[bytes]) -> frozenset[bytes]:
    """The fields that no `Connection` field takes away: the framing ones, and those that we add ourselves."""
    return _KEPT | configured


def upstream_fields(exchange: Exchange, peer_port: bool) -> bytes:
    """The field lines of the request to the back-end; all but what the router adds and the last, `Connection`."""
    proxy = exchange.proxy
    connection = exchange.connection
    head = exchange.head
    known = head.known
    rest = head.rest
    memo = exchange.memo
    log = exchange.log

    trusted = memo.trusted
    merged = b"content-length" in head.repeated
    drop: set[bytes] = set()
    if exchange.tokens:
        drop.update(exchange.tokens - proxy.own_names)
    if b"expect" in known and not exchange.deep_continue:
        drop.add(b"expect")
    if b"x-forwarded-proto" in known and memo.proto is not None:
        drop.add(b"x-forwarded-proto")
    if exchange.own_id and proxy.request_id_key in known:
        drop.add(proxy.request_id_key)
    if not trusted:
        drop.update(_CLAIMED)
    if exchange.authority is not None:
        drop.add(b"host")
    if merged:
        drop.add(b"content-length")
    if drop:
        rest = without(rest, drop)

    special = b""
    if exchange.authority is not None:
        special = b"Host: %b\r\n" % exchange.authority
    if merged:
        special += b"Content-Length: %d\r\n" % exchange.framing
    if b"te" in known and b"trailers" in _members(known[b"te"]):
        special += b"TE: trailers\r\n"
    if exchange.upgrade is not None:
        special += b"Upgrade: %b\r\n" % exchange.upgrade

    forwarded_for = known.get(b"x-forwarded-for") if trusted else None
    if peer_port:
        special += b"X-Forwarded-Peer-Port: %d\r\n" % getattr(connection.peer, "port", 0)
    elif trusted and b"x-forwarded-peer-port" in known:
        special += b"X-Forwarded-Peer-Port: %b\r\n" % known[b"x-forwarded-peer-port"]

    via = known.get(b"via")
    return b"".join(
        (
            rest,
            special,
            b"X-Forwarded-For: %b, %b\r\n" % (forwarded_for, memo.peer)
            if forwarded_for
            else memo.forwarded_for,
            memo.forwarded,
            proxy.request_id_line % exchange.request.id.encode("ascii") if exchange.own_id else b"",
            proxy.time_lines
            % (int(exchange.accepted_at * 1000), log.event_duration("connect_time") or 0, exchange.route_time),
            b"Via: 1.1 vegur\r\n" if via is None else b"Via: %b, 1.1 vegur\r\n" % via,
        )
    )


def upstream_head(exchange: Exchange, lines: bytes, extra: object) -> bytes:
    """The whole head: `lines` as `upstream_fields` made them, with what the router adds.

    :raises TypeError, ValueError: the router's headers cannot be sent.
    """
    if extra:
        lines = replaced(lines, extra)
    if exchange.upgrade is not None:
        options = b"upgrade"
    elif exchange.backend.keepalive is None:
        options = b"close"
    else:
        options = b"keep-alive"
    return b"%b %b HTTP/1.1\r\n%bConnection: %b\r\n\r\n" % (exchange.head.method, exchange.target, lines, options)


def _members(value: bytes) -> tuple[bytes, ...]:
    try:
        return token_list(value)
    except ValueError:  # with weights, which no back-end of ours needs
        return tuple(member.partition(b";")[0].strip(b" \t").lower() for member in value.split(b","))
