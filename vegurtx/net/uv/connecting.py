"""One attempt to connect a socket: between an endpoint and the kernel.

It ends in exactly one of: a connected socket, an error of Twisted's with the kernel's number in ``osError``,
a time-out, or a cancellation. A connection on the same machine is there as soon as it is asked for, and is
then taken without a timer and without waiting for the poll.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectBindError, ConnectingCancelledError, TimeoutError, getConnectError
from twisted.internet.interfaces import IAddress, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.net.uv.addresses import numeric_family, socket_name
from vegurtx.net.uv.flavour import Flavour, Timer

SocketOptions = Sequence[tuple[int, int, Any]]
BindAddress = str | tuple[str, int] | None

_PENDING = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR})
#: seconds before the next try where a UNIX socket's backlog is full: the kernel does not tell when it no
#: longer is
_FULL_BACKLOG = 0.01


@implementer(IWriteDescriptor)
class Attempt:
    """Connects one socket to one address.

    :param flavour: watches the socket.
    :param family: ``socket.AF_INET``, ``AF_INET6`` or ``AF_UNIX``.
    :param name: the socket name to connect to.
    :param peer: the same as an address object, for errors.
    :param timeout: seconds.
    :param options: ``(level, name, value)`` for ``setsockopt``, set before connecting.
    :param bind: the local address: a numeric host, or ``(host, port)``.
    """

    __slots__ = (
        "_bind", "_family", "_flavour", "_name", "_options", "_peer", "_result", "_retry", "_socket",
        "_timeout", "_timer"
    )  # fmt: skip

    def __init__(
        self,
        flavour: Flavour,
        family: int,
        name: Any,
        peer: IAddress,
        timeout: float,
        options: SocketOptions = (),
        bind: BindAddress = None,
    ) -> None:
        self._flavour = flavour
        self._family = family
        self._name = name
        self._peer = peer
        self._timeout = timeout
        self._options = options
        self._bind = bind
        self._socket: socket.socket | None = None
        self._timer: Timer | None = None
        self._retry: Timer | None = None
        self._result: Deferred[socket.socket] | None = None

    def start(self) -> Deferred[socket.socket]:
        """Try.

        :returns: fires with the connected, non-blocking socket. It fails with a `ConnectError` whose
            ``osError`` is the kernel's number, `ConnectBindError`, `TimeoutError`, or
            `ConnectingCancelledError`.
        """
        result: Deferred[socket.socket] = Deferred(self._cancelled)
        self._result = result
        try:
            self._socket = self._prepared_socket()
        except OSError as problem:
            self._fail(ConnectBindError(problem.errno, problem.strerror or str(problem)))
            return result
        self._connect()
        if self._result is not None:
            self._timer = self._flavour.call_later(self._timeout, self._timed_out)
        return result

    def _prepared_socket(self) -> socket.socket:
        sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            for level, name, value in self._options:
                sock.setsockopt(level, name, value)
            if self._bind is not None:
                host, port = (self._bind, 0) if isinstance(self._bind, str) else self._bind
                family = numeric_family(host) if host else self._family
                if family is None:
                    raise OSError(errno.EADDRNOTAVAIL, f"{host!r} is not a numeric address")
                sock.bind(socket_name(family, host, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def _connect(self) -> None:
        self._retry = None
        sock = self._socket
        if sock is None:
            return
        try:
            number = sock.connect_ex(self._name)
            if number in _PENDING:
                number = sock.connect_ex(
                    self._name
                )  # asks how it stands: on this machine it has been decided by now
        except OSError as problem:  # a name that the kernel was not asked about, such as a path too long
            self._fail(getConnectError((problem.errno or errno.EINVAL, str(problem))))
            return
        if number in (0, errno.EISCONN):
            self._succeed()
        elif number in _PENDING:
            self._flavour.watch_writes(self)
        elif number == errno.EAGAIN and self._family == socket.AF_UNIX:
            self._retry = self._flavour.call_later(_FULL_BACKLOG, self._connect)
        else:
            self._fail(getConnectError((number, os.strerror(number))))

    def doWrite(self) -> None:
        """The kernel has decided."""
        sock = self._socket
        if sock is None:
            return
        self._flavour.unwatch_writes(self)
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._fail(getConnectError((number, os.strerror(number))))
        else:
            self._succeed()

    def connectionLost(self, reason: Failure) -> None:
        """How an epoll reactor says that the kernel has decided, and against us."""
        self.doWrite()

    def _succeed(self) -> None:
        sock, self._socket = self._socket, None
        result = self._settle()
        if result is not None:
            result.callback(sock)  # type: ignore[arg-type]

    def _fail(self, problem: Exception) -> None:
        result = self._settle()
        if result is not None:
            result.errback(Failure(problem))

    def _settle(self) -> Deferred[socket.socket] | None:
        for timer in (self._timer, self._retry):
            if timer is not None:
                timer.cancel()
        self._timer = self._retry = None
        sock = self._socket
        if sock is not None:
            self._flavour.unwatch_writes(self)
            self._socket = None
            sock.close()
        result, self._result = self._result, None
        return result

    def _timed_out(self) -> None:
        self._timer = None
        self._fail(TimeoutError())

    def _cancelled(self, result: Deferred[socket.socket]) -> None:
        self._fail(ConnectingCancelledError(self._peer))

    def fileno(self) -> int:
        """The socket's descriptor, or -1 when there is none."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """For log lines."""
        return "connect"
