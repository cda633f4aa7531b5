"""Endpoints: where `vegurtx.net` gets its listening sockets and its connections to back-ends.

Each function gives one of Twisted's endpoint interfaces. Under the asyncio reactor on a uvloop loop the
transports are uvloop's, under any other reactor Twisted's own; a protocol sees no difference but the speed.
"""

from __future__ import annotations

import os
import socket
import ssl
from functools import partial
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import wrapClientTLS, wrapServerTLS
from twisted.internet.error import ConnectingCancelledError, NoProtocol
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.message import BackendTLS
from vegurtx.net.backend_tls import Peer, make_context
from vegurtx.net.tls.details import TlsDetails as TlsDetails
from vegurtx.net.tls.details import tls_details as tls_details
from vegurtx.net.tls.factories import TlsClientEndpoint, TlsServerEndpoint
from vegurtx.net.tls.server_context import FixedContext
from vegurtx.net.uv.accepting import Port
from vegurtx.net.uv.addresses import address_of, numeric_family, socket_name
from vegurtx.net.uv.connecting import Attempt, BindAddress, SocketOptions
from vegurtx.net.uv.flavour import Flavour, flavour_of, uvloop_of
from vegurtx.net.uv.names import Race

#: seconds that a connect may take where the caller does not say
CONNECT_TIMEOUT = 30.0


def runs_on_uvloop(reactor: object) -> bool:
    """Whether `reactor` is Twisted's asyncio reactor on a uvloop loop."""
    return uvloop_of(reactor) is not None


def tcp_server(
    reactor: Any,
    port: int,
    interface: str = "127.0.0.1",
    backlog: int = 1024,
    *,
    sock: socket.socket | None = None,
    flavour: Flavour | None = None,
) -> IStreamServerEndpoint:
    """Listen for TCP clients. The ports that it makes can `pause_accepting` and `resume_accepting`.

    :param port: port number; 0 has the kernel choose.
    :param interface: a numeric address; ``""`` for all IPv4 addresses, ``"::"`` for all.
    :param backlog: how many clients may wait in the kernel (the setting ``acceptors``).
    :param sock: a bound socket to take over instead of making one; other processes may share it.
    :param flavour: the kind of transport; None for the reactor's fastest.
    """
    return _ServerEndpoint(flavour or flavour_of(reactor), port, interface, backlog, sock)


def tls_server(
    reactor: Any,
    port: int,
    contexts: Any,
    interface: str = "127.0.0.1",
    backlog: int = 1024,
    *,
    sock: socket.socket | None = None,
    flavour: Flavour | None = None,
) -> IStreamServerEndpoint:
    """Listen for TLS clients.

    :param contexts: `vegurtx.net.certificates.Certificates`, or one context for all (see
        `vegurtx.net.tls.server_context.server_context`). A context factory of Twisted's, such as `CertificateOptions`,
        is taken too; TLS is Twisted's own then, and slower. The rest as for `tcp_server`.
    """
    plain = tcp_server(reactor, port, interface, backlog, sock=sock, flavour=flavour)
    if isinstance(contexts, ssl.SSLContext):
        contexts = FixedContext(contexts)
    if isinstance(getattr(contexts, "context", None), ssl.SSLContext):
        return TlsServerEndpoint(plain, contexts, reactor)
    return wrapServerTLS(contexts, plain, reactor)


def tcp_client(
    reactor: Any,
    host: str,
    port: int,
    timeout: float = CONNECT_TIMEOUT,
    socket_options: SocketOptions = (),
    bind_address: BindAddress = None,
    *,
    flavour: Flavour | None = None,
) -> IStreamClientEndpoint:
    """Connect to `host`. Its Deferred fails with Twisted's connect errors, ``osError`` being the kernel's
    number.

    :param host: a numeric address, or a name for the reactor's resolver; then the first address that answers
        is taken.
    :param timeout: seconds for the whole of it.
    :param socket_options: ``(level, name, value)``, set before connecting.
    :param bind_address: the local address: a numeric host, or ``(host, port)``.
    """
    flavour = flavour or flavour_of(reactor)
    family = numeric_family(host)
    if family is None:
        return _NamedEndpoint(reactor, flavour, host, port, timeout, socket_options, bind_address)
    return _NumericEndpoint(flavour, family, host, port, timeout, socket_options, bind_address)


def tls_client(
    reactor: Any,
    host: str,
    port: int,
    timeout: float = CONNECT_TIMEOUT,
    options: Any = None,
    hostname: str | None = None,
    socket_options: SocketOptions = (),
    bind_address: BindAddress = None,
    *,
    flavour: Flavour | None = None,
) -> IStreamClientEndpoint:
    """Connect to `host` and speak TLS; the protocol is connected before the handshake is done.

    :param options: a `BackendTLS`; None or True for one that verifies the certificate against the system's authorities.
        One of Twisted's TLS client options is taken too; TLS is Twisted's own then, and slower.
    :param hostname: the name to verify and to send as SNI; None for what `options` say, or `host`.
    :raises ConnectFailed: ``tls_misconfigured``, for a file that cannot be used.
    """
    plain = tcp_client(reactor, host, port, timeout, socket_options, bind_address, flavour=flavour)
    if options is None or options is True:
        options = BackendTLS()
    if isinstance(options, BackendTLS):
        peer = Peer(make_context(options), hostname or options.server_name or host)
        return TlsClientEndpoint(plain, peer.context, peer.name, reactor)
    return wrapClientTLS(options, plain, reactor)


def unix_client(
    reactor: Any, path: str, timeout: float = CONNECT_TIMEOUT, *, flavour: Flavour | None = None
) -> IStreamClientEndpoint:
    """Connect to the UNIX socket at `path`; `timeout` in seconds."""
    return _UnixEndpoint(flavour or flavour_of(reactor), path, timeout)


def pause_accepting(port: Any) -> None:
    """Leave new clients in the backlog; for our ports and for Twisted's (which may still take a few)."""
    port.pauseProducing()


def resume_accepting(port: Any) -> None:
    """Accept again."""
    port.resumeProducing()


@implementer(IStreamServerEndpoint)
class _ServerEndpoint:
    def __init__(
        self, flavour: Flavour, port: int, interface: str, backlog: int, sock: socket.socket | None
    ) -> None:
        self._make = (port, interface, backlog, sock)
        self._flavour = flavour

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:
        """See `IStreamServerEndpoint`; fails with `CannotListenError`."""
        return execute(self._listen, protocolFactory)

    def _listen(self, factory: Any) -> IListeningPort:
        port = Port(self._flavour, factory, *self._make)
        port.startListening()
        return port


class _ClientEndpoint:
    """Connects a socket, then a protocol to it: one Deferred, which can be cancelled in both steps."""

    def __init__(self, flavour: Flavour) -> None:
        self._flavour = flavour

    def _start(self) -> Deferred[Any]:
        raise NotImplementedError

    def _peer(self, outcome: Any) -> tuple[socket.socket, IAddress]:
        raise NotImplementedError

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """See `IStreamClientEndpoint`."""
        return _Connecting(self, protocolFactory).result


class _Connecting:
    """One call of `connect`."""

    __slots__ = ("_endpoint", "_factory", "_give_up", "_starting", "_step", "result")

    def __init__(self, endpoint: _ClientEndpoint, factory: Any) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self._give_up: Any = None
        self._starting = True
        self.result: Deferred[Any] = Deferred(self._cancelled)
        self._step = endpoint._start()
        self._step.addCallbacks(self._connected, self._failed)
        self._starting = False

    def _connected(self, outcome: Any) -> None:
        sock, peer = self._endpoint._peer(outcome)
        try:
            protocol = self._factory.buildProtocol(peer)
            if protocol is None:
                raise NoProtocol()
            give_up = self._endpoint._flavour.carry(sock, protocol, peer, self.result)
            self._give_up = (give_up, peer)
        except Exception:
            sock.close()
            self._failed(Failure())

    def _failed(self, failure: Failure) -> None:
        if (
            self._starting
        ):  # the caller has not got the Deferred yet; whether he is ready for this, nobody knows
            self._endpoint._flavour.call_later(0, partial(self._failed, failure))
        elif not self.result.called:
            self.result.errback(failure)

    def _cancelled(self, result: Deferred[Any]) -> None:
        if self._give_up is None:
            self._step.cancel()  # fails the step, and that fails the result
        else:
            give_up, peer = self._give_up
            result.errback(Failure(ConnectingCancelledError(peer)))
            give_up()


@implementer(IStreamClientEndpoint)
class _NumericEndpoint(_ClientEndpoint):
    def __init__(
        self,
        flavour: Flavour,
        family: int,
        host: str,
        port: int,
        timeout: float,
        options: SocketOptions,
        bind: BindAddress,
    ) -> None:
        super().__init__(flavour)
        name = socket_name(family, host, port)
        self._address = address_of(family, name)
        self._make = (family, name, self._address, timeout, options, bind)

    def _start(self) -> Deferred[Any]:
        return Attempt(self._flavour, *self._make).start()

    def _peer(self, outcome: Any) -> tuple[socket.socket, IAddress]:
        return outcome, self._address


@implementer(IStreamClientEndpoint)
class _UnixEndpoint(_ClientEndpoint):
    def __init__(self, flavour: Flavour, path: str, timeout: float) -> None:
        super().__init__(flavour)
        self._address = UNIXAddress(os.fsencode(path))
        self._path = path
        self._timeout = timeout

    def _start(self) -> Deferred[Any]:
        return Attempt(self._flavour, socket.AF_UNIX, self._path, self._address, self._timeout).start()

    def _peer(self, outcome: Any) -> tuple[socket.socket, IAddress]:
        return outcome, self._address


@implementer(IStreamClientEndpoint)
class _NamedEndpoint(_ClientEndpoint):
    def __init__(
        self,
        reactor: Any,
        flavour: Flavour,
        host: str,
        port: int,
        timeout: float,
        options: SocketOptions,
        bind: BindAddress,
    ) -> None:
        super().__init__(flavour)
        self._reactor = reactor
        self._host = host
        self._port = port
        self._timeout = timeout
        self._options = options
        self._bind = bind

    def _start(self) -> Deferred[Any]:
        resolver = self._reactor.nameResolver
        return Race(self._flavour, resolver, self._host, self._port, self._timeout, self._attempt).start()

    def _attempt(self, family: int, host: str, port: int, address: IAddress) -> Deferred[socket.socket]:
        name = socket_name(family, host, port)
        return Attempt(self._flavour, family, name, address, self._timeout, self._options, self._bind).start()

    def _peer(self, outcome: Any) -> tuple[socket.socket, IAddress]:
        sock, address = outcome
        return sock, address
