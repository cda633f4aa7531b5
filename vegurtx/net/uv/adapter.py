"""uvloop's transport as Twisted's: between uvloop's stream of bytes and one Twisted protocol.

It stands on the request path, so it stands aside: uvloop calls the protocol's own ``dataReceived``. Small writes of
one turn of the loop leave together at its end (see `batch`). Other Python code of this module runs only when a
connection opens, pauses or ends. What uvloop cannot tell apart (who closed, and how) is kept here as explicit
states.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Coroutine
from contextlib import suppress
from enum import Enum, auto
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    ILoggingContext,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.net.uv.batch import LENGTH, SIZE, batch_of
from vegurtx.net.uv.socket_facts import SocketFacts

_log = Logger()
#: ``SO_LINGER`` on, zero seconds: closing the socket resets the connection
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
#: one read from a broken connection's kernel buffer, in bytes
_SALVAGE = 65536

# Twisted's own reactors share one Failure among all connections that end alike; making one costs
# microseconds.
_DONE = Failure(ConnectionDone())
_LOST = Failure(ConnectionLost())


class Phase(Enum):
    """Where a connection is between its first and its last moment."""

    OPENING = auto()  # the socket is connected, the protocol not told yet
    OPEN = auto()
    CLOSING = auto()  # loseConnection was called: what was written goes out first
    ABORTING = auto()  # it ends now, whatever was written
    LOST = auto()


class Reading(Enum):
    """What becomes of bytes that arrive."""

    FLOWING = auto()
    PAUSED = auto()
    ENDED = auto()  # the peer has sent its last byte


class Writing(Enum):
    """Our half of the connection."""

    OPEN = auto()
    FINISHING = auto()  # loseWriteConnection was called
    FINISHED = auto()


def _discard(data: Any) -> None:
    """Where bytes go once nothing can be written any more; uvloop's own functions raise then."""


@implementer(ITCPTransport, IConsumer, IPushProducer, ISystemHandle, ILoggingContext)
class UvloopTransport(SocketFacts):
    """A connected stream socket on a uvloop loop, with the interface of Twisted's TCP transport.

    A protocol's ``dataReceived`` is looked up once; assign `protocol` to have it looked up again.

    :param loop: the uvloop loop.
    :param sock: a connected, non-blocking stream socket; it belongs to the transport from now on.
    :param protocol: the Twisted protocol that it serves.
    :param peer: the address of the other end.
    """

    __slots__ = (
        "__weakref__",
        "_batch",
        "_congested",
        "_failure",
        "_host",
        "_line",
        "_loop",
        "_peer",
        "_phase",
        "_producer",
        "_protocol",
        "_pulling",
        "_put_all",
        "_reading",
        "_socket",
        "_uv",
        "_writing",
        "data_received",
        "put",
    )

    def __init__(self, loop: Any, sock: socket.socket, protocol: Any, peer: IAddress) -> None:
        self._loop = loop
        self._batch = batch_of(loop)
        self._line: list[Any] = self._batch.clients
        self._socket = sock
        self._protocol = protocol
        self._peer = peer
        self._host: IAddress | None = None
        self._uv: Any = None
        self._phase = Phase.OPENING
        self._reading = Reading.FLOWING
        self._writing = Writing.OPEN
        self._producer: Any = None
        self._pulling = False
        self._congested = False
        self._failure: Failure | None = None
        self.data_received: Any = protocol.dataReceived
        #: uvloop's own `write` while the connection is open, for the batch
        self.put: Any = _discard
        self._put_all: Any = _discard

    def open(self, opened: Deferred[Any] | None = None) -> None:
        """Hand the socket to uvloop; the protocol's ``makeConnection`` follows in the loop's next turn.

        :param opened: is fired with the protocol after its ``makeConnection``, if nothing has fired it
            before.
        :raises OSError: uvloop cannot use the socket; it is the caller's again.
        """
        # The coroutine is moved by hand, a Task for it would cost more than all the rest of opening. It stops
        # once, for connection_made; the call queued here is next in line behind that, before the loop polls
        # for bytes.
        if opened is not None:  # we have connected, the others have been accepted
            self._line = self._batch.servers
        setup = self._loop.connect_accepted_socket(lambda: self, self._socket)
        setup.send(None)
        self._loop.call_soon(self._opened, setup, opened)

    def _opened(self, setup: Coroutine[Any, Any, Any], opened: Deferred[Any] | None) -> None:
        with suppress(StopIteration):
            setup.send(None)
        if self._reading is Reading.PAUSED:  # by connectionMade; uvloop has started to read regardless
            self._uv.pause_reading()
        if opened is not None and not opened.called:
            failure = self._failure
            if failure is None:
                opened.callback(self._protocol)
            else:
                opened.errback(failure)

    # -- what uvloop calls
    # ------------------------------------------------------------------------------------------

    def connection_made(self, uv: Any) -> None:
        """uvloop has the socket."""
        self._uv = uv
        if self._phase is not Phase.OPENING:  # given up while it was on its way
            self._protocol = None
            uv.abort()
            return
        self._phase = Phase.OPEN
        self.put = uv.write
        self._put_all = uv.writelines
        try:
            self._protocol.makeConnection(self)
        except Exception:
            self._fail("makeConnection of {protocol} failed")

    def eof_received(self) -> bool:
        """The peer has sent its last byte. True: uvloop leaves the socket open."""
        self._reading = Reading.ENDED
        self._flush()
        half = IHalfCloseableProtocol(self._protocol, None)
        if half is None:
            self._uv.abort()  # as in Twisted: what is still unsent at the end of such a connection is dropped
            return True
        try:
            half.readConnectionLost()
        except Exception:
            self._fail("readConnectionLost of {protocol} failed")
        return True

    def pause_writing(self) -> None:
        """Too much waits to be written."""
        self._congested = True
        if self._producer is not None and not self._pulling:
            self._producer.pauseProducing()

    def resume_writing(self) -> None:
        """What waited has gone out."""
        self._congested = False
        if self._writing is Writing.FINISHING:
            self._loop.call_soon(self._write_side_closed)
        if self._producer is not None:
            try:
                self._producer.resumeProducing()
            except Exception:
                self._fail("resumeProducing of the producer for {protocol} failed")
            if self._pulling:
                self._loop.call_soon(self._pull)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is over; the socket is still there, but only for the length of this call."""
        self.put = self._put_all = _discard
        if exc is not None and exc.__traceback__ is None and self._phase is Phase.OPEN:
            self._salvage()
        reason = self._reason(exc)
        self._phase = Phase.LOST
        protocol, self._protocol = self._protocol, None
        producer, self._producer = self._producer, None
        if protocol is None:
            return
        try:
            if producer is not None:
                producer.stopProducing()
        except Exception:
            _log.failure("stopProducing of the producer for {protocol} failed", protocol=protocol)
        try:
            protocol.connectionLost(reason)
        except Exception:
            _log.failure("connectionLost of {protocol} failed", protocol=protocol)
        self.data_received = _discard

    def _reason(self, exc: BaseException | None) -> Failure:
        if self._failure is not None:
            return self._failure
        if exc is not None and exc.__traceback__ is not None:  # what the kernel reports has never been raised
            failure = Failure(exc)
            if isinstance(exc, OSError):  # uvloop keeps quiet about these
                _log.failure("{protocol} failed", failure, protocol=self._protocol)
            return failure
        if self._phase is Phase.ABORTING:
            return Failure(ConnectionAborted())
        return _DONE if exc is None else _LOST

    def _salvage(self) -> None:
        """Deliver what the kernel still holds of a broken connection: it came before the break (rule 20)."""
        while self._reading is not Reading.ENDED and self._phase is Phase.OPEN:
            try:
                data = self._socket.recv(_SALVAGE)
            except OSError:
                return
            if not data:
                return
            try:
                self._protocol.dataReceived(data)
            except Exception:
                self._fail("dataReceived of {protocol} failed")

    def _fail(self, message: str) -> None:
        """Log the present exception, and end the connection with it as the reason."""
        self._failure = failure = Failure()
        _log.failure(message, failure, protocol=self._protocol)
        self._end(Phase.ABORTING)

    def protocol_failed(self, exc: BaseException) -> None:
        """uvloop caught `exc` out of the protocol, and ends the connection; the traceback is logged here."""
        _log.failure("{protocol} failed", Failure(exc), protocol=self._protocol)

    # -- ITransport, ITCPTransport
    # -----------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Send `data` (bytes or a memoryview), at the end of this turn of the loop at the latest."""
        batch = self._batch
        if batch.at_once:
            batch.at_once -= 1
        elif data.__class__ is bytes and len(data) <= SIZE:
            line = self._line
            line.append((self, data))
            if not batch.waiting:
                batch.waiting = True
                self._loop.call_soon(batch.flush)
            elif len(line) == LENGTH:
                batch.flush()
            return
        elif batch.waiting:
            batch.flush()
        self.put(data)

    def writeSequence(self, iovec: Any) -> None:
        """Send all of `iovec`, in one system call if nothing waits before it."""
        self._flush()
        self._put_all(iovec)

    def _flush(self) -> None:
        if self._batch.waiting:
            self._batch.flush()

    @property
    def protocol(self) -> Any:
        """The protocol that has the bytes. May be assigned: the next segment goes to the new one."""
        return self._protocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self._protocol = protocol
        self.data_received = protocol.dataReceived
        if self._uv is not None and self._phase is not Phase.LOST:
            self._uv.set_protocol(self)

    @property
    def connected(self) -> bool:
        """Bytes can still pass."""
        return self._uv is not None and self._phase is not Phase.LOST

    @property
    def disconnected(self) -> bool:
        """The protocol has had its ``connectionLost``."""
        return self._phase is Phase.LOST

    @property
    def disconnecting(self) -> bool:
        """`loseConnection` was called, and the end has not come yet."""
        return self._phase is Phase.CLOSING

    def loseConnection(self) -> None:
        """Send what was written, then close.

        A pull producer, and a push producer that is paused, may go on until `unregisterProducer`; a push
        producer that is not paused does not hold the end back. Both as in Twisted's transport.
        """
        if self._phase is not Phase.OPEN:
            return
        self._flush()
        self._phase = Phase.CLOSING
        self._uv.pause_reading()
        if self._producer is None or not (self._pulling or self._congested):
            self._close()

    def _close(self) -> None:
        self.put = self._put_all = _discard
        self._uv.close()

    def abortConnection(self) -> None:
        """End it now: what is unsent is dropped, and the peer is told by a reset."""
        if self._phase in (Phase.ABORTING, Phase.LOST):
            return
        self._flush()
        if self._socket.family != socket.AF_UNIX:
            with suppress(OSError):  # the peer was faster
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._end(Phase.ABORTING)

    def _end(self, phase: Phase) -> None:
        self._phase = phase
        self.put = self._put_all = _discard
        if self._uv is not None:
            self._uv.abort()

    def loseWriteConnection(self) -> None:
        """Send what was written, then close our half; then `IHalfCloseableProtocol` is told."""
        if self._phase is not Phase.OPEN or self._writing is not Writing.OPEN:
            return
        self._flush()
        self._writing = Writing.FINISHING
        self.put = self._put_all = _discard
        uv = self._uv
        uv.write_eof()
        if uv.get_write_buffer_size():
            uv.set_write_buffer_limits(0, 0)  # resume_writing then means that all is out
        else:
            self._loop.call_soon(self._write_side_closed)

    def _write_side_closed(self) -> None:
        if self._phase is not Phase.OPEN or self._writing is not Writing.FINISHING:
            return
        self._writing = Writing.FINISHED
        half = IHalfCloseableProtocol(self._protocol, None)
        if half is not None:
            try:
                half.writeConnectionLost()
            except Exception:
                self._fail("writeConnectionLost of {protocol} failed")

    # -- IConsumer: who writes to us
    # ---------------------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """From now on `producer` writes.

        :param streaming: True for a push producer: it is paused while more than 64 KiB wait to be written.
            False for a pull producer: it is asked for more whenever nothing waits.
        :raises RuntimeError: another is registered.
        """
        if self._producer is not None:
            raise RuntimeError(f"cannot register {producer!r}: {self._producer!r} was never unregistered")
        if self._phase is Phase.LOST:
            producer.stopProducing()
            return
        self._producer = producer
        self._pulling = not streaming
        if streaming:
            if self._congested:  # uvloop says so once, and has said it
                producer.pauseProducing()
            return
        if self._phase is not Phase.ABORTING:
            self._uv.set_write_buffer_limits(0, 0)
        producer.resumeProducing()
        self._loop.call_soon(self._pull)

    def _pull(self) -> None:
        # A pull producer has something each time (IPullProducer), so this turns only while the kernel takes
        # it all.
        if not self._pulling or self._producer is None or self._congested:
            return
        try:
            self._producer.resumeProducing()
        except Exception:
            self._fail("resumeProducing of the producer for {protocol} failed")
        self._loop.call_soon(self._pull)

    def unregisterProducer(self) -> None:
        """The producer has written its last; a `loseConnection` that waited for it goes ahead."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        if self._pulling:
            self._pulling = False
            if self._phase in (Phase.OPEN, Phase.CLOSING) and self._writing is Writing.OPEN:
                self._uv.set_write_buffer_limits()
        if self._phase is Phase.CLOSING:
            self._close()

    def stopConsuming(self) -> None:
        """The producer is gone."""
        self.unregisterProducer()
        self.loseConnection()

    # -- IPushProducer: whom we read for
    # -----------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """Read no more for now; the kernel's buffers fill, and then the peer has to wait."""
        if self._reading is Reading.FLOWING:
            self._reading = Reading.PAUSED
            if self._phase is Phase.OPEN:
                self._uv.pause_reading()

    def resumeProducing(self) -> None:
        """Read on."""
        if self._reading is Reading.PAUSED:
            self._reading = Reading.FLOWING
            if self._phase is Phase.OPEN:
                self._uv.resume_reading()

    def stopProducing(self) -> None:
        """The consumer of what we read is gone: nothing more is wanted."""
        self.loseConnection()


def _log_protocol_errors(loop: Any, context: dict[str, Any]) -> None:
    protocol = context.get("protocol")
    exc = context.get("exception")
    if isinstance(protocol, UvloopTransport) and exc is not None:
        protocol.protocol_failed(exc)
    else:
        loop.default_exception_handler(context)


def log_protocol_errors(loop: Any) -> None:
    """Have Twisted log what uvloop catches out of our protocols; a handler that is set already stays."""
    if loop.get_exception_handler() is None:
        loop.set_exception_handler(_log_protocol_errors)
