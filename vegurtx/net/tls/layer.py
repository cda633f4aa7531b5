"""The TLS of one connection: between a transport of bytes below and one Twisted protocol above.

It stands on the request path. A segment goes into OpenSSL, and all that it holds comes out in one ``dataReceived``;
what is written becomes records, and leaves in one ``write``. Nothing waits here but what was written before the
handshake was done. What must be told apart (who ended it, and whether in order) is kept as an explicit phase.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ssl import MemoryBIO, SSLContext, SSLError, SSLObject, SSLWantReadError
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHandshakeListener,
    ILoggingContext,
    INegotiated,
    IPushProducer,
    ISSLTransport,
    ISystemHandle,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.net.tls.facts import ConnectionFacts
from vegurtx.net.tls.phase import DISCONNECTING, SHAKING, Phase
from vegurtx.net.tls.pressure import Pressure
from vegurtx.net.tls.words import alert_of

#: the longest plaintext of a record (RFC 8446, section 5.1)
RECORD = 16384
#: bytes that go through OpenSSL at once: its buffers never shrink again, and an idle connection keeps them
SLICE = 65536
#: bytes that a handshake may take from the other side; chains of certificates included
HANDSHAKE_LIMIT = 262144
#: bytes written before the handshake is done; beyond it the producer is asked to wait
EARLY = 65536

# As Twisted's reactors share one Failure among all connections that end alike.
_DONE = Failure(ConnectionDone())
_LOST = Failure(ConnectionLost())


_HANDSHAKE = Phase.HANDSHAKE
_OPEN = Phase.OPEN


class TooLong(SSLError):
    """A handshake beyond `HANDSHAKE_LIMIT`."""

    reason = "HANDSHAKE_TOO_LONG"


def _discard(data: Any) -> None:
    """Where bytes go once nothing can be sent, or nobody reads."""


@implementer(ISSLTransport, INegotiated, IConsumer, IPushProducer, ISystemHandle, ILoggingContext)
class TlsLayer(ConnectionFacts):
    """TLS between a transport, for which it is a protocol, and a protocol, for which it is a transport.

    `protocol` is connected when the transport is; what it writes before the handshake is done goes out behind it. One
    that is an `IHandshakeListener` is told. Its ``connectionLost`` has `ConnectionDone` only where the other side had
    said all that it wanted to (``close_notify``), or we had; `ConnectionLost` where the stream was cut off (RFC 8446,
    section 6.1), and an `ssl.SSLError` where OpenSSL, or an alert, has ended it.

    ``loseConnection`` sends what was written and a ``close_notify``, then waits for the other side's: till then what
    arrives is dropped, so that no reset takes our last bytes away. How long that may last, its caller says with
    ``abortConnection``. There is no half-close: the other side's ``close_notify`` ends both directions.

    :param context: makes the session.
    :param protocol: the protocol that it serves.
    :param later: the reactor's ``callLater``.
    :param server: whether this is the server's side.
    :param name: on the client's side: the name, or address, that is asked for and checked; None for none.
    """

    __slots__ = (
        "__weakref__",
        "_decrypt",
        "_deliver",
        "_early",
        "_early_size",
        "_encrypt",
        "_failure",
        "_feed",
        "_handshake_size",
        "_in",
        "_later",
        "_out",
        "_out_read",
        "_paused",
        "_peer_ended",
        "_phase",
        "_pressure",
        "_protocol",
        "_send",
        "_session",
        "complain",
        "refused",
        "transport",
    )

    def __init__(
        self,
        context: SSLContext,
        protocol: Any,
        later: Callable[..., Any],
        *,
        server: bool = False,
        name: str | None = None,
    ) -> None:
        self._in = MemoryBIO()
        self._out = MemoryBIO()
        session = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=name)
        self._session: SSLObject | None = session
        self._encrypt: Any = session.write
        self._decrypt: Any = session.read
        self._feed: Any = self._in.write
        self._out_read: Any = self._out.read
        self._protocol = protocol
        self._deliver: Any = protocol.dataReceived
        self._later = later
        self._send: Any = _discard
        self._phase = _HANDSHAKE
        self._handshake_size = 0
        self._early: list[bytes] = []
        self._early_size = 0
        self._paused = False
        self._peer_ended = False
        self._pressure: Pressure | None = None
        self._failure: Failure | None = None
        #: the transport beneath
        self.transport: Any = None
        #: is told, in one line, of an alert with which the other side ends TLS behind the handshake
        self.complain: Callable[[str], None] | None = None
        #: is told why a handshake failed, where that is not just that the other side left
        self.refused: Callable[[TlsLayer, SSLError], None] | None = None

    # -- the protocol of the transport beneath ----------------------------------------------------------------------

    def makeConnection(self, transport: Any) -> None:
        """The transport is connected: so is the protocol, and the handshake begins."""
        self.transport = transport
        self._send = transport.write
        self._protocol.makeConnection(self)
        if self._phase in SHAKING:
            self._shake()

    def dataReceived(self, data: bytes) -> None:
        """A segment of the other side's records."""
        if self._phase is not _OPEN:
            self._received_besides(data)
            return
        if len(data) > SLICE:
            view = memoryview(data)
            self._read([view[at : at + SLICE] for at in range(0, len(data), SLICE)])
            return
        self._feed(data)
        try:
            plain = self._decrypt(RECORD)
        except SSLWantReadError:  # less than a record, or none of application data
            plain = None
        except SSLError as error:
            self._break(error)
            return
        if self._out.pending:
            self._flush()
        if self._in.pending or plain == b"":
            self._read((), plain)
        elif plain is not None:
            self._deliver(plain)

    def _read(self, segments: Iterable[Any], first: bytes | None = None) -> None:
        """Deliver all that is in `segments`, behind what OpenSSL has already, and behind `first`."""
        pieces = [] if first is None else [first]
        problem: SSLError | None = None
        ended = first == b""
        for segment in (b"", *segments):
            self._feed(segment)
            try:
                while self._in.pending and not ended:
                    pieces.append(self._decrypt(RECORD))
                    ended = not pieces[-1]
            except SSLWantReadError:
                continue
            except SSLError as error:
                problem = error
                break
        if self._out.pending:
            self._flush()
        plain = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if plain:
            self._deliver(plain)
        if problem is not None:
            self._break(problem)
        elif ended:
            self._peer_says_goodbye()

    def connectionLost(self, reason: Failure) -> None:
        """The transport is gone."""
        phase, self._phase = self._phase, Phase.LOST
        protocol, self._protocol = self._protocol, None
        pressure, self._pressure = self._pressure, None
        self._send = self._deliver = _discard
        self._early.clear()
        try:
            if pressure is not None:
                pressure.producer.stopProducing()
        finally:
            protocol.connectionLost(self._reason(phase, reason))
            self._session = self._encrypt = self._decrypt = self._feed = self._out_read = None
            self.complain = self.refused = None

    def _reason(self, phase: Phase, reason: Failure) -> Failure:
        if self._failure is not None:
            return self._failure
        if self._peer_ended:  # a reset behind the close_notify takes nothing back
            return _DONE
        if phase is _OPEN and reason.check(ConnectionDone) is not None:
            return _LOST  # cut off: whoever it was, it was not the other side of TLS
        return reason

    # -- the handshake ----------------------------------------------------------------------------------------------

    def _shake(self) -> None:
        session = self._session
        assert session is not None
        try:
            session.do_handshake()
        except SSLWantReadError:
            self._flush()
            return
        except SSLError as error:
            self._break(error)
            return
        self._flush()
        phase, self._phase = self._phase, _OPEN
        early, self._early = self._early, []
        for data in early:
            self.write(data)
        if self._pressure is not None:
            self._pressure.join(self.transport)
        if phase is Phase.LAST_WORDS:
            self.loseConnection()
        elif IHandshakeListener.providedBy(self._protocol):
            self._protocol.handshakeCompleted()
        if self._phase is _OPEN and self._paused:
            self.transport.pauseProducing()
        elif self._phase is _OPEN and self._in.pending:
            self._read(())  # what came with the end of the handshake

    def _received_besides(self, data: bytes) -> None:
        """A segment, but not in the middle of the connection's life."""
        phase = self._phase
        if phase in SHAKING:
            self._handshake_size += len(data)
            if self._handshake_size > HANDSHAKE_LIMIT:
                self._break(TooLong())
                return
            self._feed(data)
            self._shake()
        elif phase is Phase.FLUSHING or phase is Phase.GOODBYE:
            self._drop(data)

    def _drop(self, data: bytes) -> None:
        """We have said all, or are about to: of interest is only whether the other side has, too."""
        self._feed(data)
        try:
            while self._decrypt(RECORD):
                pass
        except SSLWantReadError:
            return
        except SSLError:
            pass  # both have, or something is wrong; no matter by now
        self._peer_ended = True
        if self._phase is Phase.GOODBYE:
            self._end()

    # -- ends -------------------------------------------------------------------------------------------------------

    def loseConnection(self) -> None:
        """Send what was written and a ``close_notify``; then close when the other side has said good-bye, too.

        A pull producer, and a push producer that is paused, may go on until `unregisterProducer`. In a handshake
        before which nothing was written there is nothing to send: it is given up.
        """
        phase = self._phase
        if phase is _HANDSHAKE:
            if self._early or self._waits_for_producer():
                self._phase = Phase.LAST_WORDS
            else:
                self.abortConnection()
        elif phase is _OPEN:
            if self._waits_for_producer():
                self._phase = Phase.FLUSHING
            else:
                self._say_goodbye()

    def _waits_for_producer(self) -> bool:
        return self._pressure is not None and self._pressure.holds_back

    def _say_goodbye(self) -> None:
        self._phase = Phase.GOODBYE
        session = self._session
        assert session is not None
        try:
            session.unwrap()
            self._peer_ended = True  # it had said so before
        except SSLWantReadError:
            pass
        except SSLError:
            self._peer_ended = True  # nothing can be said any more
        self._flush()
        if self._peer_ended:
            self._end()
        elif self._paused:
            self._paused = False
            self.transport.resumeProducing()  # or the answer would never be heard

    def _peer_says_goodbye(self) -> None:
        """The other side's ``close_notify``: with no half-close, it ends both directions."""
        if self._phase is not _OPEN:
            return
        self._peer_ended = True
        if self._pressure is not None and self._pressure.congested:
            self.abortConnection()  # as with a FIN: what is unsent at the end of such a connection is dropped
        else:
            self._say_goodbye()

    def _break(self, error: SSLError) -> None:
        """OpenSSL cannot go on, or an alert says so; what it wants to tell the other side goes out."""
        phase = self._phase
        if phase in (Phase.ENDING, Phase.LOST):
            return
        # What it was raised through would keep this object alive, and so itself.
        self._failure = Failure(error.with_traceback(None))
        if phase in SHAKING:
            if self.refused is not None:
                self.refused(self, error)
        elif self.complain is not None:
            alert = alert_of(error)
            if alert is not None:
                self.complain(f"has ended TLS with the alert {alert!r}")
        self._flush()
        self._end()

    def _end(self) -> None:
        """Nothing more is said: the transport sends what it has, and closes."""
        self._phase = Phase.ENDING
        self._send = _discard
        if self._pressure is not None:
            self._pressure.leave()
        self.transport.loseConnection()
        if self._pressure is not None:
            self._pressure.pauseProducing()  # whoever does not know yet must not go on at full speed

    def abortConnection(self) -> None:
        """End it now: what is unsent is dropped, and the other side is told by a reset. Harmless where it has ended."""
        if self._phase is not Phase.LOST:
            self._phase = Phase.ENDING
            self._send = _discard
            self.transport.abortConnection()

    def loseWriteConnection(self) -> None:
        """There is no half-close: see `loseConnection`."""
        self.loseConnection()

    # -- the transport of the protocol above ------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Send `data`, bytes or a memoryview."""
        if self._phase is not _OPEN:
            self._write_besides(data)
        elif len(data) <= SLICE:
            self._encrypt(data)
            self._send(self._out_read())
        else:
            self._write_slices(data)

    def writeSequence(self, iovec: Iterable[Any]) -> None:
        """Send all of `iovec` as one: a head and its body share a record."""
        self.write(b"".join(iovec))

    def _write_slices(self, data: Any) -> None:
        view = memoryview(data)
        for at in range(0, len(view), SLICE):
            if self._phase is Phase.LOST:
                return
            self._encrypt(view[at : at + SLICE])
            self._send(self._out_read())

    def _write_besides(self, data: Any) -> None:
        """`write`, but not in the middle of the connection's life."""
        if self._phase is Phase.FLUSHING:  # what a producer still has to say
            self._write_slices(data)
        elif self._phase in SHAKING:
            data = bytes(memoryview(data))
            if data:
                self._early.append(data)
                self._early_size += len(data)
                if self._early_size > EARLY and self._pressure is not None:
                    self._pressure.pauseProducing()

    def _flush(self) -> None:
        if self._out.pending:
            self._send(self._out_read())

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """From now on `producer` writes; the transport beneath asks it to wait, by its own measure.

        :param streaming: True for a push producer. A pull producer is asked for nothing before the handshake is done.
        :raises RuntimeError: another is registered.
        """
        if self._pressure is not None:
            raise RuntimeError(
                f"cannot register {producer!r}: {self._pressure.producer!r} was never unregistered"
            )
        if self._phase is Phase.LOST:
            producer.stopProducing()
            return
        self._pressure = pressure = Pressure(producer, streaming)
        if self._phase not in SHAKING:
            pressure.join(self.transport)
        elif self._early_size > EARLY and streaming:
            pressure.pauseProducing()

    def unregisterProducer(self) -> None:
        """The producer has written its last; a `loseConnection` that waited for it goes ahead."""
        pressure, self._pressure = self._pressure, None
        if pressure is not None:
            pressure.leave()
        if self._phase is Phase.FLUSHING:
            self._say_goodbye()

    def pauseProducing(self) -> None:
        """Read no more for now. A handshake goes on; what comes behind it waits."""
        if not self._paused and (self._phase is _OPEN or self._phase is _HANDSHAKE):
            self._paused = True
            if self._phase is _OPEN:
                self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            if self._phase is _OPEN:
                if self._in.pending:  # it waits since the handshake
                    self._later(0, self._read_on)
                self.transport.resumeProducing()

    def _read_on(self) -> None:
        if self._phase is _OPEN and not self._paused:
            self._read(())

    def stopProducing(self) -> None:
        """The consumer of what we read is gone: nothing more is wanted."""
        self.loseConnection()

    # -- what is known ----------------------------------------------------------------------------------------------

    @property
    def protocol(self) -> Any:
        """The protocol that has the bytes. May be assigned: the next segment goes to the new one."""
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        self._deliver = protocol.dataReceived

    @property
    def connected(self) -> bool:
        """Bytes can still pass."""
        return self.transport is not None and self._phase is not Phase.LOST

    @property
    def disconnecting(self) -> bool:
        """`loseConnection` was called, and the end has not come yet."""
        return self._phase in DISCONNECTING

    def logPrefix(self) -> str:
        """The protocol's name, for log lines."""
        return type(self._protocol).__name__
