"""Twisted's endpoint descriptions (``tcp:8080``, ``unix:/run/proxy.sock``, …) as sockets that are bound at once.

Twisted parses the description; what its endpoint then asks of a reactor is done here, without one. So a port in use
is told before a daemon is one, the socket can be handed to another process, and its clients get the fastest transports.
Other kinds of endpoints, as plugins bring them, are left to Twisted: they listen when the proxy starts.
"""

from __future__ import annotations

import os
import socket
from typing import Any, NamedTuple

from OpenSSL import SSL, crypto
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.python.failure import Failure

from vegurtx.net.binding import bound_socket, bound_unix_socket
from vegurtx.net.tls.twisted_layer import context_of

#: in front of any other description: clients send a PROXY header
PROXIED = "haproxy:"
#: what Twisted makes of these with `listenTCP`, `listenSSL`, `listenUNIX` and `adoptStreamPort` alone
_BINDABLE = frozenset({"ssl", "systemd", "tcp", "tcp6", "unix"})


class EndpointError(ValueError):
    """A description of which no endpoint can be made; the message is one line that names it."""


class Opened(NamedTuple):
    """What an endpoint is ready with."""

    sock: socket.socket | None
    """A bound socket, or `endpoint` says what listens."""
    endpoint: IStreamServerEndpoint | None
    tls: Any
    """What `vegurtx.net.endpoints.tls_server` takes; None: plain TCP, or the endpoint's own business."""
    backlog: int
    path: str | None
    """The file of a UNIX socket that was made here."""


def is_proxied(description: str) -> bool:
    """Whether a description asks for PROXY headers."""
    return description.startswith(PROXIED)


def open_endpoint(description: str, reactor: Any, backlog: int, sock: socket.socket | None = None) -> Opened:
    """Parse `description`, and bind its socket where that can be done by now.

    :param description: as for Twisted's ``serverFromString``. A leading ``haproxy:`` counts for nothing here.
    :param reactor: for endpoints that are left to Twisted.
    :param backlog: how many clients may wait in the kernel, where the description does not say.
    :param sock: a socket that is bound already (by another process), to be taken instead.
    :raises EndpointError: there is no such endpoint.
    :raises CannotListenError: the address is in use, not ours, or not an address.
    """
    inner = description.removeprefix(PROXIED)
    kind = inner.partition(":")[0]
    if kind not in _BINDABLE:
        return Opened(None, _parsed(description, inner, reactor), None, backlog, None)
    binder = _Binder(None if "backlog=" in inner else backlog, sock)
    endpoint = _parsed(description, inner, binder)
    failures: list[Failure] = []
    endpoint.listen(None).addErrback(failures.append)  # type: ignore[arg-type]
    if failures:
        if failures[0].check(CannotListenError):
            failures[0].raiseException()
        raise EndpointError(f"{description!r}: {_said(failures[0].value)}")
    assert binder.opened is not None
    return binder.opened


def _parsed(description: str, inner: str, reactor: Any) -> IStreamServerEndpoint:
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, inner)
    except Exception as problem:  # each kind has its own; a plugin may raise anything
        raise EndpointError(f"{description!r} is not an endpoint: {_said(problem)}") from None
    return endpoint


def _said(problem: BaseException | None) -> str:
    if isinstance(problem, OSError) and problem.filename is not None:
        return f"{os.fsdecode(problem.filename)}: {problem.strerror}"
    if isinstance(problem, SSL.Error | crypto.Error):
        return "no PEM certificate with its private key can be had from what it names"
    if isinstance(problem, TypeError):  # of a parser that was called with what the description says
        return f"too few or too many arguments ({' '.join(str(problem).split())})"
    if isinstance(problem, KeyError | IndexError):  # of the descriptors that systemd has passed on
        return "no such socket was passed to this process"
    return " ".join(str(problem).split()) or type(problem).__name__


class _Binder:
    """Stands in for the reactor of an endpoint: binds what it is to listen on, and keeps the socket."""

    def __init__(self, backlog: int | None, sock: socket.socket | None) -> None:
        self._backlog = backlog
        self._sock = sock
        self.opened: Opened | None = None

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> None:
        """See `IReactorTCP`."""
        self._tcp(port, interface, backlog, None)

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> None:
        """See `IReactorSSL`."""
        self._tcp(port, interface, backlog, context_of(contextFactory))

    def listenUNIX(
        self, address: str, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: bool = False
    ) -> None:
        """See `IReactorUNIX`. A lock file is not needed: see `bound_unix_socket`."""
        path = os.path.abspath(os.fsdecode(address))
        backlog = self._backlog or backlog
        mine = self._sock is None
        sock = self._sock or bound_unix_socket(path, backlog, mode)
        self.opened = Opened(sock, None, None, backlog, path if mine else None)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> None:
        """See `IReactorSocket`; the endpoint closes its own descriptor."""
        sock = self._sock or socket.socket(addressFamily, socket.SOCK_STREAM, fileno=os.dup(fileDescriptor))
        self.opened = Opened(sock, None, None, self._backlog or 50, None)

    def _tcp(self, port: int, interface: str, backlog: int, tls: Any) -> None:
        backlog = self._backlog or backlog
        sock = self._sock or bound_socket(interface, port, backlog)
        self.opened = Opened(sock, None, tls, backlog, None)
