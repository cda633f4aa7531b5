"""Connections to back-ends: from the pool where one rests, else a new one, as a Deferred (rules 22, 23)."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from vegurtx.errors import ConnectFailed
from vegurtx.message import Backend, BackendTLS
from vegurtx.net.backend import READ, TAKE, BackendConnection
from vegurtx.net.backend_tls import BackendContexts
from vegurtx.net.complaints import Complaints
from vegurtx.net.endpoints import tcp_client, unix_client
from vegurtx.net.handshake import TlsEndpoint
from vegurtx.net.pool import Pool
from vegurtx.wire.limits import BodyLimits, ResponseLimits
from vegurtx.wire.response import ResponseParser

#: seconds that a connection may take to close in order
CLOSE_LIMIT = 5.0

EndpointFor = Callable[[Backend], IStreamClientEndpoint]

_WORDS: list[tuple[type[BaseException], str]] = [
    (error.ConnectionRefusedError, "econnrefused"),
    (error.TimeoutError, "etimedout"),
    (error.NoRouteError, "enetunreach"),
    (error.DNSLookupError, "nxdomain"),
    (error.UnknownHostError, "nxdomain"),
    (UnicodeError, "nxdomain"),
]


def connect_word(failure: Failure) -> str:
    """The bare word for a failed connect, named as the errno is: ``econnrefused``, ``etimedout``, ``nxdomain``…"""
    for kind, word in _WORDS:
        if failure.check(kind):
            return word
    number = getattr(failure.value, "osError", None) or getattr(failure.value, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        return errno.errorcode[number].lower()
    return "econnfailed"


class BackendClient:
    """Opens connections, keeps idle ones, and takes them back.

    :param reactor: for endpoints, time, and the pool's one delayed call.
    :param connect_timeout: seconds.
    :param idle_timeout: seconds that a connection may rest in the pool.
    :param per_backend: idle connections kept for one back-end at the most.
    :param total: idle connections kept in all.
    :param buffer_size: the size of a back-end socket's receive buffer, in bytes; 0 for the system's choice.
    :param socket_options: ``(level, name, value)`` for each new socket.
    :param endpoint_for: makes the endpoint for a `Backend`; the default knows TCP, TLS and UNIX sockets.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        connect_timeout: float = 5.0,
        idle_timeout: float = 60.0,
        per_backend: int = 512,
        total: int = 4096,
        limits: ResponseLimits | None = None,
        body_limits: BodyLimits | None = None,
        buffer_size: int = 0,
        socket_options: Sequence[tuple[int, int, Any]] = (),
        endpoint_for: EndpointFor | None = None,
    ) -> None:
        self._reactor = reactor
        self._connect_timeout = connect_timeout
        self._idle_timeout = idle_timeout
        self._limits = limits or ResponseLimits()
        self._body_limits = body_limits or BodyLimits()
        self._parser = ResponseParser(self._limits, TAKE, READ)
        self._socket_options = list(socket_options)
        if buffer_size:
            self._socket_options.insert(0, (socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_size))
        self._endpoint_for = endpoint_for or self._endpoint
        self._contexts = BackendContexts()
        self._complain = Complaints(reactor.seconds)
        self._factory = Factory.forProtocol(self._connection)
        self._factory.noisy = False
        self.pool: Pool[BackendConnection] = Pool(per_backend, total)
        self._sweep: Any = None
        self._closing: dict[BackendConnection, float] = {}  # since when
        self._reaper: Any = None

    # -- getting one ----------------------------------------------------------------------------------------------

    def connect(self, backend: Backend) -> Deferred[BackendConnection]:
        """A new connection; fails with `ConnectFailed`. Cancelling the Deferred gives the attempt up."""
        connecting: Deferred[Any] = maybeDeferred(self._open, backend)
        return connecting.addCallbacks(
            self._connected, self._connect_failed, callbackArgs=(backend,), errbackArgs=(backend,)
        )

    def _open(self, backend: Backend) -> Deferred[Any]:
        return self._endpoint_for(backend).connect(self._factory)

    def _connected(self, connection: BackendConnection, backend: Backend) -> BackendConnection:
        connection.key = backend.key if backend.keepalive is not None else None
        return connection

    def _connection(self) -> BackendConnection:
        return BackendConnection(self, self._parser, self._limits, self._body_limits)

    def _connect_failed(self, failure: Failure, backend: Backend) -> Any:
        if failure.check(CancelledError):
            return failure
        if failure.check(error.ConnectingCancelledError):
            return Failure(CancelledError())  # which the endpoint's own word for it is not
        failed = failure.value
        if not isinstance(failed, ConnectFailed):
            return Failure(ConnectFailed(connect_word(failure)))
        if failed.detail:
            self._complain(_where(backend), failed.detail)
        return failure

    def _endpoint(self, backend: Backend) -> IStreamClientEndpoint:
        timeout = backend.connect_timeout or self._connect_timeout
        plain = self._plain_endpoint(backend, timeout)
        tls = backend.tls
        if tls is None:
            return plain
        creator = self._contexts.peer(tls, backend.host) if isinstance(tls, BackendTLS) else tls
        return TlsEndpoint(self._reactor, plain, creator, timeout, partial(self._complain, _where(backend)))

    def _plain_endpoint(self, backend: Backend, timeout: float) -> IStreamClientEndpoint:
        if backend.path is not None:
            return unix_client(self._reactor, backend.path, timeout)
        if not backend.host.replace(".", "").isdigit():
            # What cannot be a name makes the resolver fail without telling anybody.
            backend.host.encode("idna")
        return tcp_client(self._reactor, backend.host, backend.port, timeout, self._socket_options)

    def reload_tls(self) -> list[str]:
        """Read the files of all `BackendTLS` again, for the connections to come.

        :returns: a line for each that cannot be used now; what was read of it before stays in force.
        """
        return self._contexts.reload()

    # -- giving it back -------------------------------------------------------------------------------------------

    def release(self, connection: BackendConnection, now: float) -> None:
        """The exchange on `connection` is over and went well: pool it, or close it. `now`: the reactor's time."""
        key = connection.key
        if key is None or not connection.rest():
            connection.close()
            return
        surplus = self.pool.put(key, connection, now)
        if surplus is not None:
            surplus.close()
        if self._sweep is None:
            self._sweep = self._reactor.callLater(self._idle_timeout, self._expire)

    def idle_gone(self, connection: BackendConnection) -> None:
        """An idle connection has closed or spoken."""
        self.pool.remove(connection.key, connection)

    def _expire(self) -> None:
        self._sweep = None
        for connection in self.pool.expired(self._reactor.seconds() - self._idle_timeout):
            connection.close()
        if len(self.pool):
            self._sweep = self._reactor.callLater(self._idle_timeout / 4, self._expire)

    def closing(self, connection: BackendConnection) -> None:
        """A connection closes in order: it has `CLOSE_LIMIT` seconds."""
        self._closing[connection] = self._reactor.seconds()
        if self._reaper is None:
            self._reaper = self._reactor.callLater(CLOSE_LIMIT, self._reap)

    def closed(self, connection: BackendConnection) -> None:
        """A connection is gone."""
        if self._closing.pop(connection, None) is not None and not self._closing:
            _cancel(self._reaper)
            self._reaper = None

    def _reap(self) -> None:
        self._reaper = None
        now = self._reactor.seconds()
        for connection, since in list(self._closing.items()):
            if since + CLOSE_LIMIT > now:
                self._reaper = self._reactor.callLater(since + CLOSE_LIMIT - now, self._reap)
                return
            del self._closing[connection]
            connection.cut_off()

    def stop(self) -> None:
        """Close all idle connections, cut off those that are closing, and leave no delayed call."""
        for connection in list(self._closing):
            connection.cut_off()
        for connection in self.pool.expired(float("inf")):
            connection.close()
        _cancel(self._sweep)
        _cancel(self._reaper)
        self._sweep = self._reaper = None


def _cancel(call: Any) -> None:
    if call is not None:
        call.cancel()


def _where(backend: Backend) -> str:
    """A back-end's name in a log line."""
    return ascii(backend.path) if backend.path is not None else f"{ascii(backend.host)[1:-1]}:{backend.port}"
