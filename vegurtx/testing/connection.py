"""One end of a connection that follows a script: the client's end before the proxy, or the back-end's
behind it.

It works on the bare socket, not on a Twisted transport: `send` puts its bytes on the wire before it returns
(so two sends are two segments), `abort` really resets, and nothing of the proxy's own transports is used to
judge them.
"""

from __future__ import annotations

import contextlib
import socket
from enum import Enum
from typing import Any, TypeVar

from twisted.internet.interfaces import IReadWriteDescriptor
from zope.interface import implementer

from vegurtx.testing.errors import ConversationError, MalformedMessage, PeerClosed, shown
from vegurtx.testing.messages import Request, Response
from vegurtx.testing.readiness import NOT_NOW
from vegurtx.testing.reading import HEAD_END, Need, Reading, read_request, read_response
from vegurtx.testing.stream import Stream
from vegurtx.testing.waiting import PATIENCE, PeerReactor, Waiters

_T = TypeVar("_T")

RECEIVE = 262144
"""Bytes asked of the kernel in one read."""

AT_ONCE = 64
"""Reads in one turn of the reactor; together more than a kernel's buffer holds."""


class Arrival(Enum):
    """How the other side's direction stands. The values are what `closed` returns."""

    OPEN = "open"
    CLEAN = "clean"
    RESET = "reset"


class Sending(Enum):
    """How our own direction stands. While there are bytes to flush, an end that was asked for has to wait."""

    OPEN = "open"
    HALF_CLOSING = "half-closing"
    ENDED = "ended"
    CLOSING = "closing"
    CLOSED = "closed"


@implementer(IReadWriteDescriptor)
class ScriptedConnection:
    """A connection that a test drives by hand, and that remembers every byte it received.

    Tests get one from `RunningProxy.connect` or `ScriptedServer.accept`. Each `await` waits at most `timeout`
    seconds (5 unless told otherwise) and then fails with what was received so far. What a wait returns is
    consumed: the next one goes on behind it.

    :param reactor: where the socket is watched.
    :param sock: a connected, non-blocking socket; the connection owns it from here on.
    :param timeout: seconds that a wait may last.
    :param name: what messages call this end.
    """

    def __init__(
        self, reactor: PeerReactor, sock: socket.socket, *, timeout: float = PATIENCE, name: str = "peer"
    ) -> None:
        self.timeout = timeout
        self.name = name
        self.peer: Any = _name(sock, "getpeername")
        self.local: Any = _name(sock, "getsockname")
        self.sent = 0
        self._reactor = reactor
        self._socket = sock
        self._arrival = Arrival.OPEN
        self._sending = Sending.OPEN
        self._queue = bytearray()
        self._input = Stream()
        self._waiters = Waiters(reactor, self._story)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reactor.addReader(self)

    # -- what was received -------------------------------------------------------------------------

    @property
    def received(self) -> bytes:
        """Every byte that ever arrived, consumed or not."""
        return self._input.all()

    @property
    def segments(self) -> list[bytes]:
        """The same bytes as they arrived, one item a read of the socket. (The kernel may join what was
        sent.)
        """
        return self._input.segments()

    @property
    def unread(self) -> bytes:
        """The bytes that arrived and that no wait has consumed. Assert on it that nothing else came."""
        return self._input.unread()

    @property
    def arrival(self) -> Arrival:
        """Whether the other side still sends, has ended in order, or has reset the connection."""
        return self._arrival

    # -- sending -----------------------------------------------------------------------------------

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`: at once as far as the socket takes it, the rest as the other side reads.

        Where the connection is gone already the bytes are dropped, as they would be on a real network. Raises
        `ConversationError` where this end itself was closed or half-closed before: that is a mistake in the
        script.
        """
        if self._sending is Sending.OPEN:
            self.sent += len(data)
            self._queue += data
            self._flush()
        elif self._arrival is not Arrival.RESET:
            raise ConversationError(f"{self.name}: send, but this end is {self._sending.value} already")

    def half_close(self) -> None:
        """End our direction (FIN) behind everything that was sent; receiving goes on. On TLS:
        `close_notify`.
        """
        if self._sending is Sending.OPEN:
            self._sending = Sending.HALF_CLOSING
            self._flush()

    def close(self) -> None:
        """Close the connection behind everything that was sent.

        As with any program, closing while received bytes lie unread in the kernel makes it send a reset.
        """
        if self._sending is not Sending.CLOSED:
            self._sending = Sending.CLOSING
            self._end(Arrival.CLEAN)
            self._flush()

    def abort(self) -> None:
        """Reset the connection (RST) now. What was sent before and is still queued here is lost."""
        if self._sending is not Sending.CLOSED:
            linger_none = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            if self._socket.family in (socket.AF_INET, socket.AF_INET6):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_none)
            self._release()
            self._end(Arrival.RESET)

    # -- receiving ---------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop reading the socket, as a slow reader would. The kernel's buffer fills up; see
        `receive_buffer`.
        """
        self._reactor.removeReader(self)

    def resume(self) -> None:
        """Read the socket again."""
        if self._arrival is Arrival.OPEN:
            self._reactor.addReader(self)

    def receive_buffer(self, size: int) -> None:
        """Make the kernel's receive buffer small (`size` in bytes, Linux doubles it), for tests of
        back-pressure.
        """
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    async def receive(self, size: int) -> bytes:
        """Wait for exactly `size` bytes."""
        return await self._until(lambda: self._input.take(size), f"{size} bytes")

    async def receive_until(self, marker: bytes) -> bytes:
        """Wait for `marker`; return everything up to its end."""
        return await self._until(lambda: self._input.take_until(marker), repr(marker))

    async def receive_head(self) -> bytes:
        """Wait for the head of a message; return its exact bytes, the empty line included."""
        return await self.receive_until(HEAD_END)

    async def receive_request(self) -> Request:
        """Wait for a whole request, its body by its framing. Raises `MalformedMessage` where it is not
        correct.
        """
        return await self._read(read_request())

    async def receive_response(self, method: bytes = b"GET") -> Response:
        """Wait for a whole final response and the interim ones before it.

        `method` is the request's: a response to HEAD has no body. Raises `MalformedMessage` where it is not
        correct, `PeerClosed` where it breaks off.
        """
        return await self._read(read_response(method))

    async def receive_all(self) -> bytes:
        """Wait for the end of the other side's direction; return all that was not consumed before.

        Raises `PeerClosed` where the connection was reset instead.
        """
        await self.eof()
        return self._input.take(len(self._input)) or b""

    async def expect(self, exact: bytes) -> None:
        """Wait until exactly these bytes have come; fails with the first byte that differs."""

        def ready() -> bytes | None:
            head = self._input.peek(len(exact))
            if not exact.startswith(head):
                raise ConversationError(
                    f"{self.name}: expected {shown(exact)}, received {shown(self._input.unread())}"
                )
            return self._input.take(len(exact))

        await self._until(ready, f"exactly {shown(exact)}")

    async def eof(self) -> None:
        """Wait until the other side ends its direction in order. Ours stays open. A reset raises
        `PeerClosed`.
        """
        await self._waiters.until(self._ended, "the end of the other side's direction", self.timeout)
        if self._arrival is Arrival.RESET:
            raise PeerClosed(f"{self.name}: the other side reset the connection; {self._story()}")

    async def closed(self) -> str:
        """Wait for the end of the connection, then close this end too.

        Returns `"clean"` (the other side ended in order) or `"reset"`. Bytes that came before it and were not
        consumed stay in `unread`. Half-closing alone also counts as a clean end: the two look alike from
        here.
        """
        arrival = await self._waiters.until(self._ended, "the end of the connection", self.timeout)
        if self._sending is not Sending.CLOSED:
            self._release()
        return arrival.value

    # -- IReadWriteDescriptor: called by the reactor -----------------------------------------------

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """What Twisted's log calls this end."""
        return self.name

    def doRead(self) -> None:
        """The socket can be read: take all that is there, as far as a bound.

        Once is not enough: libuv reports data and a reset behind it together and only once, and records
        that lie decrypted in OpenSSL wake nobody.
        """
        for _ in range(AT_ONCE):
            if not self._receive_once():
                break
        self._waiters.check()

    def doWrite(self) -> None:
        """The socket can be written."""
        self._flush()
        self._waiters.check()

    def connectionLost(self, reason: object) -> None:
        """The reactor found the descriptor dead."""
        self._lost()
        self._waiters.check()

    # -- behind it ---------------------------------------------------------------------------------

    def _receive_once(self) -> bool:
        """Take what one read of the socket gives; return whether there may be more."""
        try:
            data = self._socket.recv(RECEIVE)
        except NOT_NOW:
            return False
        except OSError:
            self._lost()
            return False
        if not data:
            self._reactor.removeReader(self)
            self._end(Arrival.CLEAN)
            return False
        self._input.add(data)
        return True

    def _drain(self) -> None:
        """Take everything that the kernel still holds of a connection that is broken."""
        try:
            while data := self._socket.recv(RECEIVE):
                self._input.add(data)
        except OSError:
            pass

    def _flush(self) -> None:
        """Write what is queued; when nothing is left, carry out the end that was asked for."""
        while self._queue:
            try:
                sent = self._socket.send(memoryview(self._queue)[:RECEIVE].tobytes())
            except NOT_NOW:
                self._reactor.addWriter(self)
                return
            except ConnectionResetError:
                # The kernel reports a reset only once, and this was the time: what it still holds is read
                # now.
                self._drain()
                self._lost()
                return
            except OSError:
                # EPIPE: the other side had ended in order before. Reading will find that end, or has already.
                self._queue.clear()
                break
            del self._queue[:sent]
        self._reactor.removeWriter(self)
        if self._sending is Sending.CLOSING:
            self._say_goodbye()
            self._release()
        elif self._sending is Sending.HALF_CLOSING:
            self._sending = Sending.ENDED
            self._shut_down()

    def _say_goodbye(self) -> None:
        """The connection is about to be closed in order; TLS has something to say then."""

    def _shut_down(self) -> None:
        """End our direction."""
        with contextlib.suppress(OSError):  # where it is gone altogether, reading finds out
            self._socket.shutdown(socket.SHUT_WR)

    def _lost(self) -> None:
        self._end(Arrival.RESET)
        if self._sending is not Sending.CLOSED:
            self._release()

    def _end(self, arrival: Arrival) -> None:
        """The other side's direction has ended; the first end counts."""
        if self._arrival is Arrival.OPEN:
            self._arrival = arrival
            self._waiters.check()

    def _release(self) -> None:
        """Give the descriptor back."""
        self._sending = Sending.CLOSED
        self._queue.clear()
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._socket.close()

    def _ended(self) -> Arrival | None:
        return None if self._arrival is Arrival.OPEN else self._arrival

    async def _until(self, take: Any, what: str) -> bytes:
        def ready() -> bytes | None:
            found: bytes | None = take()
            if found is None and self._arrival is not Arrival.OPEN:
                raise PeerClosed(
                    f"{self.name}: the connection ended ({self._arrival.value}) while waiting for {what}; "
                    f"{self._story()}"
                )
            return found

        return await self._waiters.until(ready, what, self.timeout)

    async def _read(self, reading: Reading[_T]) -> _T:
        """Let `reading` have what it needs until its message is whole."""
        try:
            need = next(reading)
            while True:
                need = reading.send(await self._take(need))
        except StopIteration as stop:
            message: _T = stop.value
            return message
        except MalformedMessage as error:
            raise MalformedMessage(f"{self.name}: {error}; {self._story()}") from None

    async def _take(self, need: Need) -> bytes:
        if need is None:
            return await self.receive_all()
        if isinstance(need, int):
            return await self.receive(need)
        return await self.receive_until(need)

    def _story(self) -> str:
        return (
            f"{self.name} has sent {self.sent} bytes, received {self._input.total()}, the other side is "
            f"{self._arrival.value}; not consumed: {shown(self._input.unread())}; "
            f"all: {shown(self._input.all())}"
        )

    def __repr__(self) -> str:
        ends = f"this end {self._sending.value}, the other {self._arrival.value}"
        return f"<{self.name} {self.local} to {self.peer}: {ends}>"


def _name(sock: socket.socket, which: str) -> Any:
    """An address of the socket, `None` where the other side is gone so soon that there is none."""
    try:
        return getattr(sock, which)()
    except OSError:
        return None
