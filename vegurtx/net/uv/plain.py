"""Twisted's own transport for a socket of ours: between a selecting reactor and one Twisted protocol.

It serves where there is no uvloop, and differs from `twisted.internet.tcp` in three ways that a proxy needs
and that uvloop's transport has by nature: what is written leaves at once while nothing waits before it (so
that an abort in the same turn loses nothing, and no turn of the reactor is spent), small segments are not
held back, and what had arrived before a connection broke is still delivered.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from twisted.internet import tcp
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.main import CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure

from vegurtx.net.uv.addresses import local_address

_log = Logger()
#: one read from a broken connection's kernel buffer, in bytes
_SALVAGE = 65536


def _lost() -> Any:
    """What `doRead` and `doWrite` are once a write has found the connection broken."""
    return CONNECTION_LOST


class PlainTransport(tcp.Connection):
    """A connected stream socket under a reactor that selects.

    :param sock: a connected, non-blocking stream socket; it belongs to the transport from now on.
    :param protocol: the Twisted protocol that it serves.
    :param peer: the address of the other end.
    :param reactor: provides `IReactorFDSet` and `IReactorTime`.
    """

    def __init__(self, sock: socket.socket, protocol: Any, peer: IAddress, reactor: Any) -> None:
        super().__init__(sock, protocol, reactor)
        self._peer = peer
        self._host: IAddress | None = None
        self._read_ended = False
        self.logstr = type(protocol).__name__
        if sock.family != socket.AF_UNIX:
            self.setTcpNoDelay(True)
        self.connected = 1

    def open(self) -> None:
        """Connect the protocol and read.

        :raises Exception: what the protocol's ``makeConnection`` raises; the connection is over then.
        """
        self.reactor.addReader(self)  # startReading, which is untyped
        try:
            self.protocol.makeConnection(self)
        except Exception:
            failure = Failure()
            _log.failure("makeConnection of {protocol} failed", failure, protocol=self.protocol)
            self.connectionLost(failure)
            raise

    def write(self, data: Any) -> None:
        """Send `data` (bytes or a memoryview), at once if nothing waits before it."""
        if (
            self._tempDataLen
            or self.dataBuffer
            or self.disconnecting
            or not self.connected
            or self._writeDisconnecting
        ):
            self._write_later(data)
            return
        if self.producer is not None and not self.streamingProducer:
            self._write_later(data)  # doWrite asks a pull producer for more
            return
        try:
            sent = self.socket.send(data)
        except BlockingIOError:  # the kernel's buffer is full
            sent = 0
        except OSError:
            # The kernel tells it once, and this was the time: reading would find a clean end where there is none.
            sent = 0
            self.doRead = self.doWrite = _lost  # type: ignore[method-assign]
        if sent != len(data):
            self._write_later(memoryview(data)[sent:] if sent else data)

    def _write_later(self, data: Any) -> None:
        if self._writeDisconnecting or (self.disconnecting and self.producer is None):
            return  # after loseConnection only a producer that it waits for may write
        base: Any = super()
        base.write(data if type(data) is bytes else bytes(data))

    def writeSequence(self, iovec: Iterable[Any]) -> None:
        """Send all of `iovec`, in one system call if nothing waits before it."""
        self.write(b"".join(iovec))

    def loseWriteConnection(self) -> None:
        """Send what was written, then close our half."""
        if self.connected and not self.disconnecting and not self._writeDisconnecting:
            base: Any = super()
            base.loseWriteConnection()

    def readConnectionLost(self, reason: Failure) -> None:
        """The peer has sent its last byte."""
        self._read_ended = True
        super().readConnectionLost(reason)

    def resumeProducing(self) -> None:
        """Read on; not past the end, which would be reported a second time."""
        if not self._read_ended:
            base: Any = super()
            base.resumeProducing()

    def connectionLost(self, reason: Failure) -> None:
        """The connection is over."""
        if not hasattr(self, "socket"):
            return
        if self._host is None:
            with suppress(OSError):
                self.getHost()
        if reason.check(ConnectionLost) and not reason.check(ConnectionAborted) and not self.disconnecting:
            self._salvage()
        super().connectionLost(reason)

    def _salvage(self) -> None:
        """Deliver what the kernel still holds of a broken connection: it came before the break (rule 20)."""
        while not self.disconnecting and not self._aborting:
            try:
                data = self.socket.recv(_SALVAGE)
            except OSError:
                return
            if not data:
                return
            try:
                self.protocol.dataReceived(data)
            except Exception:
                _log.failure("dataReceived of {protocol} failed", protocol=self.protocol)
                return
            if not hasattr(self, "socket"):
                return

    def abortConnection(self) -> None:
        """End it now: what is unsent is dropped, and the peer is told by a reset."""
        self._writeDisconnecting = True
        base: Any = super()
        base.abortConnection()

    def getPeer(self) -> IAddress:
        """The address of the other end."""
        return self._peer

    def getHost(self) -> IAddress:
        """The address of this end."""
        if self._host is None:
            self._host = local_address(self.socket)
        return self._host
