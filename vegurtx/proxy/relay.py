"""One request's life: the half that moves bytes between the client's connection and the back-end's.

It is told what both say, and writes to both. The request goes out with its head and first body bytes in one write, so
does the response; bodies are passed on as they come and never copied; each side's full buffer stops the other side's
reading.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vegurtx.errors import Reason
from vegurtx.message import TAKEN
from vegurtx.net.tunnel import Tunnel
from vegurtx.pending import PENDING, then
from vegurtx.proxy.downstream import derive, interim_head, response_head, switching_head
from vegurtx.proxy.intake import NO_TOKENS
from vegurtx.proxy.upstream import upstream_head
from vegurtx.wire.chunked import encode_chunks, last_chunk
from vegurtx.wire.fields import without
from vegurtx.wire.framing import CHUNKED, UNTIL_CLOSE
from vegurtx.wire.response import ResponseHead
from vegurtx.wire.trailers import forwardable_trailers

if TYPE_CHECKING:
    from vegurtx.proxy.exchange import Exchange

#: methods that may be sent again (RFC 9110 section 9.2.2)
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"})
#: a page that is smaller is joined to its head: one buffer is cheaper to send than two
_JOIN = 16384


class Relay:
    """Carries one exchange's bytes. Created when the back-end's connection stands."""

    __slots__ = (
        "_chunked_out",
        "_continued",
        "_ended",
        "_exchange",
        "_first_at",
        "_head",
        "_held",
        "_keep",
        "_link",
        "_rechunk",
        "_replay",
        "_replay_size",
        "_responding",
        "_reusable",
        "_trailers",
        "_uploaded",
        "_waits",
    )

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._link: Any = exchange.link
        self._head = b""  # the request's, until it is written
        self._chunked_out = exchange.intake.framing == CHUNKED
        self._uploaded = False
        self._waits = False  # the client waits for the back-end's 100: no byte of its body has come
        self._replay: list[Any] | None = None  # what has been sent, while it may have to be sent again
        self._replay_size = 0
        self._continued = False  # a 100 was passed on
        self._responding = False  # the response's head is here
        self._first_at = 0.0  # when a part of it was; 0 where it came whole
        self._held: list[Any] | None = None  # body pieces behind a head that waits for the router
        self._rechunk = False
        self._keep = False
        self._reusable = False
        self._ended = False  # the response is whole
        self._trailers = b""

    # -- the request ----------------------------------------------------------------------------------------------

    def prepare(self) -> Any:
        """Ask the router what it adds to the request, and send it; `TAKEN`, or a Deferred of it."""
        exchange = self._exchange
        log = exchange.log
        log.events += (exchange.proxy.seconds(), "pre_proxy", None)
        router, request, state = exchange.router, exchange.request, exchange.state
        wanted = router.feature("peer_port", request, state)
        if wanted is not False:
            return then(wanted, self._add, self._send)
        extra = router.additional_headers("upstream", log, request, state)
        if extra and PENDING[extra.__class__]:
            return then(extra, self._send, False)
        return self._send(extra, False)

    def _add(self, peer_port: Any, send: Callable[..., Any]) -> Any:
        exchange = self._exchange
        exchange.still_wanted()
        flag(peer_port)
        extra = exchange.router.additional_headers("upstream", exchange.log, exchange.request, exchange.state)
        return then(extra, send, peer_port)

    def _send(self, extra: Any, peer_port: bool) -> Any:
        exchange = self._exchange
        head = upstream_head(exchange, peer_port, extra)
        method = exchange.head.method
        link = exchange.link
        client = exchange.connection
        if method in _IDEMPOTENT:
            self._replay = [head]
        if link is None or not link.alive or exchange.intake.framing:
            exchange.log.events += (exchange.proxy.seconds(), "headers_formatted", None)
            self._head = head
            self._begin()
            return TAKEN
        # the plain way: nothing but a head
        self._link = link
        self._uploaded = True
        client.handler = self
        link.begin(self, method)
        link.sent = len(head)
        link.write(head)
        now = exchange.proxy.seconds()
        exchange.log.events += (
            *(now, "headers_formatted", None),
            *(now, "headers_sent", None),
            *(now, "service_time", "pre"),
        )
        client.timer.set(now, exchange.response_limit)
        return TAKEN

    def _begin(self) -> None:
        exchange = self._exchange
        link = self._link = exchange.link
        if link is None:  # the request has failed; a callback that was cancelled has answered all the same
            return
        client = exchange.connection
        if not link.alive:  # it died while the router was asked
            # nothing has gone out: whatever it is, it may go over a fresh connection
            self._replay = [self._head]
            self._waits = exchange.deep_continue
            link.received = 0  # of this exchange
            self._again(("downstream", "closed"))
            return
        link.begin(self, exchange.head.method)
        if not client.body_pending:
            client.handler = self
            self._uploaded = True
            link.sent += len(self._head)
            link.write(self._head)
            self._head_sent(exchange.response_limit)
            return
        client.stream_body(self)
        if self._head and link is exchange.link:  # nothing of the body was here to go with it
            head, self._head = self._head, b""
            link.sent += len(head)
            link.write(head)
            self._waits = exchange.deep_continue
            self._head_sent(exchange.proxy.body_limit)

    def _head_sent(self, limit: float) -> None:
        exchange = self._exchange
        now = exchange.proxy.seconds()
        exchange.log.events += (now, "headers_sent", None, now, "service_time", "pre")
        exchange.connection.timer.set(now, limit)

    def request_body(self, pieces: list[Any], ended: bool, trailers: bytes) -> None:
        """A part of the request's body."""
        exchange = self._exchange
        self._waits = False
        out = encode_chunks(pieces) if self._chunked_out else pieces
        if ended and self._chunked_out:
            if trailers:  # what the head's Connection names is hop-by-hop here too
                trailers = without(forwardable_trailers(trailers), exchange.intake.tokens or NO_TOKENS)
            out = [*out, last_chunk(trailers)]
        if self._replay is not None:
            self._remember(out)
        link = self._link
        if self._head:
            out = [self._head, *out]
            self._head = b""
            self._head_sent(exchange.proxy.body_limit)
        link.sent += sum(map(len, out))
        if len(out) == 1:
            link.write(out[0])
        else:
            link.write_sequence(out)
        now = exchange.proxy.seconds()
        if not ended:
            exchange.connection.timer.since = now
            return
        self._uploaded = True
        exchange.log.events += (now, "client_last_packet_sent", None)
        if not self._responding:
            exchange.connection.timer.set(now, exchange.response_limit)

    def _remember(self, out: list[Any]) -> None:
        assert self._replay is not None
        self._replay_size += sum(map(len, out))
        if self._replay_size > self._exchange.proxy.retry_buffer_limit:
            self._replay = None
        else:
            self._replay.extend(out)

    def resend(self) -> None:
        """The same bytes once more, on the exchange's new connection."""
        exchange = self._exchange
        client = exchange.connection
        link = self._link = exchange.link
        assert link is not None and self._replay is not None
        if not link.alive:
            link.received = 0
            self._again(("downstream", "closed"))
            return
        link.begin(self, exchange.head.method)
        self._first_at = 0.0
        out = list(self._replay)
        if exchange.head.method not in _IDEMPOTENT:  # this once, since nothing had gone out
            self._replay = None
        self._head = b""
        link.sent += sum(map(len, out))
        link.write_sequence(out)
        self._uploaded = not client.body_pending
        self._head_sent(exchange.response_limit if self._uploaded else exchange.proxy.body_limit)
        if not link.full:  # the connection before it may have been when it died
            client.resume_reading()
        if self._uploaded:
            client.handler = self
        else:
            client.stream_body(self)

    def renew(self) -> Any:
        """The router has chosen another back-end: it gets a head of its own, and the same body; `TAKEN`, or a Deferred.

        Target, added fields and `Connection` may be others than those that the first one was sent.
        """
        exchange = self._exchange
        exchange.log.stamp("pre_proxy")
        wanted = exchange.router.feature("peer_port", exchange.request, exchange.state)
        return then(wanted, self._add, self._send_again)

    def _send_again(self, extra: Any, peer_port: bool) -> Any:
        exchange = self._exchange
        exchange.still_wanted()
        assert self._replay is not None
        self._replay[0] = upstream_head(exchange, peer_port, extra)
        exchange.log.stamp("headers_formatted")
        self.resend()
        return TAKEN

    def bad_body(self, what: str) -> None:
        """The client's chunked body is malformed: it can neither go on nor be answered by the back-end."""
        self._failed(("upstream", ("bad_chunk", what)))

    # -- the response ---------------------------------------------------------------------------------------------

    def response(
        self, head: ResponseHead, framing: int, first: list[Any], ended: bool, trailers: bytes
    ) -> None:
        """The final response's head, with what of the body came along."""
        exchange = self._exchange
        self._responding = True
        self._replay = None
        if self._waits and not self._continued:  # a final status instead of the 100: the body is not sent
            exchange.connection.hold_body()
        now = exchange.proxy.seconds()
        exchange.log.events += (self._first_at or now, "client_first_packet_recv", None)
        if not ended:
            exchange.connection.timer.set(now, exchange.proxy.body_limit)
        request = exchange.request
        request.responded(head.status, head.block)
        try:
            extra = exchange.router.additional_headers("downstream", exchange.log, request, exchange.state)
            if extra and PENDING[extra.__class__]:
                self._held = []
                self._link.pause_reading()
                self._wait_for(extra, head, framing)
                self.response_body(first, ended, trailers)
                return
            out = self._head_for_client(extra, head, framing)
        except Exception:
            exchange.crashed("additional_headers")
            return
        self._respond(out, first, ended, trailers, now)

    def _wait_for(self, extra: Any, head: ResponseHead, framing: int) -> None:
        self._exchange.wait(extra, lambda pairs: self._respond_later(pairs, head, framing))

    def _respond_later(self, extra: Any, head: ResponseHead, framing: int) -> None:
        """The router took its time over the response's headers: the back-end waited, and its bytes here."""
        exchange = self._exchange
        out = self._head_for_client(extra, head, framing)
        now = exchange.proxy.seconds()
        exchange.connection.timer.set(now, exchange.proxy.body_limit)
        held, self._held = self._held or [], None
        self._link.resume_reading()  # before the write, which may find the client full and pause it again
        self._respond(out, held, self._ended, self._trailers, now)

    def _head_for_client(self, extra: Any, head: ResponseHead, framing: int) -> bytes:
        exchange = self._exchange
        client = exchange.connection
        intake = exchange.intake
        old_client = intake.minor == 0
        derived = head.derived
        if old_client:
            derived = derive(head, True)  # not kept: the same head may go to another kind of client next
        elif derived is None:
            derived = head.derived = derive(head, False)
        keep = intake.persistent and self._uploaded and not exchange.proxy.draining
        if framing < 0:  # no length is known
            self._rechunk = framing == CHUNKED and not old_client
            keep = keep and self._rechunk
            self._reusable = derived.persistent and framing != UNTIL_CLOSE
        else:
            self._reusable = derived.persistent
        if keep and client.eof and not client.holding:
            keep = False
        self._keep = keep
        if extra:
            return response_head(derived, extra, keep)
        out: bytes = derived.kept if keep else derived.closed
        return out

    def _respond(self, out: bytes, first: list[Any], ended: bool, trailers: bytes, now: float) -> None:
        client = self._exchange.connection
        if client.full:
            self._link.pause_reading()
        body = self._chunks(first, ended, trailers) if self._rechunk else first
        if not body:
            client.write(out)
        elif len(body) == 1 and len(body[0]) <= _JOIN:
            client.write(out + body[0])
        else:
            client.write_sequence([out, *body])
        if ended:
            self._whole(now)

    def response_body(self, pieces: list[Any], ended: bool, trailers: bytes) -> None:
        """A part of the response's body."""
        if self._held is not None:
            self._held += pieces
            self._ended = ended
            self._trailers = trailers
            return
        exchange = self._exchange
        client = exchange.connection
        client.timer.since = now = exchange.proxy.seconds()
        out = self._chunks(pieces, ended, trailers) if self._rechunk else pieces
        if len(out) == 1:
            client.write(out[0])
        elif out:
            client.write_sequence(out)
        if ended:
            self._whole(now)

    def _chunks(self, pieces: list[Any], ended: bool, trailers: bytes) -> list[Any]:
        out = encode_chunks(pieces)
        return [*out, last_chunk(forwardable_trailers(trailers))] if ended else out

    def _whole(self, now: float) -> None:
        """The response has ended."""
        exchange = self._exchange
        exchange.log.events += (now, "client_last_packet_recv", None, now, "service_time", "post")
        if exchange.connection.full and self._reusable:
            self._link.resume_reading()
        exchange.completed(self._reusable and self._uploaded, self._keep, now)

    def response_begins(self) -> None:
        """A part of a head is here: once it has begun, a response has `idle_timeout` from byte to byte (rule 24)."""
        proxy, timer = self._exchange.proxy, self._exchange.connection.timer
        now = proxy.seconds()
        self._first_at = self._first_at or now
        if self._uploaded:
            timer.set(now, proxy.body_limit)
        else:
            timer.since = now

    def interim(self, head: ResponseHead) -> None:
        """A 1xx but 101 (rules 8, 17)."""
        exchange = self._exchange
        self._replay = None
        if head.status == 100:
            if self._continued and exchange.deep_continue:
                self._failed(("downstream", "non_terminal_status_after_continue"))
                return
            self._continued = True
        self.response_begins()
        self._first_at = 0.0
        if exchange.head.minor == 1:
            exchange.connection.write(interim_head(head))

    def switched(self, head: ResponseHead, rest: bytes) -> None:
        """A 101 (rule 9)."""
        exchange = self._exchange
        unsent = self._waits and not self._continued  # a 101 in place of the 100: the body is not wanted
        if exchange.upgrade is None or not (self._uploaded or unsent):
            self._failed(("downstream", "invalid_status"))
            return
        self._replay = None
        self._responding = True
        exchange.log.stamp("client_first_packet_recv")
        exchange.request.responded(101, head.block)
        try:
            extra = exchange.router.additional_headers(
                "downstream", exchange.log, exchange.request, exchange.state
            )
            if PENDING[extra.__class__]:
                self._held = []
                self._link.pause_reading()
                exchange.wait(extra, lambda pairs: self._switch(pairs, head, rest))
                return
        except Exception:
            exchange.crashed("additional_headers")
            return
        self._switch(extra, head, rest)

    def _switch(self, extra: Any, head: ResponseHead, rest: bytes) -> None:
        exchange = self._exchange
        try:
            out = switching_head(head, derive(head, False), extra)
        except Exception:
            exchange.crashed("additional_headers")
            return
        exchange.connection.write(out)
        self._link.resume_reading()
        Tunnel(
            exchange.connection,
            self._link,
            exchange.proxy.seconds,
            exchange.proxy.body_limit,
            exchange.tunnel_ended,
        ).start(rest)

    # -- what goes wrong --------------------------------------------------------------------------------------------

    def _failed(self, reason: Reason) -> None:
        if self._responding and self._held is None:
            self._exchange.broken(reason)
        else:
            self._exchange.fail(reason)

    def _again(self, reason: Reason) -> None:
        """The back-end has failed, and the request may be sent again: to a pooled connection's death, which is nobody's
        fault, we answer by ourselves (rule 23); anything else is the router's decision."""
        self._exchange.connection.hold_body()
        if self._link.reused and self._link.received == 0 and reason[1] != "timeout":
            self._exchange.redial()
        else:
            self._exchange.retry(reason)

    def backend_failed(self, reason: Reason) -> None:
        """The back-end is gone, has said what is no response, or does not answer."""
        if self._replay is not None:
            self._again(reason)
        else:
            self._failed(reason)

    def client_lost(self) -> None:
        """The client is gone: its request is of no use to anybody."""
        self._exchange.client_lost()

    @property
    def _heard(self) -> bool:
        """Whether a part of the awaited response's head is here; a 100 that asked for the body is none."""
        return self._uploaded and self._link.received > 0 and not self._continued

    def timed_out(self) -> None:
        """Nothing came for as long as this phase allows (rule 24)."""
        if self._held is not None:  # the response waits for the router's headers
            self._exchange.timed_out()
        elif self._responding or self._heard:
            self._failed(("undefined", "timeout"))
        elif self._uploaded or self._link.full:
            self.backend_failed(("downstream", "timeout"))
        else:
            self._failed(("upstream", "timeout"))

    # -- back-pressure ------------------------------------------------------------------------------------------------

    def client_full(self) -> None:
        """The client does not read what we write: the back-end waits."""
        self._link.pause_reading()

    def client_drained(self) -> None:
        """It does again."""
        self._exchange.connection.timer.since = self._exchange.proxy.seconds()
        if self._held is None:  # else the back-end waits for the router
            self._link.resume_reading()

    def backend_full(self) -> None:
        """The back-end does not read what we write: the client waits."""
        if not self._uploaded:
            self._exchange.connection.pause_reading()

    def backend_drained(self) -> None:
        """It does again."""
        self._exchange.connection.timer.since = self._exchange.proxy.seconds()
        self._exchange.connection.resume_reading()

    # -- what belongs to a tunnel -------------------------------------------------------------------------------------

    def client_eof(self) -> None:
        """A request that is whole still gets its answer."""

    def backend_eof(self) -> None:
        """The back-end's connection says by itself whether its response was whole."""

    def tunnel_data(self, data: bytes) -> None:
        """Not before there is a tunnel."""


def flag(value: Any) -> bool:
    """A feature's value.

    :raises TypeError: it is no bool.
    """
    if value is True or value is False:
        return value
    raise TypeError(f"feature returned {value!r}, which is no bool")
