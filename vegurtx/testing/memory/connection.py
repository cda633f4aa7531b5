"""The test's end of a connection in memory: a client before the proxy, or a back-end's connection behind it.

It has the words of `ScriptedConnection`, but nothing is waited for: each call first lets arrive what is on its way, and
then what is not there will not come by itself. It fails at once, and says what has happened so far.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred

from vegurtx.testing.composing import HeaderPairs, request_bytes
from vegurtx.testing.connection import Arrival, Sending
from vegurtx.testing.errors import ConversationError, MalformedMessage, PeerClosed, PeerSilent, shown
from vegurtx.testing.memory.network import Network
from vegurtx.testing.memory.transcript import first_line
from vegurtx.testing.memory.transport import Mark, MemoryTransport, Phase, Reading
from vegurtx.testing.messages import Request, Response
from vegurtx.testing.reading import HEAD_END, Need, read_request, read_response
from vegurtx.testing.reading import Reading as MessageReading
from vegurtx.testing.stream import Stream

_T = TypeVar("_T")

#: bytes that an end which does not read has room for, unless the test says otherwise
WINDOW = 65536
#: lines of the transcript that a failure's message ends with
_LINES_SHOWN = 30


class MemoryConnection:
    """A connection that a test drives by hand, and that remembers every byte it received.

    Tests get one from `MemoryProxy.client` or `MemoryBackend.accept`. What a call returns is consumed: the next one
    goes on behind it. What is not there raises `PeerSilent` (`PeerClosed` where the connection has ended), and
    nothing is consumed then.

    :param network: where it lies.
    :param name: what the transcript calls this end.
    :param window: bytes that this end has room for while it does not read.
    """

    def __init__(self, network: Network, name: str, window: int = WINDOW) -> None:
        self.name = name
        self.window = window
        self.transport: MemoryTransport
        """The proxy's end."""
        self._network = network
        self._arrival = Arrival.OPEN
        self._sending = Sending.OPEN
        self._input = Stream()
        self._reading = True
        self._kernel = bytearray()  # what has come while we did not read
        self._waiting: list[Deferred[None]] = []

    # -- what was received -------------------------------------------------------------------------

    @property
    def received(self) -> bytes:
        """Every byte that ever arrived, consumed or not."""
        self._network.settle()
        return self._input.all()

    @property
    def segments(self) -> list[bytes]:
        """The same bytes as the proxy wrote them, one item a write."""
        self._network.settle()
        return self._input.segments()

    @property
    def unread(self) -> bytes:
        """The bytes that arrived and that no call has consumed. Assert on it that nothing else came."""
        self._network.settle()
        return self._input.unread()

    @property
    def arrival(self) -> Arrival:
        """Whether the proxy still sends, has ended in order, or has reset the connection."""
        self._network.settle()
        return self._arrival

    @property
    def held_back(self) -> bool:
        """Whether the proxy does not read this connection at present: back-pressure."""
        self._network.settle()
        return self.transport.reading is Reading.PAUSED

    @property
    def unsent(self) -> int:
        """Bytes that this end has sent and the proxy has not read."""
        self._network.settle()
        return self.transport.unread

    # -- sending -----------------------------------------------------------------------------------

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data` as one segment (the longest has 64 kB), and let happen what follows from it.

        Where the connection is gone already the bytes are dropped. Raises `ConversationError` where this end itself
        was closed or half-closed before: that is a mistake in the script.
        """
        if self._sending is not Sending.OPEN:
            if self._arrival is Arrival.RESET:
                return
            raise ConversationError(f"{self.name}: send, but this end is {self._sending.value} already")
        segment = bytes(data)
        if segment:
            self._note(f"> {first_line(segment)}")
            self.transport.arrive(segment)
        self._network.settle()

    def half_close(self) -> None:
        """End our direction (FIN); receiving goes on."""
        if self._sending is Sending.OPEN:
            self._sending = Sending.ENDED
            self._note("half-closes")
            self.transport.arrive(Mark.END)
        self._network.settle()

    def close(self) -> None:
        """Close the connection. As with any program, received bytes that lie unread (`pause`) make it a reset."""
        if self._kernel:
            self.abort()
        elif self._sending is not Sending.CLOSED:
            ended = self._sending is Sending.ENDED
            self._sending = Sending.CLOSED
            if self._arrival is Arrival.OPEN:
                self._note("closes")
                self._arrival = Arrival.CLEAN
            if not ended:
                self.transport.arrive(Mark.END)
            self.transport.drained()  # what it has for us finds nobody
            self._tell()
        self._network.settle()

    def abort(self) -> None:
        """Reset the connection (RST)."""
        if self._sending is not Sending.CLOSED:
            self._sending = Sending.CLOSED
            self._kernel.clear()
            if self.transport.phase is not Phase.LOST:
                self._note("resets")
            if self._arrival is Arrival.OPEN:
                self._arrival = Arrival.RESET
            self.transport.arrive(Mark.RESET)
            self.transport.drained()
            self._tell()
        self._network.settle()

    # -- receiving ---------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stop reading, as a slow reader would: `window` bytes more are taken in, then the proxy has to wait."""
        self._network.settle()
        self._reading = False

    def resume(self) -> None:
        """Read again."""
        self._reading = True
        if self._kernel:
            data = bytes(self._kernel)
            self._kernel.clear()
            self._add(data)
        self.transport.drained()
        self._network.settle()

    def receive(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        return self._attempt(lambda: self._take(size))

    def receive_until(self, marker: bytes) -> bytes:
        """Return everything up to the end of `marker`."""
        return self._attempt(lambda: self._take(marker))

    def receive_head(self) -> bytes:
        """Return the exact bytes of the head of a message, the empty line included."""
        return self.receive_until(HEAD_END)

    def receive_request(self) -> Request:
        """Return a whole request, its body by its framing. Raises `MalformedMessage` where it is not correct."""
        return self._message(read_request)

    def receive_response(self, method: bytes = b"GET") -> Response:
        """Return a whole final response and the interim ones before it.

        `method` is the request's: a response to HEAD has no body. Raises `MalformedMessage` where it is not correct,
        `PeerClosed` where it breaks off.
        """
        return self._message(lambda: read_response(method))

    def receive_all(self) -> bytes:
        """Return all that was not consumed before; the proxy must have ended its direction in order."""
        return self._attempt(lambda: self._take(None))

    def expect(self, exact: bytes) -> None:
        """Consume exactly these bytes; fails where others came."""
        self._network.settle()
        head = self._input.peek(len(exact))
        if not exact.startswith(head):
            raise ConversationError(
                f"{self.name}: expected {shown(exact)}, received {shown(self._input.unread())}"
            )
        self.receive(len(exact))

    def eof(self) -> None:
        """The proxy has ended its direction in order; fails where it has not. Ours stays as it is."""
        self._network.settle()
        if self._arrival is Arrival.OPEN:
            raise PeerSilent(self._complaint("the end of the proxy's direction"))
        if self._arrival is Arrival.RESET:
            raise PeerClosed(self._complaint("an end in order"))

    def closed(self) -> str:
        """The proxy has ended the connection; close this end too.

        Returns `"clean"` (it ended in order) or `"reset"`. What was not consumed stays in `unread`.
        """
        self._network.settle()
        if self._arrival is Arrival.OPEN:
            raise PeerSilent(self._complaint("the end of the connection"))
        arrival: str = self._arrival.value
        self.close()
        return arrival

    # -- the proxy's side --------------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        """Whether nobody takes in any more what the proxy sends."""
        return self._sending is Sending.CLOSED

    @property
    def room(self) -> int:
        """Bytes that can be taken in now."""
        return 1 << 62 if self._reading else self.window - len(self._kernel)

    def take_in(self, data: bytes) -> None:
        """Bytes from the proxy."""
        if self._reading:
            self._add(data)
        else:
            self._kernel += data

    def ended(self, arrival: Arrival) -> None:
        """The proxy has ended its direction, or the connection."""
        if self._arrival is Arrival.OPEN:
            self._arrival = arrival
            self._note("is closed" if arrival is Arrival.CLEAN else "is reset")
        if arrival is Arrival.RESET and self._sending is not Sending.CLOSED:
            self._sending = Sending.CLOSED
        self._tell()

    # -- for those who wait (`played`) -------------------------------------------------------------

    def something_happens(self) -> Deferred[None]:
        """A Deferred that fires when the next bytes, or an end, have come."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def _tell(self) -> None:
        if self._waiting:
            self._network.later(self._wake)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    # -- behind it ---------------------------------------------------------------------------------

    def _add(self, data: bytes) -> None:
        self._note(f"< {first_line(data)}")
        self._input.add(data)
        self._tell()

    def _note(self, what: str) -> None:
        self._network.note(f"{self.name} {what}")

    def _message(self, read: Callable[[], MessageReading[_T]]) -> _T:
        return self._attempt(lambda: self._read(read()))

    def _attempt(self, take: Callable[[], _T]) -> _T:
        """Take something, or fail and consume nothing."""
        self._network.settle()
        position = self._input.position
        try:
            return take()
        except ConversationError:
            self._input.back_to(position)
            raise

    def _read(self, reading: MessageReading[_T]) -> _T:
        """Let `reading` have what it needs until its message is whole."""
        try:
            need = next(reading)
            while True:
                need = reading.send(self._take(need))
        except StopIteration as stop:
            message: _T = stop.value
            return message
        except MalformedMessage as error:
            raise MalformedMessage(f"{self.name}: {error}; {self._story()}") from None

    def _take(self, need: Need) -> bytes:
        if need is None:
            self.eof()
            return self._input.take(len(self._input)) or b""
        found = self._input.take(need) if isinstance(need, int) else self._input.take_until(need)
        if found is not None:
            return found
        what = f"{need} bytes" if isinstance(need, int) else repr(need)
        if self._arrival is Arrival.OPEN:
            raise PeerSilent(self._complaint(what))
        raise PeerClosed(self._complaint(what))

    def _complaint(self, what: str) -> str:
        return f"{self.name}: {what} did not come; {self._story()}"

    def _story(self) -> str:
        lines = "\n  ".join(self._network.lines[-_LINES_SHOWN:])
        return (
            f"the proxy's direction is {self._arrival.value}; "
            f"not consumed: {shown(self._input.unread())}; what has happened so far:\n  {lines}"
        )

    def __repr__(self) -> str:
        return f"<{self.name}: this end {self._sending.value}, the proxy's {self._arrival.value}>"


class MemoryClient(MemoryConnection):
    """A client's connection; see `MemoryProxy.client`."""

    def send_request(
        self, method: str, url: str, headers: HeaderPairs = (), body: bytes | None = None
    ) -> None:
        """Send a request, as `request_bytes` writes it."""
        self.send(request_bytes(method, url, headers, body))

    def ask(self, method: str, url: str, headers: HeaderPairs = (), body: bytes | None = None) -> Response:
        """Send a request, as `request_bytes` writes it, and return its response, which must be there then."""
        self.send_request(method, url, headers, body)
        return self.receive_response(method.encode("ascii"))
