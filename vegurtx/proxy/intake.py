"""What a request's head says about itself, before anybody is asked where it goes.

Host, target, framing and connection options (rules 2, 5, 8, 9). What is wrong is remembered, not raised: the router's
``init`` comes first, and the stage whose matter it is raises it (see "Who sees a rejection").
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from vegurtx.errors import RouteError
from vegurtx.proxy.ids import acceptable
from vegurtx.wire.errors import BadFraming
from vegurtx.wire.fields import token_list, upgrade_list
from vegurtx.wire.framing import request_framing
from vegurtx.wire.request import RequestHead
from vegurtx.wire.target import parse_host, parse_target

if TYPE_CHECKING:
    from vegurtx.net.server import ClientConnection
    from vegurtx.proxy.factory import ProxyFactory
    from vegurtx.proxy.upstream import Wishes

#: fields whose lines never go on as they came: they end here, or we write them anew
TAKE = frozenset(
    {
        b"connection",
        b"content_length",  # a look-alike, which some back-ends read as the real one
        b"http2-settings",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer_encoding",
        b"upgrade",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-peer-port",
        b"x-forwarded-port",
    }
)
#: fields that are read, and go on where they stand unless a rule says otherwise
READ = frozenset({b"content-length", b"expect", b"host", b"transfer-encoding", b"x-forwarded-proto"})

_EXPECTATION = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++[ \t]*+(?:[=;,]|\Z)")
#: the length of a body of which nobody can say where it ends
NO_END = 1 << 62
_CLOSE = frozenset({b"close"})
_KEEP_ALIVE = frozenset({b"keep-alive"})
NO_TOKENS: frozenset[bytes] = frozenset()
_COMMON_TOKENS = {
    b"keep-alive": _KEEP_ALIVE,
    b"Keep-Alive": _KEEP_ALIVE,
    b"close": _CLOSE,
    b"Close": _CLOSE,
}


class Intake:
    """What the field lines of a request say, and what of them goes on.

    It follows from the lines, the version and the connection alone. Clients that keep a connection send much the same
    lines again and again, so the connection remembers its last `Intake`.

    :param authority: the target's, where it is in absolute-form; it takes the place of ``Host``.
    """

    __slots__ = (
        "authority",
        "domain",
        "forwarded",
        "framing",
        "given_id",
        "known",
        "minor",
        "peer",
        "persistent",
        "plain",
        "problem",
        "proto",
        "repeated",
        "rest",
        "tokens",
        "trusted",
        "upstream",
        "upstream_for",
    )

    def __init__(
        self,
        head: RequestHead,
        connection: ClientConnection,
        proxy: ProxyFactory,
        authority: bytes | None = None,
    ) -> None:
        known = self.known = head.known
        self.repeated = head.repeated
        self.rest = head.rest
        self.minor = head.minor
        self.authority = authority
        #: the first thing wrong, for the stage whose matter it is
        self.problem: RouteError | None = None
        port = self._read_host(authority)
        #: the length of the body, or `CHUNKED`
        self.framing = 0
        if b"content-length" in known or b"transfer-encoding" in known:
            self._read_framing(head)
        #: the options in ``Connection``; `None` where it is malformed
        self.tokens: frozenset[bytes] | None = None
        with suppress(ValueError):
            self.tokens = connection_tokens(known.get(b"connection"))
        #: whether the client keeps its connection open after this request
        self.persistent = self.tokens is not None and persistent(self.tokens, head.minor)
        #: the client's request id, if it is one to keep
        self.given_id = ""
        given_id = known.get(proxy.request_id_key)
        if (
            given_id is not None
            and proxy.request_id_key not in head.repeated
            and acceptable(given_id, proxy.request_id_max_size)
        ):
            self.given_id = given_id.decode("ascii")
        self._read_peer(connection, proxy, port)
        #: whether there is nothing to refuse, to continue or to upgrade
        self.plain = (
            self.problem is None
            and b"expect" not in known
            and self.tokens is not None
            and b"upgrade" not in self.tokens
        )
        #: the head for the back-end, and what it was made for (see `upstream`)
        self.upstream = b""
        self.upstream_for: Wishes | None = None

    def _read_host(self, authority: bytes | None) -> int | None:
        """Find the domain; returns the port that the client names."""
        #: lower case, without port
        self.domain = ""
        host = self.known.get(b"host", b"") if authority is None else authority
        if b"host" in self.repeated:
            self.problem = RouteError("bad_request")
        elif not host or b"host" not in self.known:
            self.problem = RouteError("empty_host")
        port = None
        try:
            if host:
                self.domain, port = parse_host(host)
        except ValueError:
            self.problem = RouteError("bad_request")
        return port

    def _read_framing(self, head: RequestHead) -> None:
        try:
            self.framing = framing_of(head)
        except RouteError as error:
            # anew, without the frames: these lead back here
            self.problem = self.problem or RouteError(error.reason, error.code)
            self.framing = NO_END

    def _read_peer(self, connection: ClientConnection, proxy: ProxyFactory, port: int | None) -> None:
        """Who forwards what for whom (rule 12)."""
        secure = connection.tls is not None
        #: the client, as it is written into ``X-Forwarded-For``
        self.peer = _address(connection.peer)
        #: whether the forwarding fields that the client brings are believed
        self.trusted = proxy.trusts(connection.peer)
        # behind a PROXY listener, the port that its header names
        port = connection.destination_port or port or (443 if secure else 80)
        #: the value of ``X-Forwarded-Proto``, or `None` to leave that field as it came
        self.proto = "https" if secure or port == 443 else "http" if port == 80 else None
        proto = "" if self.proto is None else f"X-Forwarded-Proto: {self.proto}\r\n"
        self.forwarded = f"X-Forwarded-Port: {port}\r\n{proto}".encode("ascii")

    @property
    def secure(self) -> bool:
        """Whether the client speaks TLS, to us or to a proxy before us that we believe."""
        return self.proto == "https" or (
            self.trusted and self.known.get(b"x-forwarded-proto", b"").lower() == b"https"
        )


def _address(peer: Any) -> bytes:
    host = getattr(peer, "host", None)
    if not isinstance(host, str):
        return b"unknown"  # a UNIX socket's (RFC 7239 section 6.2)
    return (
        host.removeprefix("::ffff:").encode("ascii", "replace")
        if "." in host
        else host.encode("ascii", "replace")
    )


def connection_tokens(value: bytes | None) -> frozenset[bytes]:
    """The options in a ``Connection`` field, lower case. Raises `ValueError` where it is malformed."""
    if value is None:
        return NO_TOKENS
    common = _COMMON_TOKENS.get(value)
    return frozenset(token_list(value)) if common is None else common


def persistent(tokens: frozenset[bytes], minor: int) -> bool:
    """Whether the sender of a head keeps its connection open after the message (RFC 9112 section 9.3)."""
    if tokens is NO_TOKENS:
        return minor == 1
    return b"close" not in tokens and (minor == 1 or b"keep-alive" in tokens)


def target_of(head: RequestHead) -> tuple[bytes, bytes | None]:
    """The target for the back-end in origin-form, and the authority that takes the place of ``Host``.

    :raises RouteError: ``bad_request``, or ``empty_host`` beside an absolute target (rules 1, 2).
    """
    if head.method == b"CONNECT":
        raise RouteError("bad_request", 405)
    try:
        parsed = parse_target(head.method, head.target)
        if parsed.authority is not None:
            # the authority takes the place of a Host that must be good all the same (RFC 9112 section 3.2)
            given = head.known.get(b"host", b"")
            if not given:
                raise RouteError("empty_host")
            parse_host(given)
    except ValueError:
        raise RouteError("bad_request") from None
    return parsed.origin, parsed.authority


def framing_of(head: RequestHead) -> int:
    """The body's length, or `CHUNKED`.

    :raises RouteError: the framing fields are malformed or contradict each other (rule 5).
    """
    try:
        return request_framing(head)
    except BadFraming as error:
        if error.what == "content_length":
            raise RouteError("bad_request") from None
        code = 501 if error.what == "unknown_coding" else None
        raise RouteError(("upstream", "invalid_transfer_encoding"), code) from None


def upgrade_of(head: RequestHead, tokens: frozenset[bytes]) -> bytes | None:
    """The protocols that the client would upgrade to, without those that are not offered on (rule 9).

    :raises RouteError: ``bad_request_header``.
    """
    if b"upgrade" not in tokens or head.minor == 0:
        return None
    value = head.known.get(b"upgrade")
    try:
        protocols = upgrade_list(value if value is not None else b"")
    except ValueError:
        raise RouteError("bad_request_header") from None
    offered = [
        protocol for protocol in protocols if protocol.lower().partition(b"/")[0] not in (b"h2c", b"h2")
    ]
    return b", ".join(offered) if offered else None


def continue_expected(head: RequestHead) -> bool:
    """Whether the client waits for a ``100 Continue`` (rule 8; one that speaks HTTP/1.0 cannot).

    :raises RouteError: it expects something else, or cannot say what.
    """
    value = head.known.get(b"expect", b"")
    if not value:
        return False
    if value.lower() != b"100-continue":
        raise RouteError("expectation_failed" if _EXPECTATION.match(value) else "bad_request_header")
    return head.minor == 1
