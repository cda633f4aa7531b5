"""`FaultProxy`: a port of 127.0.0.1 that leads somewhere else, over a network as bad as the test's script says."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from vegurtx.testing.faults.link import Link
from vegurtx.testing.faults.stage import Fault

if TYPE_CHECKING:
    from vegurtx.message import Backend

LOOPBACK = "127.0.0.1"
_Script = tuple[Sequence[Fault], Sequence[Fault]]


class Connects(Enum):
    """What becomes of those who connect."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # by a RST
    IGNORED = "ignored"  # not answered: as by a firewall that drops


@implementer(IReadDescriptor)
class FaultProxy:
    """Passes on connections to `target`, with faults; like toxiproxy, for one test.

    The faults of a direction are met in the order in which they are given. A script holds for connections that come
    after it; `next` goes before `always`.

    :param reactor: watches the sockets (`IReactorFDSet`) and has the clock (`IReactorTime`): with a reactor whose time
        a test turns by hand, delays pass when the test says so.
    :param target: a numeric host and a port.
    :param request: faults of every connection, from whoever connected to the target.
    :param response: faults of every connection, the other way.
    """

    def __init__(
        self,
        reactor: Any,
        target: tuple[str, int],
        request: Sequence[Fault] = (),
        response: Sequence[Fault] = (),
    ) -> None:
        self.target = target
        self.links: list[Link] = []
        """Every connection that ever came, in order."""
        self._reactor = reactor
        self._always: _Script = (request, response)
        self._next: deque[_Script] = deque()
        self._fillers: list[socket.socket] = []
        self._connects = Connects.ACCEPTED
        self._socket = _bound(0)
        self.host: str
        self.port: int
        self.host, self.port = self._socket.getsockname()
        self._listen()

    def as_backend(self, keepalive: Any = None, **options: Any) -> Backend:
        """Return the `vegurtx.Backend` that leads here; `options` as for `Backend`."""
        from vegurtx.message import Backend

        return Backend(self.host, self.port, keepalive=keepalive, **options)

    # -- the script -------------------------------------------------------------------------------------------------

    def always(self, request: Sequence[Fault] = (), response: Sequence[Fault] = ()) -> None:
        """From now on every connection has these faults, and no others."""
        self._always = (request, response)

    def next(self, request: Sequence[Fault] = (), response: Sequence[Fault] = ()) -> None:
        """The next connection alone has these faults; several calls are for several connections, in order."""
        self._next.append((request, response))

    def accepts(self) -> None:
        """From now on connects succeed."""
        self._become(Connects.ACCEPTED)

    def refuses(self) -> None:
        """From now on connects are refused; connections that exist go on. Nobody else can take the port."""
        self._become(Connects.REFUSED)

    def ignores(self) -> None:
        """From now on connects neither succeed nor fail: a black hole. Connections that exist go on (Linux)."""
        self._become(Connects.IGNORED)

    def cut(self, end: str = "reset") -> None:
        """End every connection that is open now: ``"fin"`` or ``"reset"``."""
        for link in self.links:
            link.cut(end)

    @property
    def open(self) -> int:
        """How many connections are open."""
        return sum(link.open for link in self.links)

    def stop(self) -> None:
        """Close everything. For ``addCleanup``."""
        self._unlisten()
        for link in self.links:
            link.stop()

    # -- IReadDescriptor: called by the reactor ----------------------------------------------------------------------

    def fileno(self) -> int:
        """The listening socket's descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """What Twisted's log calls it."""
        return "faults"

    def doRead(self) -> None:
        """Somebody has connected."""
        try:
            sock, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        sock.setblocking(False)
        request, response = self._next.popleft() if self._next else self._always
        link = Link(self._reactor, sock, self.target, request, response)
        self.links.append(link)

    def connectionLost(self, reason: object) -> None:
        """The reactor found the descriptor dead."""
        self._unlisten()

    # -- behind it ---------------------------------------------------------------------------------------------------

    def _become(self, connects: Connects) -> None:
        if connects is self._connects:
            return
        self._unlisten()
        self._connects = connects
        self._socket = _bound(self.port)
        if connects is Connects.ACCEPTED:
            self._listen()
        elif connects is Connects.IGNORED:
            self._socket.listen(0)
            for _ in range(2):  # a full backlog: the kernel drops what asks for more
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex((self.host, self.port))
                self._fillers.append(filler)

    def _listen(self) -> None:
        self._socket.listen(1024)
        self._reactor.addReader(self)

    def _unlisten(self) -> None:
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()
        while self._fillers:
            self._fillers.pop().close()

    def __repr__(self) -> str:
        return (
            f"<faults at {self.port} before {self.target}: connects {self._connects.value}, {self.open} open>"
        )


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking(False)
    sock.bind((LOOPBACK, port))
    return sock
