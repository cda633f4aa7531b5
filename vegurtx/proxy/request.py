"""The request, as routers and middlewares see it. Everything that few ask for is worked out when it is asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from vegurtx.message import Headers
from vegurtx.proxy.log import RequestLog
from vegurtx.wire.fields import fields
from vegurtx.wire.request import RequestHead

if TYPE_CHECKING:
    from vegurtx.proxy.exchange import Exchange

#: as a request line may hold it (RFC 9112 section 3.2.1); bytes above ASCII are left to the back-end, as the client's
_origin_form = re.compile(rb"/[^\x00-\x20\x7f#]*+").fullmatch


class Request:
    """One request. Text is ``str`` (latin-1); times are as `RequestLog` says.

    Some attributes are plain: ``id`` (the request id, sent on to the back-end), ``log`` (a `RequestLog`),
    ``response_code`` (of the final response; ``None`` before it), ``suggested_code`` (the status that the stage which
    refused it would like).
    """

    __slots__ = (
        "_connect_error",  # not there unless a connect has failed
        "_connection",
        "_head",
        "_headers",
        "_meta",
        "_response_block",
        "_response_headers",
        "_target",
        "exchange",
        "host",
        "id",
        "log",
        "received",
        "response_code",
        "sent",
        "suggested_code",
    )

    def __init__(
        self,
        exchange: Exchange,
        connection: Any,
        head: RequestHead,
        log: RequestLog,
        host: str,
        target: bytes,
        id: str,
    ) -> None:
        self.exchange: Exchange | None = exchange
        self._connection = connection
        self._head = head
        self._target = target
        self._headers: Headers | None = None
        self._meta: dict[Any, Any] | None = None
        self._response_block: bytes | None = None
        self._response_headers: Headers | None = None
        self.log = log
        #: the domain that the request asks for, lower case, without port
        self.host = host
        self.id = id
        self.response_code: int | None = None
        self.suggested_code: int | None = None
        self.received = 0
        self.sent = 0

    # -- what the client said -------------------------------------------------------------------------------------

    @property
    def method(self) -> str:
        """The method, as sent."""
        return self._head.method.decode("latin-1")

    @property
    def target(self) -> str:
        """The request target, raw."""
        return self._head.target.decode("latin-1")

    @property
    def path(self) -> str:
        """The target's path, raw: nothing is decoded or normalised."""
        return self._target.partition(b"?")[0].decode("latin-1")

    @property
    def origin_form(self) -> str:
        """Path and query, raw; the target without the authority that an absolute one has."""
        return self._target.decode("latin-1")

    @property
    def query(self) -> str:
        """The target's query without the ``?``; empty if there is none."""
        return self._target.partition(b"?")[2].decode("latin-1")

    @property
    def forward_target(self) -> str:
        """The target in origin-form that the back-end gets: the client's, until a router or a stage assigns another.

        :raises ValueError: what is assigned is no origin-form.
        """
        exchange = self.exchange
        return (self._target if exchange is None else exchange.target).decode("latin-1")

    @forward_target.setter
    def forward_target(self, target: str) -> None:
        raw = target.encode("latin-1")
        if _origin_form(raw) is None:
            raise ValueError(
                f"a target begins with a slash and has neither blanks nor control characters: {target!r}"
            )
        if self.exchange is not None:
            self.exchange.target = raw

    @property
    def connect_error(self) -> str | None:
        """The word of the last connect that failed for this request, as `checkin_service` has had it; `None` where none
        has. What it ended with, where the reason is ``("downstream", "connect_tries")``.
        """
        return getattr(self, "_connect_error", None)

    def connect_failed(self, word: str) -> None:
        """A connect has failed; for the exchange."""
        self._connect_error = word

    @property
    def version(self) -> tuple[int, int]:
        """``(1, 0)`` or ``(1, 1)``."""
        return (1, self._head.minor)

    @property
    def headers(self) -> Headers:
        """The request's fields as they were sent."""
        headers = self._headers
        if headers is None:
            headers = self._headers = Headers(fields(self._head.block))
        return headers

    @property
    def meta(self) -> dict[Any, Any]:
        """A dict for middlewares and routers to keep what they like in."""
        meta = self._meta
        if meta is None:
            meta = self._meta = {}
        return meta

    # -- who said it ----------------------------------------------------------------------------------------------

    @property
    def peer(self) -> Any:
        """The client's address (Twisted's); behind a PROXY listener, the one that the PROXY header names."""
        return self._connection.peer

    @property
    def local(self) -> Any:
        """Our address on the client's connection (Twisted's)."""
        return self._connection.local

    @property
    def proxy_peer(self) -> Any:
        """Behind a PROXY listener, the address of the proxy that connected to us; else ``None``."""
        return self._connection.proxy_peer

    @property
    def tls(self) -> Any:
        """Protocol, cipher and SNI name of the client's TLS; ``None`` on plain connections."""
        return self._connection.tls

    # -- the response ---------------------------------------------------------------------------------------------

    @property
    def response_headers(self) -> Headers:
        """The fields of the final response as the back-end, or the proxy itself, gave them; empty before it."""
        headers = self._response_headers
        if headers is None:
            if self._response_block is None:
                return Headers()
            headers = self._response_headers = Headers(fields(self._response_block))
        return headers

    def responded(self, code: int, block: bytes) -> None:
        """The final response has the status `code` and the field lines `block`."""
        self.response_code = code
        self._response_block = block
        self._response_headers = None

    # -- how much it was --------------------------------------------------------------------------------------------

    @property
    def bytes_sent(self) -> int:
        """Bytes sent to the back-end: head, body and its framing; of the last connection that was used (vegur_req).

        It grows while the request goes on.
        """
        exchange = self.exchange
        link = None if exchange is None else exchange.link
        return self.sent if link is None else link.sent

    @property
    def bytes_received(self) -> int:
        """Bytes received from the back-end, interim responses, heads and framing included; else as `bytes_sent`."""
        exchange = self.exchange
        link = None if exchange is None else exchange.link
        return self.received if link is None else link.received

    # -- durations in milliseconds, None where the request never got that far (vegur_req) --------------------------

    @property
    def start_to_proxy_duration(self) -> int | None:
        """From its acceptance to the begin of its way to the back-end."""
        return self.log.between("accepted", "pre_proxy")

    @property
    def route_duration(self) -> int | None:
        """From its acceptance to the begin of the (last) connect."""
        return self.log.between("accepted", "pre_connect")

    @property
    def connect_duration(self) -> int | None:
        """Of the (last) connect."""
        return self.log.event_duration("connect_time")

    @property
    def service_duration(self) -> int | None:
        """Of the conversation with the (last) back-end, from the head's being sent to its end, however it ended."""
        return self.log.event_duration("service_time")

    @property
    def total_duration(self) -> int | None:
        """From its acceptance to the end of the response."""
        return self.log.between("accepted", "responded")

    @property
    def send_headers_duration(self) -> int | None:
        """From the head's being ready to its being sent."""
        return self.log.between("headers_formatted", "headers_sent")

    @property
    def request_proxy_duration(self) -> int | None:
        """From the head's being sent to the end of the request's body; 0 where there is none."""
        log = self.log
        if log.event("client_last_packet_sent") is None and not self._has_body:
            return log.between("headers_sent", "headers_sent")
        return log.between("headers_sent", "client_last_packet_sent")

    @property
    def response_proxy_duration(self) -> int | None:
        """From the response's first byte to its last; of a byte pipe, to its end."""
        return self.log.between("client_first_packet_recv", "client_last_packet_recv")

    @property
    def _has_body(self) -> bool:
        known = self._head.known  # of a request that was sent on, it is well formed
        return b"transfer-encoding" in known or int(known.get(b"content-length", b"0")) > 0

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target!r} host={self.host!r} id={self.id}>"
