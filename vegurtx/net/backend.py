"""A connection to a back-end: bytes in, parts of a response out.

It serves one exchange at a time. What arrives is parsed by ``wire`` and handed on as it comes; what must be sent is
written by the exchange's relay straight into the transport. Between exchanges it rests in the pool, where the first
thing it hears or loses ends it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Any
from typing import Protocol as Structure

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.net.ending import ended_in_order
from vegurtx.wire.chunked import ChunkedDecoder
from vegurtx.wire.errors import BadChunk, BadFraming, BadHead
from vegurtx.wire.framing import CHUNKED, UNTIL_CLOSE, response_framing
from vegurtx.wire.limits import BodyLimits, ResponseLimits
from vegurtx.wire.partial import ResponseHeadBuffer
from vegurtx.wire.response import ResponseHead, ResponseParser

#: response fields which are read and replaced, or end here (rule 18)
TAKE = frozenset(
    {b"connection", b"keep-alive", b"proxy-authorization", b"proxy-connection", b"te", b"upgrade", b"via"}
)
#: response fields which are read and forwarded where they stand
READ = frozenset({b"content-length", b"transfer-encoding", b"server"})


class Reading(Enum):
    """What the next byte from the back-end belongs to."""

    NOTHING = auto()  # idle, or the response is whole: a byte now is surplus
    HEAD = auto()
    LENGTH = auto()
    CHUNKED = auto()
    UNTIL_CLOSE = auto()
    TUNNEL = auto()
    CLOSED = auto()


class Receiver(Structure):
    """Who is told what the back-end says: an exchange's relay, or a tunnel."""

    def response(
        self, head: ResponseHead, framing: int, first: list[Any], ended: bool, trailers: bytes
    ) -> None: ...
    def response_begins(self) -> None: ...
    def interim(self, head: ResponseHead) -> None: ...
    def switched(self, head: ResponseHead, rest: bytes) -> None: ...
    def response_body(self, pieces: list[Any], ended: bool, trailers: bytes) -> None: ...
    def tunnel_data(self, data: bytes) -> None: ...
    def backend_eof(self) -> None: ...
    def backend_failed(self, what: Any) -> None: ...
    def backend_full(self) -> None: ...
    def backend_drained(self) -> None: ...


class Keeper(Structure):
    """Who is told of connections that no exchange has: an idle one is gone, one begins to close, one is closed."""

    def idle_gone(self, connection: BackendConnection) -> None: ...
    def closing(self, connection: BackendConnection) -> None: ...
    def closed(self, connection: BackendConnection) -> None: ...


#: a longer head is not remembered: an idle connection must not hold on to it
REMEMBERED = 8192

_NOTHING = Reading.NOTHING
_HEAD = Reading.HEAD
_LENGTH = Reading.LENGTH
_CHUNKED = Reading.CHUNKED
_TUNNEL = Reading.TUNNEL
_CLOSED = Reading.CLOSED


@implementer(IHalfCloseableProtocol, IPushProducer)
class BackendConnection(Protocol):
    """One connection to a back-end. See the module's text.

    :param keeper: is told when the connection ends while it is idle.
    :param parser: reads response heads.
    :param limits: bounds of a response head that comes in pieces.
    """

    def __init__(
        self, keeper: Keeper, parser: ResponseParser, limits: ResponseLimits, body_limits: BodyLimits
    ) -> None:
        self._keeper = keeper
        self._parse = parser.parse
        self._limits = limits
        self._body_limits = body_limits
        self._reading = _NOTHING
        self._receiver: Receiver | None = None
        self._method = b""
        self._last: ResponseHead | None = None  # the next one is often the same
        self._partial: ResponseHeadBuffer | None = None
        self._remaining = 0
        self._decoder: ChunkedDecoder | None = None
        self._surplus = False
        #: the pool's key; None for a connection that is closed after its one exchange
        self.key: Any = None
        #: whether it is connected, as far as we know
        self.alive = True
        #: whether it has served an exchange before this one
        self.reused = False
        #: bytes of the present exchange, from and to the back-end
        self.received = 0
        self.sent = 0
        #: what we wrote piles up: the back-end does not read it
        self.full = False

    def connectionMade(self) -> None:
        """Be told when what we write waits: this protocol is its own transport's producer."""
        transport: Any = self.transport
        self.write = transport.write
        self.write_sequence = transport.writeSequence
        transport.registerProducer(self, True)

    # -- one exchange ---------------------------------------------------------------------------------------------

    def begin(self, receiver: Receiver, method: bytes) -> None:
        """The next response answers a request with `method`, and goes to `receiver`."""
        self._receiver = receiver
        self._method = method
        self._reading = _HEAD
        self.received = self.sent = 0

    def rest(self) -> bool:
        """The exchange is over: whether the connection can go to the pool.

        It can where the response ended as it said, nothing came behind it, and the connection is alive.
        """
        if self._reading is not _NOTHING or self._surplus or self.full:
            return False
        self._receiver = None
        self.reused = True
        self.received = self.sent = 0
        return True

    def drop(self) -> None:
        """Close at once; whatever has not been sent or read is lost. Harmless where it is closed already."""
        self._receiver = None
        if self.alive:
            self._closes()
            transport: Any = self.transport
            transport.abortConnection()

    def _closes(self) -> None:
        self._reading = _CLOSED
        self.alive = False

    def close(self) -> None:
        """Close in order; at once where what we wrote is not read, since nobody would wait for it."""
        if self.full:
            self.drop()
            return
        self._receiver = None
        if self.alive:
            self._closes()
            transport: Any = self.transport
            transport.unregisterProducer()
            self._keeper.closing(self)  # who does not read our last bytes, or answer our good-bye, is cut off
            transport.loseConnection()

    def cut_off(self) -> None:
        """It has been closing for too long."""
        transport: Any = self.transport
        transport.abortConnection()

    # -- bytes from the back-end ----------------------------------------------------------------------------------

    def dataReceived(self, data: bytes) -> None:
        """A segment."""
        self.received += len(data)
        reading = self._reading
        if reading is _HEAD:
            self._head(data)
        elif reading is _LENGTH:
            self._length_body(data)
        elif reading is _CHUNKED:
            self._chunked_body(data)
        elif reading is _TUNNEL:
            self._receiver.tunnel_data(data)  # type: ignore[union-attr]
        elif reading is Reading.UNTIL_CLOSE:
            self._receiver.response_body([data], False, b"")  # type: ignore[union-attr]
        elif reading is _NOTHING:
            self._unasked()

    def _head(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        try:
            if self._partial is not None:
                whole = self._partial.feed(data)
                if whole is None:
                    receiver.response_begins()
                    return
                self._partial = None
                data = whole
            while True:
                head = self._parse(data, self._last)
                if head is None:
                    self._partial = ResponseHeadBuffer(self._limits)
                    self._partial.feed(data)
                    receiver.response_begins()
                    return
                if head.status >= 200:
                    break
                if head.status == 101:
                    receiver.switched(head, data[head.end :])
                    return
                receiver.interim(head)
                data = data[head.end :]
                if self._reading is not _HEAD:
                    return
                # what came before `data` is interim heads
                if self.received - len(data) > self._limits.interim:
                    raise BadHead("header_length", 502)
                if not data:
                    return
            if self._method == b"GET":
                framing = head.framing
                if framing is None:
                    framing = head.framing = response_framing(head, b"GET")
            else:
                framing = response_framing(head, self._method)
        except (BadHead, BadFraming) as error:
            receiver.backend_failed(("downstream", error.what))
            return
        self._last = head if head.end <= REMEMBERED else None
        self._body_begins(receiver, head, framing, data)

    def _body_begins(self, receiver: Receiver, head: ResponseHead, framing: int, data: bytes) -> None:
        end = head.end
        here = len(data) - end
        if here == framing:
            self._reading = _NOTHING
            receiver.response(head, framing, [data[end:]] if framing else [], True, b"")
        elif framing >= 0:
            self._remaining = framing - here
            if here < framing:
                self._reading = _LENGTH
                receiver.response(head, framing, [memoryview(data)[head.end :]] if here else [], False, b"")
                return
            self._reading = _NOTHING
            self._surplus = True
            data = data[: end + framing]
            receiver.response(head, framing, [data[head.end :]] if framing else [], True, b"")
        elif framing == CHUNKED:
            decoder = ChunkedDecoder(self._body_limits)
            try:
                pieces = decoder.feed(data[head.end :]) if here else []
            except BadChunk as error:
                receiver.backend_failed(("downstream", ("bad_chunk", error.what)))
                return
            if decoder.done:
                self._reading = _NOTHING
                self._surplus = bool(decoder.surplus)
            else:
                self._reading = _CHUNKED
                self._decoder = decoder
            receiver.response(head, framing, pieces, decoder.done, decoder.trailers)
        else:
            assert framing == UNTIL_CLOSE
            self._reading = Reading.UNTIL_CLOSE
            receiver.response(head, framing, [data[head.end :]] if here else [], False, b"")

    def _length_body(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:
            return
        self._remaining -= len(data)
        if self._remaining > 0:
            receiver.response_body([data], False, b"")
            return
        self._reading = _NOTHING
        if self._remaining < 0:
            self._surplus = True
            data = data[: self._remaining]
        receiver.response_body([data], True, b"")

    def _chunked_body(self, data: bytes) -> None:
        receiver, decoder = self._receiver, self._decoder
        if receiver is None or decoder is None:
            return
        try:
            pieces = decoder.feed(data)
        except BadChunk as error:
            if error.pieces:  # what was good is delivered, however it was cut into segments
                receiver.response_body(error.pieces, False, b"")
            receiver.backend_failed(("downstream", ("bad_chunk", error.what)))
            return
        if decoder.done:
            self._reading = _NOTHING
            self._decoder = None
            if decoder.surplus:
                self._surplus = True
            receiver.response_body(pieces, True, decoder.trailers)
        elif pieces:
            receiver.response_body(pieces, False, b"")

    def _unasked(self) -> None:
        self._surplus = True
        if self._receiver is None:
            self.drop()
            self._keeper.idle_gone(self)

    def tunnel(self, receiver: Receiver) -> None:
        """From now on every byte goes to `receiver.tunnel_data`."""
        self._receiver = receiver
        self._reading = _TUNNEL

    # -- the end --------------------------------------------------------------------------------------------------

    def readConnectionLost(self) -> None:
        """The back-end has sent its last byte."""
        receiver = self._receiver
        if self._reading is _TUNNEL and receiver is not None:
            receiver.backend_eof()
        elif self._reading is Reading.UNTIL_CLOSE and receiver is not None:
            self._reading = _NOTHING
            self._surplus = True  # not a connection to pool
            receiver.response_body([], True, b"")
        else:
            self._lost("closed")

    def writeConnectionLost(self) -> None:
        """Our half is closed; what the back-end still says comes in as before."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.write = self.write_sequence = _to_nobody
        self._keeper.closed(self)
        clean = ended_in_order(self.transport, reason)
        if clean and self._receiver is not None and self._reading in (Reading.UNTIL_CLOSE, _TUNNEL):
            self.readConnectionLost()  # TLS has no half-close: its end is the end of both directions
        self._lost("closed" if clean else "econnreset")

    def _lost(self, what: str) -> None:
        if self._reading is _CLOSED:
            return
        receiver = self._receiver
        whole = self._reading is _NOTHING
        self.drop()
        if receiver is None:
            self._keeper.idle_gone(self)
        elif not whole:
            receiver.backend_failed(("downstream", what))

    # -- back-pressure: our transport asks its producer, this protocol, to wait ------------------------------------

    def pauseProducing(self) -> None:
        """What we write piles up."""
        self.full = True
        if self._receiver is not None:
            self._receiver.backend_full()

    def resumeProducing(self) -> None:
        """It has gone out."""
        self.full = False
        if self._receiver is not None:
            self._receiver.backend_drained()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` says so too."""

    def pause_reading(self) -> None:
        """Read no more from the back-end for now: the client's side is full."""
        transport: Any = self.transport
        transport.pauseProducing()

    def resume_reading(self) -> None:
        """Read on."""
        if self._reading is not _CLOSED:
            transport: Any = self.transport
            transport.resumeProducing()


def _to_nobody(data: Any) -> None:
    """Where bytes go once the connection is gone; uvloop's own `write` raises then."""
