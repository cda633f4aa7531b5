"""A client's connection: bytes in, requests out, and the responses' bytes home again.

It finds where each request begins and ends, hands its head to an exchange, keeps what the exchange is not ready for
(within a bound), and answers by itself only what is no HTTP at all. Requests that are pipelined wait here: one at a
time goes on (rule 7).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Any
from typing import Protocol as Structure

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.net.ending import end_broken, ended_in_order, is_reset
from vegurtx.net.endpoints import tls_details
from vegurtx.net.timer import Timer
from vegurtx.wire.chunked import ChunkedDecoder
from vegurtx.wire.errors import BadChunk, BadHead
from vegurtx.wire.framing import CHUNKED
from vegurtx.wire.limits import BodyLimits, RequestLimits
from vegurtx.wire.partial import RequestHeadBuffer
from vegurtx.wire.request import RequestHead, RequestParser

#: bytes held for an exchange that is not ready, or for the next request; beyond it the client must wait
HOLD = 65536
#: a longer head is not remembered: an idle connection must not hold on to it
REMEMBERED = 8192
#: pipelined requests answered in one turn of the reactor
BURST = 32


class Reading(Enum):
    """What the next byte from the client belongs to."""

    IDLE = auto()  # the next request; nothing of it is here
    HEAD = auto()  # a head of which a part is here
    BODY = auto()  # the body of the request that an exchange has
    WAIT = auto()  # a later request: the present one is whole, its exchange goes on
    LINGER = auto()  # nothing: the answer is out, the rest is read and dropped
    TUNNEL = auto()  # the other side of a byte pipe
    CLOSED = auto()


class Handler(Structure):
    """An exchange, as its client's connection sees it."""

    def request_body(self, pieces: list[Any], ended: bool, trailers: bytes) -> None: ...
    def bad_body(self, what: str) -> None: ...
    def tunnel_data(self, data: bytes) -> None: ...
    def client_eof(self) -> None: ...
    def client_lost(self) -> None: ...
    def client_full(self) -> None: ...
    def client_drained(self) -> None: ...
    def timed_out(self) -> None: ...


class Listener(Structure):
    """What all client connections of a listener share."""

    reactor: Any
    seconds: Callable[[], float]
    parser: RequestParser
    request_limits: RequestLimits
    body_limits: BodyLimits
    idle_limit: float
    rest_limit: float
    linger_limit: float
    rest: float

    def begin(self, connection: ClientConnection, head: RequestHead) -> None: ...
    def rejection(self, error: BadHead, connection: ClientConnection) -> bytes: ...
    def opened(self, connection: ClientConnection) -> None: ...
    def closed(self, connection: ClientConnection) -> None: ...


_IDLE = Reading.IDLE
_HEAD = Reading.HEAD
_BODY = Reading.BODY
_WAIT = Reading.WAIT
_LINGER = Reading.LINGER
_TUNNEL = Reading.TUNNEL
_CLOSED = Reading.CLOSED
_UNKNOWN = object()


@implementer(IHalfCloseableProtocol, IPushProducer)
class ClientConnection(Protocol):
    """One client's connection. See the module's text.

    :param listener: what it shares with the others.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._parse = listener.parser.parse
        self._reading = _IDLE
        #: the exchange of the present request, or the tunnel that it became
        self.handler: Handler | None = None
        self._last: RequestHead | None = None  # the next one is likely to be much the same
        self._partial: RequestHeadBuffer | None = None
        self._held: list[bytes] = []  # bytes that nobody is ready for
        self._held_size = 0
        self._paused = False
        self._streaming = False  # the exchange takes body bytes as they come
        self._advancing = False
        self._remaining = 0
        self._decoder: ChunkedDecoder | None = None
        #: what we wrote piles up: the client does not read it
        self.full = False
        #: the client has sent its last byte
        self.eof = False
        self.timer = Timer(listener.reactor, self._expired, listener.rest)
        #: what the exchanges of this connection remember for the next one (see `vegurtx.proxy.intake`)
        self.memo: Any = None
        #: who is there: Twisted addresses
        self.peer: Any = None
        self.local: Any = None
        self._tls: Any = _UNKNOWN
        #: behind a PROXY listener: the proxy that connected to us, and the port that its header names
        self.proxy_peer: Any = None
        self.destination_port: int | None = None

    def connectionMade(self) -> None:
        """A client is here: it has `timeout` to say something."""
        transport: Any = self.transport
        self.peer = transport.getPeer()
        self.local = transport.getHost()
        self.write = transport.write
        self.write_sequence = transport.writeSequence
        transport.registerProducer(self, True)
        listener = self._listener
        self.timer.set(listener.seconds(), listener.rest_limit)
        listener.opened(self)

    @property
    def tls(self) -> Any:
        """What is known of the client's TLS, once it has said something; `None` on plain connections."""
        if self._tls is _UNKNOWN:
            self._tls = tls_details(self.transport)
        return self._tls

    # -- bytes from the client ------------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """A segment."""
        reading = self._reading
        if (reading is _IDLE or reading is _HEAD) and not self.full:
            self._head(data)
        elif reading is _BODY and self._streaming:
            self._body(data)
        elif reading is _TUNNEL:
            self.handler.tunnel_data(data)  # type: ignore[union-attr]
        elif reading is not _LINGER and reading is not _CLOSED:
            self._hold(data)

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size > HOLD and not self._paused:
            self.pause_reading()

    def _unhold(self) -> bytes:
        held = self._held
        if not held:
            return b""
        data = held[0] if len(held) == 1 else b"".join(held)
        self._held = []
        self._held_size = 0
        if self._paused:
            self.resume_reading()
        return data

    def _head(self, data: bytes) -> None:
        try:
            if self._reading is _HEAD:
                whole = self._partial.feed(data)  # type: ignore[union-attr]
                if whole is None:
                    return
                self._partial = None
                data = whole
            head = self._parse(data, self._last)
            if head is None:
                self._begins_slowly(data)
                return
        except BadHead as error:
            self._reject(error)
            return
        end = head.end
        self._last = head if end <= REMEMBERED else None
        if end != len(data):
            self._hold(data[end:])
        self._reading = _WAIT
        self._listener.begin(self, head)

    def _begins_slowly(self, data: bytes) -> None:
        listener = self._listener
        if self._reading is _IDLE:
            self._reading = _HEAD
            # the deadline for the whole head: it does not move while bytes trickle in (rule 24)
            self.timer.set(listener.seconds(), listener.idle_limit)
        self._partial = RequestHeadBuffer(listener.request_limits)
        self._partial.feed(data)

    def _reject(self, error: BadHead) -> None:
        self._reading = _WAIT
        self._partial = None
        self._held.clear()
        self.write(self._listener.rejection(error, self))
        self._linger()

    # -- the request's body ---------------------------------------------------------------------------------------

    def expect_body(self, framing: int) -> None:
        """The exchange says that its request has a body: `framing` bytes, or `CHUNKED`."""
        self._reading = _BODY
        self._streaming = False
        if framing == CHUNKED:
            self._decoder = ChunkedDecoder(self._listener.body_limits)
        else:
            self._decoder = None
            self._remaining = framing

    @property
    def body_pending(self) -> bool:
        """Whether a part of the present request has yet to come, or to be taken."""
        return self._reading is _BODY

    @property
    def holding(self) -> bool:
        """Whether bytes wait here that nobody is ready for: a later request, or the beginning of one."""
        return bool(self._held)

    def stream_body(self, handler: Handler) -> None:
        """From now on `handler.request_body` gets the body; what is here already, at once."""
        self.handler = handler
        self._streaming = True
        data = self._unhold()
        if data:
            self._body(data)
        if self.eof and self._reading is _BODY:
            self.abort()  # in the middle of its request

    def _body(self, data: bytes) -> None:
        handler = self.handler
        assert handler is not None
        decoder = self._decoder
        if decoder is None:
            remaining = self._remaining - len(data)
            if remaining > 0:
                self._remaining = remaining
                handler.request_body([data], False, b"")
                return
            self._reading = _WAIT
            if remaining < 0:
                self._hold(data[remaining:])
                data = data[:remaining]
            handler.request_body([data], True, b"")
            return
        try:
            pieces = decoder.feed(data)
        except BadChunk as error:
            handler.bad_body(error.what)
            return
        if decoder.done:
            self._reading = _WAIT
            self._decoder = None
            if decoder.surplus:
                self._hold(decoder.surplus)
            handler.request_body(pieces, True, decoder.trailers)
        elif pieces:
            handler.request_body(pieces, False, b"")

    def hold_body(self) -> None:
        """The handler cannot take the body for now; `stream_body` goes on with it."""
        self._streaming = False

    def skip_body(self) -> None:
        """Nobody wants the body: drop what is here. If that was all of it, the connection can be kept."""
        if self._reading is _BODY:
            self.stream_body(_Sink())

    # -- the end of an exchange -----------------------------------------------------------------------------------

    def finish(self, keep: bool, now: float) -> None:
        """The response is out. With `keep` the next request may come, else the connection ends in order."""
        self.handler = None
        if self._reading is _CLOSED:
            return
        if not keep or self._reading is not _WAIT:
            if self._reading is _WAIT and not self._held:
                self._close()
            else:
                self._linger()
            return
        self._reading = _IDLE
        if self._held:
            self._advance()  # who has sent more than we hold goes on waiting
            return
        if self._paused:
            self.resume_reading()
        self.timer.set(now, self._listener.rest_limit)
        if self.eof:
            self._close()

    def _advance(self) -> None:
        """Go on with what was pipelined; a loop, since an answer given at once comes back here."""
        if self._advancing:
            return
        self._advancing = True
        try:
            for _ in range(BURST):
                if self.full:
                    break  # no more answers for a client that does not read them
                self._head(self._unhold())
                if self._reading is not _IDLE or not self._held:
                    break
            else:
                self._reading = _WAIT  # others have a turn
                self._listener.reactor.callLater(0, self._advance_later)
                return
        finally:
            self._advancing = False
        if self._reading is _IDLE:
            self.timer.set(self._listener.seconds(), self._listener.rest_limit)
        if self.eof and not self._held and (self._reading is _IDLE or self._reading is _HEAD):
            self._close()

    def _advance_later(self) -> None:
        if self._reading is _WAIT:
            self._reading = _IDLE
            self._advance()

    def _close(self) -> None:
        self._reading = _CLOSED
        self.handler = None
        self._held.clear()
        self.timer.set(self._listener.seconds(), self._listener.idle_limit)  # for what is still to be written
        transport: Any = self.transport
        transport.unregisterProducer()
        transport.loseConnection()

    def _linger(self) -> None:
        """Close, but read on for a while: a reset would take the answer from a client that is still sending."""
        self._held.clear()
        self.handler = None
        transport: Any = self.transport
        if self.eof or ISSLTransport.providedBy(transport) or not hasattr(transport, "loseWriteConnection"):
            self._close()  # TLS has no half-close
            return
        self._reading = _LINGER
        self.resume_reading()
        self.timer.set(self._listener.seconds(), self._listener.linger_limit)
        transport.unregisterProducer()
        transport.loseWriteConnection()

    def break_off(self) -> None:
        """End in a way that no client takes for a clean end (rule 21): what was written goes out, then a reset."""
        if self._reading is _CLOSED:
            return
        self._reading = _CLOSED
        self.handler = None
        self._held.clear()
        listener = self._listener
        self.timer.set(listener.seconds(), listener.idle_limit)  # for what is still to be written
        transport: Any = self.transport
        transport.unregisterProducer()
        end_broken(transport, listener.reactor)

    def abort(self) -> None:
        """Close at once; nothing more is sent. An exchange that goes on hears that the client is gone."""
        if self._reading is not _CLOSED:
            self._reading = _CLOSED
            handler, self.handler = self.handler, None
            transport: Any = self.transport
            transport.abortConnection()
            if handler is not None:
                handler.client_lost()

    def retire(self) -> None:
        """The proxy drains: a connection that rests ends, at once or when `rest_limit` is over. Others go on."""
        if self._reading is _IDLE and not self._held:
            listener = self._listener
            if listener.seconds() - self.timer.since >= listener.rest_limit:
                self._close()
            else:
                self.timer.set(self.timer.since, listener.rest_limit)

    def tunnel(self, handler: Handler) -> bytes:
        """From now on every byte goes to `handler.tunnel_data`; returns those that are here already."""
        self.handler = handler
        data = self._unhold()
        self._reading = _TUNNEL
        return data

    def end_tunnel(self) -> None:
        """Both directions of the pipe have ended."""
        if self._reading is not _CLOSED:
            self._close()

    def readConnectionLost(self) -> None:
        """The client has sent its last byte; a request that is whole still gets its answer."""
        self.eof = True
        reading = self._reading
        if reading is _TUNNEL:
            self.handler.client_eof()  # type: ignore[union-attr]
        elif reading is _BODY:
            if self._streaming:
                self.abort()  # in the middle of its request
        elif reading is not _WAIT and reading is not _CLOSED and not self._held:
            self._close()

    def writeConnectionLost(self) -> None:
        """Our half is closed; the client's bytes are still read."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self.write = self.write_sequence = _to_nobody
        self.timer.stop()
        self._held.clear()
        if self._reading is _TUNNEL and not self.eof and ended_in_order(self.transport, reason):
            self.readConnectionLost()  # TLS has no half-close: its end is the end of both directions
        self._lost()
        self._listener.closed(self)

    def _lost(self) -> None:
        handler, self.handler = self.handler, None
        self._reading = _CLOSED
        if handler is not None:
            handler.client_lost()

    # -- time -----------------------------------------------------------------------------------------------------

    def _expired(self) -> None:
        if self.handler is not None:
            self.handler.timed_out()
        elif self._reading is _HEAD:
            self._reject(BadHead("head_timeout", 408))
        elif self._reading is _CLOSED:
            self.transport.abortConnection()  # type: ignore[union-attr]
        else:
            self._close()  # not a reset: the kernel may still have an answer for a slow reader

    # -- back-pressure: our transport asks its producer, this protocol, to wait ------------------------------------

    def pauseProducing(self) -> None:
        """What we write to the client piles up."""
        self.full = True
        if self.handler is not None:
            self.handler.client_full()

    def resumeProducing(self) -> None:
        """It has gone out."""
        self.full = False
        if self.handler is not None:
            self.handler.client_drained()
        elif self._held and (self._reading is _IDLE or self._reading is _HEAD):
            self._advance()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` says so too."""

    def pause_reading(self) -> None:
        """Read no more from the client for now."""
        if not self._paused and self._reading is not _CLOSED:
            self._paused = True
            transport: Any = self.transport
            transport.pauseProducing()
            self.timer.watch_with(self._look_whether_reset)

    def _look_whether_reset(self) -> None:
        """A connection that is not read would not tell that its client is gone (rule 21)."""
        if is_reset(self.transport):
            self.abort()

    def resume_reading(self) -> None:
        """Read on."""
        if self._paused and self._reading is not _CLOSED:
            self._paused = False
            self.timer.watch = None
            transport: Any = self.transport
            transport.resumeProducing()


def _to_nobody(data: Any) -> None:
    """Where bytes go once the connection is gone; uvloop's own `write` raises then."""


class _Sink:
    """A handler that drops a body."""

    def request_body(self, pieces: list[Any], ended: bool, trailers: bytes) -> None:
        """Drop it."""

    def bad_body(self, what: str) -> None:
        """It was not wanted anyway."""

    def tunnel_data(self, data: bytes) -> None:
        """There is no tunnel."""

    client_eof = client_lost = client_full = client_drained = timed_out = lambda self: None
