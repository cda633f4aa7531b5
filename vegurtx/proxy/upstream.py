"""The head of the request to the back-end (rules 11 to 13).

What the client sent goes on in its order, byte for byte; fields of the client's connection end here; what the proxy
adds stands at the end.
"""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, NamedTuple

from vegurtx.proxy.additional import replaced
from vegurtx.wire.fields import token_list, without

if TYPE_CHECKING:
    from vegurtx.proxy.exchange import Exchange
    from vegurtx.proxy.factory import ProxyFactory
    from vegurtx.proxy.intake import Intake

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
_CLOSE = b"Connection: close\r\n\r\n"
_UPGRADE = b"Connection: upgrade\r\n\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n\r\n"
#: forwarding fields that stay where they are, and that a peer which is not trusted must not bring
_CLAIMED = frozenset({b"forwarded", b"x-forwarded-host", b"x-forwarded-proto"})


def own_names(configured: Set[bytes]) -> frozenset[bytes]:
    """The fields that no `Connection` field takes away: the framing ones, and those that we add ourselves."""
    return _KEPT | configured


class Wishes(NamedTuple):
    """What may differ between two requests whose field lines are the same."""

    expect: bool
    """``Expect`` goes on: the back-end shall answer it."""
    upgrade: bytes | None
    """The protocols that are offered to the back-end."""
    peer_port: int | None
    """The client's port, where the feature of this name is on."""
    keep: bool
    """The back-end's connection stays open."""


_PLAIN = {keep: Wishes(False, None, None, keep) for keep in (True, False)}


def upstream_template(intake: Intake, proxy: ProxyFactory, wishes: Wishes) -> bytes:
    """The head for the back-end that requests with the same `Intake` and wishes share, for the ``%`` operator.

    It has places for method and target, for the request id unless the client brought one, and for the three times.
    """
    via = intake.known.get(b"via")
    constant = upstream_fields(intake, proxy, wishes).replace(b"%", b"%%")
    ending = _UPGRADE if wishes.upgrade is not None else _KEEP_ALIVE if wishes.keep else _CLOSE
    return b"".join(
        (
            b"%b %b HTTP/1.1\r\n",
            constant,
            b"" if intake.given_id else proxy.request_id_line,
            proxy.time_lines,
            b"Via: 1.1 vegur\r\n" if via is None else b"Via: %b, 1.1 vegur\r\n" % via.replace(b"%", b"%%"),
            ending,
        )
    )


def upstream_fields(intake: Intake, proxy: ProxyFactory, wishes: Wishes) -> bytes:
    """The field lines for the back-end that requests with the same `Intake` and wishes share."""
    known = intake.known
    merged = b"content-length" in intake.repeated
    drop: set[bytes] = set()
    if intake.tokens:
        drop.update(intake.tokens - proxy.own_names)
    if not wishes.expect:
        drop.add(b"expect")
    if intake.proto is not None:
        drop.add(b"x-forwarded-proto")
    if not intake.given_id:
        drop.add(proxy.request_id_key)
    if not intake.trusted:
        drop.update(_CLAIMED)
    if intake.authority is not None:
        drop.add(b"host")
    if merged:
        drop.add(b"content-length")
    lines = [without(intake.rest, drop)]
    if intake.authority is not None:
        lines.append(b"Host: %b\r\n" % intake.authority)
    if merged:
        lines.append(b"Content-Length: %d\r\n" % intake.framing)
    if b"te" in known and b"trailers" in _members(known[b"te"]):
        lines.append(b"TE: trailers\r\n")
    if wishes.upgrade is not None:
        lines.append(b"Upgrade: %b\r\n" % wishes.upgrade)
    if wishes.peer_port is not None:
        lines.append(b"X-Forwarded-Peer-Port: %d\r\n" % wishes.peer_port)
    elif intake.trusted and b"x-forwarded-peer-port" in known:
        lines.append(b"X-Forwarded-Peer-Port: %b\r\n" % known[b"x-forwarded-peer-port"])
    forwarded_for = known.get(b"x-forwarded-for") if intake.trusted else None
    if forwarded_for:
        lines.append(b"X-Forwarded-For: %b, %b\r\n" % (forwarded_for, intake.peer))
    else:
        lines.append(b"X-Forwarded-For: %b\r\n" % intake.peer)
    lines.append(intake.forwarded)
    return b"".join(lines)


def upstream_head(exchange: Exchange, peer_port: bool, extra: object) -> bytes:
    """The whole head of the request to the back-end.

    :param peer_port: whether the feature of this name is on.
    :param extra: what the router adds.
    :raises TypeError, ValueError: the router's headers cannot be sent.
    """
    proxy = exchange.proxy
    intake = exchange.intake
    upgrade = exchange.upgrade
    keep = exchange.backend.keepalive is not None
    wishes = _PLAIN[keep]
    if peer_port or upgrade is not None or exchange.deep_continue:
        port = getattr(exchange.connection.peer, "port", 0) if peer_port else None
        wishes = Wishes(exchange.deep_continue, upgrade, port, keep)
    if intake.upstream_for is not wishes and intake.upstream_for != wishes:
        intake.upstream_for = wishes
        intake.upstream = upstream_template(intake, proxy, wishes)
    method, target = exchange.head.method, exchange.target
    # the start in milliseconds: %d cuts what is behind the point
    times = (exchange.accepted_at * 1000, exchange.connect_time, exchange.route_time)
    if intake.given_id:
        head = intake.upstream % (method, target, *times)
    else:
        head = intake.upstream % (method, target, exchange.request.id.encode("ascii"), *times)
    return with_fields(head, extra) if extra else head


def with_fields(head: bytes, extra: object) -> bytes:
    """A head with the router's fields in it; the request line and the last field, `Connection`, stay where they are."""
    begin = head.index(b"\n") + 1
    end = head.rindex(b"\n", 0, -4) + 1
    return head[:begin] + replaced(head[begin:end], extra) + head[end:]


def _members(value: bytes) -> tuple[bytes, ...]:
    try:
        return token_list(value)
    except ValueError:  # with weights, which no back-end of ours needs
        return tuple(member.partition(b";")[0].strip(b" \t").lower() for member in value.split(b","))
