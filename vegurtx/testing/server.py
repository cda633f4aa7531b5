"""The scripted back-end: a listening socket on loopback whose connections a test takes one by one.

It stands behind the proxy. It also plays the back-ends that are not there: `RefusingAddress` and
`SilentAddress`.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.testing.connection import ScriptedConnection
from vegurtx.testing.errors import PeerClosed
from vegurtx.testing.messages import Request
from vegurtx.testing.readiness import handshaken
from vegurtx.testing.tls import SecureConnection
from vegurtx.testing.waiting import PATIENCE, PeerReactor, Waiters

if TYPE_CHECKING:
    from vegurtx.message import Backend

LOOPBACK = "127.0.0.1"

Handler: TypeAlias = Callable[[ScriptedConnection], Coroutine[Any, Any, None]]
"""What a back-end does on each connection where no test plays it by hand."""


@implementer(IReadDescriptor)
class ScriptedServer:
    """A back-end that a test drives by hand.

    Tests get one from `ProxyTestCase.backend`. It accepts everything; each connection is taken by one
    `accept`, in the order they came. With a `handler` the back-end plays by itself instead (see
    `answering`).

    :param reactor: where the socket is watched.
    :param path: listen on this UNIX socket instead of on a free port of 127.0.0.1.
    :param tls: speak TLS with this context.
    :param handler: an `async` function that plays each connection.
    :param timeout: seconds that one wait may last, here and on the connections.
    :param receive_buffer: bytes of the kernel's receive buffer of each connection (Linux doubles it).
    :param name: what messages call this back-end.
    """

    def __init__(
        self,
        reactor: PeerReactor,
        *,
        path: str | None = None,
        tls: ssl.SSLContext | None = None,
        handler: Handler | None = None,
        timeout: float = PATIENCE,
        receive_buffer: int | None = None,
        name: str = "back-end",
    ) -> None:
        self.timeout = timeout
        self.name = name
        self.path = path
        self.connections: list[ScriptedConnection] = []
        """Every connection that ever came (with TLS: whose handshake succeeded), in order."""
        self.failures: list[BaseException] = []
        """What went wrong in handlers and handshakes."""
        self._reactor = reactor
        self._tls = tls
        self._handler = handler
        self._waiting: deque[ScriptedConnection] = deque()
        self._waiters = Waiters(reactor, lambda: f"{name} has had {len(self.connections)} connections")
        self._socket = _listening_socket(path, receive_buffer)
        self.address: Any = self._socket.getsockname()
        self.resume_accepting()

    @property
    def host(self) -> str:
        """The address it listens on."""
        return "" if self.path is not None else str(self.address[0])

    @property
    def port(self) -> int:
        """The port it listens on."""
        return 0 if self.path is not None else int(self.address[1])

    @property
    def waiting(self) -> int:
        """How many connections have come that no `accept` has taken."""
        return len(self._waiting)

    def as_backend(self, keepalive: Any = None, **options: Any) -> Backend:
        """Return the `vegurtx.Backend` that leads here; `options` as for `Backend` (`tls`)."""
        from vegurtx.message import Backend

        if self.path is not None:
            return Backend.unix(self.path, keepalive=keepalive, **options)
        return Backend(self.host, self.port, keepalive=keepalive, **options)

    async def accept(self) -> ScriptedConnection:
        """Wait for the next connection that nobody has taken yet."""
        return await self._waiters.until(
            lambda: self._waiting.popleft() if self._waiting else None,
            f"{self.name}: a connection",
            self.timeout,
        )

    def pause_accepting(self) -> None:
        """Let new connections wait in the kernel's backlog: they connect, and nobody speaks to them."""
        self._reactor.removeReader(self)

    def resume_accepting(self) -> None:
        """Accept again."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Listen no more: whoever connects now is refused. Connections that exist go on."""
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._socket.close()
            if self.path is not None and os.path.exists(self.path):
                os.unlink(self.path)

    # -- IReadDescriptor: called by the reactor ----------------------------------------------------

    def fileno(self) -> int:
        """The listening socket's descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """What Twisted's log calls this back-end."""
        return self.name

    def doRead(self) -> None:
        """Somebody has connected."""
        try:
            sock, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        sock.setblocking(False)
        if self._tls is None:
            self._add(ScriptedConnection(self._reactor, sock, timeout=self.timeout, name=self._next_name()))
        else:
            self._run(self._add_secure(sock, self._tls))

    def connectionLost(self, reason: object) -> None:
        """The reactor found the descriptor dead."""
        self.stop()

    # -- behind it ---------------------------------------------------------------------------------

    def _next_name(self) -> str:
        return f"{self.name} connection {len(self.connections) + 1}"

    async def _add_secure(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        secure = await handshaken(self._reactor, sock, context, timeout=self.timeout, server_side=True)
        self._add(SecureConnection(self._reactor, secure, timeout=self.timeout, name=self._next_name()))

    def _add(self, connection: ScriptedConnection) -> None:
        self.connections.append(connection)
        if self._handler is None:
            self._waiting.append(connection)
            self._waiters.check()
        else:
            self._run(self._handler(connection))

    def _run(self, script: Coroutine[Any, Any, None]) -> None:
        def failed(failure: Failure) -> None:
            # That the proxy leaves is how a handler's work ends as a rule; what it should have got, the
            # client knows.
            if not isinstance(failure.value, PeerClosed):
                self.failures.append(cast("BaseException", failure.value))

        Deferred.fromCoroutine(script).addErrback(failed)

    def __repr__(self) -> str:
        return f"<{self.name} at {self.address}: {len(self.connections)} connections, {self.waiting} waiting>"


def answering(answer: bytes | Callable[[Request], bytes]) -> Handler:
    """Return a handler that answers each request on a connection with `answer`: bytes, or made from the
    request.

    It reads whole requests, one after the other, until the proxy closes the connection.
    """

    async def handler(connection: ScriptedConnection) -> None:
        while True:
            # A pooled connection is idle for as long as the proxy likes: only the test's own end bounds
            # this wait.
            connection.timeout = 3600.0
            try:
                request = await connection.receive_request()
            except PeerClosed:
                connection.close()
                return
            connection.send(answer(request) if callable(answer) else answer)

    return handler


class RefusingAddress:
    """A port of 127.0.0.1 where every connect is refused, and that nobody else can take while this object
    lives.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind((LOOPBACK, 0))
        self.host, self.port = self._socket.getsockname()

    def as_backend(self, keepalive: Any = None, **options: Any) -> Backend:
        """Return the `vegurtx.Backend` that leads here."""
        from vegurtx.message import Backend

        return Backend(self.host, self.port, keepalive=keepalive, **options)

    def stop(self) -> None:
        """Give the port back."""
        self._socket.close()


class SilentAddress(RefusingAddress):
    """A port of 127.0.0.1 where a connect neither succeeds nor fails, for tests of connect timeouts.

    Its backlog is full: the kernel drops what asks for more (Linux).
    """

    def __init__(self) -> None:
        super().__init__()
        self._socket.listen(0)
        self._fillers: list[socket.socket] = []
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((self.host, self.port))
            self._fillers.append(filler)

    def stop(self) -> None:
        """Give the port and what fills it back."""
        for filler in self._fillers:
            filler.close()
        super().stop()


def _listening_socket(path: str | None, receive_buffer: int | None) -> socket.socket:
    family = socket.AF_INET if path is None else socket.AF_UNIX
    sock = socket.socket(family, socket.SOCK_STREAM)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    sock.bind((LOOPBACK, 0) if path is None else path)
    sock.listen(1024)
    return sock
