"""The proxy's end of a connection in memory: between the network's steps and one Twisted protocol.

It does as `vegurtx.net`'s real transports do. What is written leaves at once while the other end has room for it; past
Twisted's `BUFFER` the producer is asked to wait, and is told when all has gone out. What arrives is delivered a
segment a step, never while a write is under way, and not while reading is paused. Ends come in a later step too, in
order or as a reset.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.testing.connection import Arrival
from vegurtx.testing.memory.network import Network

if TYPE_CHECKING:
    from vegurtx.testing.memory.connection import MemoryConnection

#: bytes that may wait to be sent before the producer is asked to wait; also the longest segment (Twisted's numbers)
BUFFER = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Phase(Enum):
    """Where a connection is between its first and its last moment."""

    OPENING = auto()  # it stands, but the protocol has not been told
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
    """Our direction."""

    OPEN = auto()
    FINISHING = auto()  # loseWriteConnection was called
    FINISHED = auto()


class Mark(Enum):
    """What can stand in the stream of segments behind the last one."""

    END = auto()
    RESET = auto()


@implementer(ITCPTransport, IConsumer, IPushProducer)
class MemoryTransport:
    """A Twisted transport whose other end is a test's `MemoryConnection`.

    :param network: takes its steps.
    :param other: the other end.
    :param host: our address.
    :param peer: the other end's.
    """

    def __init__(self, network: Network, other: MemoryConnection, host: IAddress, peer: IAddress) -> None:
        self._network = network
        #: the test's end
        self.other = other
        self._host = host
        self._peer = peer
        #: what takes socket options
        self.handle = Handle()
        self.protocol: Any = None
        self.phase = Phase.OPENING
        self.reading = Reading.FLOWING
        self._writing = Writing.OPEN
        self._awake = False
        self._arriving: deque[bytes | Mark] = deque()
        self._unsent: deque[bytes] = deque()
        self._unsent_size = 0
        self._producer: Any = None
        self._congested = False
        self._broken = False  # a write found that nobody is there any more
        network.open.append(self)

    def open(self, protocol: Any) -> None:
        """Connect the protocol."""
        self.protocol = protocol
        self.phase = Phase.OPEN
        protocol.makeConnection(self)
        self._wake()

    # -- the other end's side --------------------------------------------------------------------------

    def arrive(self, what: bytes | Mark) -> None:
        """The other end has sent a segment, or ended its direction."""
        if self.phase is Phase.LOST:
            return
        if isinstance(what, Mark):
            self._arriving.append(what)
        else:
            self._arriving.extend(what[at : at + BUFFER] for at in range(0, len(what), BUFFER))
        self._wake()

    @property
    def unread(self) -> int:
        """Bytes that have arrived and that the protocol has not taken."""
        return sum(len(item) for item in self._arriving if not isinstance(item, Mark))

    @property
    def received_end(self) -> bool:
        """Whether the peer has ended its direction in order, and we know."""
        return self.reading is Reading.ENDED

    def drained(self) -> None:
        """The other end has room again."""
        self._flush()
        self._wake()

    # -- ITransport ------------------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Send `data` (bytes or a memoryview). After the end of our direction it is dropped, as by any transport."""
        if isinstance(data, str):
            raise TypeError("a transport sends bytes, not text")
        if self.phase is not Phase.OPEN or self._writing is not Writing.OPEN or not data:
            return
        self._unsent.append(bytes(data))
        self._unsent_size += len(data)
        self._flush()
        if self._unsent_size > BUFFER and not self._congested:
            self._congested = True
            if self._producer is not None:
                self._producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        """Send several pieces as one."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Send what was written, then close; nothing is read any more."""
        if self.phase in (Phase.OPENING, Phase.OPEN):
            self.phase = Phase.CLOSING
            self._wake()

    def loseWriteConnection(self) -> None:
        """Send what was written, then end our direction."""
        if self._writing is Writing.OPEN:
            self._writing = Writing.FINISHING
            self._wake()

    def abortConnection(self) -> None:
        """Reset the connection."""
        if self.phase is not Phase.LOST:
            self.phase = Phase.ABORTING
            self._wake()

    def getHost(self) -> Any:
        """Our address."""
        return self._host

    def getPeer(self) -> Any:
        """The other end's address."""
        return self._peer

    def getHandle(self) -> Any:
        """What takes socket options; only ``SO_LINGER`` has an effect."""
        return self.handle

    def getTcpNoDelay(self) -> bool:
        """Nothing is ever held back."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Of no effect."""

    def getTcpKeepAlive(self) -> bool:
        """There is no kernel to ask a silent peer."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Of no effect."""

    # -- IConsumer, IPushProducer ----------------------------------------------------------------------

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """`producer` is told to wait when what it writes piles up. Only push producers."""
        if self._producer is not None:
            raise RuntimeError(f"{self._producer} was never unregistered")
        if not streaming:
            raise ValueError("a connection in memory knows push producers only")
        if self.phase is Phase.LOST:
            producer.stopProducing()
        else:
            self._producer = producer

    def unregisterProducer(self) -> None:
        """It is told nothing any more."""
        self._producer = None

    def pauseProducing(self) -> None:
        """Read no more for now."""
        if self.reading is Reading.FLOWING:
            self.reading = Reading.PAUSED

    def resumeProducing(self) -> None:
        """Read on."""
        if self.reading is Reading.PAUSED:
            self.reading = Reading.FLOWING
            self._wake()

    def stopProducing(self) -> None:
        """The consumer of what we read wants no more."""
        self.loseConnection()

    # -- behind it -------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._network.later(self._turn)

    def _turn(self) -> None:
        """Do one thing that is to be done, and come back for the next."""
        self._awake = False
        if self.phase is Phase.LOST or self.phase is Phase.OPENING:
            return
        if self.phase is Phase.ABORTING:
            self._lose(ConnectionAborted())
        elif self._broken:
            self._lost_behind_the_rest()
        elif not self._unsent and self._congested:
            self._congested = False
            self._wake()
            if self._producer is not None:
                self._producer.resumeProducing()
        elif not self._unsent and self.phase is Phase.CLOSING:
            self._lose(ConnectionDone())
        elif not self._unsent and self._writing is Writing.FINISHING:
            self._writing = Writing.FINISHED
            self.other.ended(Arrival.CLEAN)
            self._wake()
            half = IHalfCloseableProtocol(self.protocol, None)
            if half is not None:
                half.writeConnectionLost()
        elif self.phase is Phase.OPEN and self.reading is Reading.FLOWING and self._arriving:
            self._wake()
            self._deliver(self._arriving.popleft())
        elif self.phase is Phase.CLOSING and Mark.RESET in self._arriving:
            self._lose(ConnectionLost())

    def _deliver(self, what: bytes | Mark) -> None:
        if what is Mark.RESET:
            self._lose(ConnectionLost())
        elif what is Mark.END:
            self.reading = Reading.ENDED
            self.peer_ended()
        else:
            self.protocol.dataReceived(what)

    def peer_ended(self) -> None:
        half = IHalfCloseableProtocol(self.protocol, None)
        if half is None:
            self._lose(ConnectionDone())
        else:
            half.readConnectionLost()

    def _lost_behind_the_rest(self) -> None:
        """The connection is broken; what had arrived before is delivered first, paused or not (rule 20)."""
        while self._arriving and self.phase is Phase.OPEN:
            what = self._arriving.popleft()
            if isinstance(what, Mark):
                break
            self.protocol.dataReceived(what)
        if self.phase is not Phase.LOST:
            self._lose(ConnectionLost())

    def _flush(self) -> None:
        """Hand over what the other end has room for."""
        while self._unsent:
            if self.other.gone:
                self._unsent.clear()
                self._unsent_size = 0
                self._broken = True
                self._wake()
                return
            room = self.other.room
            if room <= 0:
                return
            piece = self._unsent.popleft()
            if len(piece) > room:
                self._unsent.appendleft(piece[room:])
                piece = piece[:room]
            self._unsent_size -= len(piece)
            self.other.take_in(piece)

    def _lose(self, error: Exception) -> None:
        """The connection is over."""
        # A kernel that closes while bytes lie unread says so with a reset.
        reset = isinstance(error, ConnectionAborted) or self.handle.resets or self.unread > 0
        self.phase = Phase.LOST
        self._unsent.clear()
        self._network.open.remove(self)
        self.other.ended(Arrival.RESET if reset else Arrival.CLEAN)
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        protocol, self.protocol = self.protocol, None
        protocol.connectionLost(Failure(error))

    def __repr__(self) -> str:
        return f"<the proxy's end to {self.other.name}: {self.phase.name.lower()}>"


class Handle:
    """A socket, as far as an end by reset needs one."""

    def __init__(self) -> None:
        self.resets = False

    def setsockopt(self, level: int, name: int, value: object) -> None:
        """Remember whether closing is to be a reset."""
        if (level, name) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self.resets = value == _RESET_ON_CLOSE
