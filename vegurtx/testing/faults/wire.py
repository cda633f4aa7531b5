"""One socket of a `Link`: bare, so that what is sent is in the kernel before a reset is."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IReadWriteDescriptor
from zope.interface import implementer

#: bytes of one read
READ = 65536
_RESET_ON_CLOSE = b"\x01\x00\x00\x00\x00\x00\x00\x00"


@implementer(IReadWriteDescriptor)
class Wire:
    """A non-blocking socket with what is to be sent behind it.

    :param reactor: watches it.
    :param sock: belongs to the wire from now on; it may be connecting still.
    :param received: is called with bytes, ``b""`` for the end of the peer's direction, `None` for a broken connection.
    :param drained: is called when all that was sent is in the kernel, after there was more.
    :param connecting: whether the connect is under way.
    """

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        received: Callable[[bytes | None], None],
        drained: Callable[[], None],
        connecting: bool = False,
    ) -> None:
        self._reactor = reactor
        self._socket = sock
        self._received = received
        self._drained = drained
        self._connecting = connecting
        self._queue = bytearray()
        self._finishing = False
        self._closing = False
        self._reading = True
        self._ended = False
        self.open = True
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if connecting:
            reactor.addWriter(self)
        else:
            reactor.addReader(self)

    @property
    def finished(self) -> bool:
        """Whether our direction is over, and all of it with the kernel."""
        return not self.open or (self._finishing and not self._queue)

    @property
    def queued(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return len(self._queue)

    def send(self, data: bytes) -> None:
        """Send `data`, at once as far as the kernel takes it."""
        if self.open and not self._finishing:
            self._queue += data
            if not self._connecting:
                self._flush()

    def finish(self) -> None:
        """End our direction behind what was sent; what comes is still read."""
        if self.open and not self._finishing:
            self._finishing = True
            if not self._connecting:
                self._flush()

    def reset(self) -> None:
        """Break the connection off. What the kernel has, it has sent by then (on loopback)."""
        if self.open:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.close()

    def close(self) -> None:
        """Give the descriptor back."""
        if self.open:
            self.open = False
            self._queue.clear()
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            self._socket.close()

    def read(self, on: bool) -> None:
        """Whether the peer is read."""
        self._reading = on
        if self.open and not self._connecting and not self._ended:
            (self._reactor.addReader if on else self._reactor.removeReader)(self)

    # -- IReadWriteDescriptor: called by the reactor ---------------------------------------------------------------

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """What Twisted's log calls it."""
        return "faults"

    def doRead(self) -> None:
        """Take what is there, to the end: a reset behind bytes is told only once."""
        while self.open and self._reading and not self._ended:
            try:
                data = self._socket.recv(READ)
            except BlockingIOError:
                return
            except OSError:
                self._lost()
                return
            if not data:
                self._ended = True
                self._reactor.removeReader(self)
            self._received(data)

    def doWrite(self) -> None:
        """The connect is decided, or there is room."""
        if self._connecting:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._connecting = False
            if number:
                self._lost()
                return
            self.read(self._reading)
        self._flush()

    def connectionLost(self, reason: object) -> None:
        """The reactor found the descriptor dead: read what is left, then the end."""
        if self._connecting:
            self._lost()
        else:
            self._reading = True
            self.doRead()

    def _lost(self) -> None:
        if self.open:
            self.close()
            self._received(None)

    def _flush(self) -> None:
        waited = bool(self._queue)
        while self._queue and self.open:
            try:
                del self._queue[: self._socket.send(self._queue)]
            except BlockingIOError:
                self._reactor.addWriter(self)
                return
            except OSError as problem:
                self._queue.clear()
                if problem.errno != errno.EPIPE:  # EPIPE: reading finds out, or has already
                    self._lost()
                return
        if not self.open:
            return
        self._reactor.removeWriter(self)
        if self._finishing:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
        if waited or self._finishing:
            self._drained()


def connecting_socket(address: tuple[str, int]) -> tuple[socket.socket, bool]:
    """Begin to connect to a numeric `address`.

    :returns: the socket, and whether the connect is still under way.
    :raises OSError: it has failed already.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        sock.setblocking(False)
        number = sock.connect_ex(address)
        if number not in (0, errno.EINPROGRESS):
            raise OSError(number, os.strerror(number))
    except BaseException:
        sock.close()
        raise
    return sock, number != 0
