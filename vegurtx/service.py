"""Settings and a router become a Twisted service: the one place that puts the parts together.

Above the proxy's factory and the endpoints that it listens on; below the command line, which decides what to build.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from vegurtx.net.certificates import Certificates
from vegurtx.net.endpoints import tcp_server, tls_server
from vegurtx.net.proxied import ProxiedFactory
from vegurtx.proxy.factory import ProxyFactory
from vegurtx.settings import Settings

#: all IPv4 addresses: what a proxy's user expects
ANYWHERE = "0.0.0.0"

_log = Logger()


class ProxyService(Service):
    """A proxy's life: listens when it starts, stops listening and ends its connections when it stops.

    :param factory: makes the protocols; its ``stop()`` is called at the end, if it has one.
    :param endpoints: provide `IStreamServerEndpoint`; it listens on each of them.
    """

    name = "vegurtx"

    def __init__(self, factory: Any, endpoints: Sequence[IStreamServerEndpoint]) -> None:
        self.factory = factory
        self.endpoints = endpoints
        #: the `IListeningPort` of each endpoint, while it runs
        self.ports: list[Any] = []

    def startService(self) -> None:
        """Listen, and log ``vegurtx listening on HOST:PORT`` for each port (the real one, where 0 was asked for).

        :raises CannotListenError: an endpoint says so at once; what fails later is logged.
        """
        super().startService()  # type: ignore[no-untyped-call]
        for endpoint in self.endpoints:
            listening: Any = endpoint.listen(self.factory).addCallback(self._listening)
            if listening.called and isinstance(listening.result, Failure):
                failure = listening.result
                listening.addErrback(lambda _: None)
                failure.raiseException()
            listening.addErrback(self._failed)

    def _listening(self, port: Any) -> Any:
        if not self.running:  # it was stopped while the endpoint took its time
            return port.stopListening()
        self.ports.append(port)
        self.factory.accepts_on(port)
        # The address is in the format, not in a field: the line reads the same in a log of JSON objects.
        _log.info(f"vegurtx listening on {address_text(port.getHost())}")

        return None

    def _failed(self, failure: Failure) -> None:
        _log.failure("vegurtx cannot listen: {reason}", failure, reason=failure.value)

    def stopService(self) -> Deferred[Any]:
        """Stop listening, then end what goes on. The Deferred fires when all is done."""
        super().stopService()  # type: ignore[no-untyped-call]
        ports, self.ports = self.ports, []
        stopping = DeferredList([maybeDeferred(port.stopListening) for port in ports])
        return stopping.addCallback(self._stop_factory)

    def _stop_factory(self, _: object) -> None:
        stop = getattr(self.factory, "stop", None)
        if stop is not None:
            stop()


def make_service(
    router: Any,
    settings: Settings | Mapping[str, Any] | None = None,
    *,
    port: int,
    interface: str = ANYWHERE,
    middlewares: Iterable[Any] | None = None,
    sock: socket.socket | None = None,
    reactor: Any,
) -> ProxyService:
    """A service that proxies HTTP for `router`.

    :param router: provides `IRouter`.
    :param settings: as for `ProxyFactory`.
    :param port: 0 to 65535; with 0 the kernel chooses.
    :param interface: a numeric address; `ANYWHERE`, or ``"::"`` for IPv6 as well.
    :param middlewares: as for `ProxyFactory`.
    :param sock: a socket that is bound already (see `bound_socket`), in place of `port` and `interface`.
    :param reactor: the reactor to run on.
    :raises zope.interface.Invalid: the router does not provide `IRouter`.
    :raises SettingsError: a setting is unknown or not in its bounds.
    """
    factory = ProxyFactory(router, settings, middlewares, reactor=reactor)
    endpoint = tcp_server(reactor, port, interface, factory.settings.acceptors, sock=sock)
    return ProxyService(factory, [endpoint])


def start_http(
    port: int,
    router: Any,
    *,
    interface: str = ANYWHERE,
    middlewares: Iterable[Any] | None = None,
    reactor: Any = None,
    **settings: Any,
) -> Deferred[IListeningPort]:
    """Start a proxy (vegur's ``start_http``).

    :param port: 0 to 65535; with 0 the kernel chooses.
    :param router: provides `IRouter`.
    :param interface: a numeric address; `ANYWHERE`, or ``"::"`` for IPv6 as well.
    :param middlewares: as for `ProxyFactory`.
    :param reactor: the reactor; without it, the global one.
    :param settings: any setting by its name, as ``idle_timeout=10``.
    :returns: the listening port; its ``stopListening`` ends the listening, connections that exist go on. Fails with
        `CannotListenError`.
    :raises zope.interface.Invalid: the router does not provide `IRouter`.
    :raises SettingsError: a setting is unknown or not in its bounds.
    """
    factory = ProxyFactory(router, settings, middlewares, reactor=reactor)
    endpoint = tcp_server(factory.reactor, port, interface, factory.settings.acceptors)
    return _accepting(endpoint.listen(factory), factory)


def start_https(
    port: int,
    router: Any,
    *,
    certificate: str,
    private_key: str | None = None,
    interface: str = ANYWHERE,
    middlewares: Iterable[Any] | None = None,
    reactor: Any = None,
    **settings: Any,
) -> Deferred[IListeningPort]:
    """Start a proxy that speaks TLS with its clients (TLS 1.2 and newer, ALPN ``http/1.1``; rule 26).

    :param certificate: a PEM file with the certificate and its chain, or a folder of ``NAME.crt`` and ``NAME.key``
        pairs, of which the one is sent whose names the client asks for.
    :param private_key: the PEM file with the key, unless it is in the certificate's file.

    The rest as for `start_http`.

    :raises CertificateError: a certificate or a key cannot be used.
    """
    factory = ProxyFactory(router, settings, middlewares, reactor=reactor)
    certificates = Certificates(certificate, private_key)
    endpoint = tls_server(factory.reactor, port, certificates, interface, factory.settings.acceptors)
    return _accepting(endpoint.listen(factory), factory)


def start_proxy(
    port: int,
    router: Any,
    *,
    interface: str = ANYWHERE,
    middlewares: Iterable[Any] | None = None,
    reactor: Any = None,
    **settings: Any,
) -> Deferred[IListeningPort]:
    """Start a proxy behind a load balancer that sends PROXY headers, version 1 or 2 (rule 25).

    A connection without such a header is closed, so that nobody else can claim to be somebody else. All as for
    `start_http`.
    """
    factory = ProxyFactory(router, settings, middlewares, reactor=reactor)
    endpoint = tcp_server(factory.reactor, port, interface, factory.settings.acceptors)
    return _accepting(endpoint.listen(ProxiedFactory(factory)), factory)


def _accepting(listening: Deferred[IListeningPort], factory: ProxyFactory) -> Deferred[IListeningPort]:
    def listens(port: IListeningPort) -> IListeningPort:
        factory.accepts_on(port)
        return port

    return listening.addCallback(listens)


def bound_socket(interface: str, port: int, backlog: int) -> socket.socket:
    """A non-blocking TCP socket that listens already.

    It needs neither reactor nor daemon: what is wrong shows before there are any.

    :param interface: a numeric address; ``""`` for all IPv4 addresses, ``"::"`` for all.
    :param port: 0 to 65535; with 0 the kernel chooses.
    :param backlog: how many clients may wait in the kernel.
    :raises CannotListenError: the address is in use, not ours, or not an address.
    """
    try:
        found = socket.getaddrinfo(
            interface or ANYWHERE, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except (socket.gaierror, UnicodeError, ValueError) as problem:
        raise CannotListenError(interface, port, OSError("not an IP address")) from problem
    family, kind, _, _, name = found[0]
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(name)
        sock.listen(backlog)
    except OSError as problem:
        sock.close()
        raise CannotListenError(interface, port, problem) from problem
    return sock


def address_text(address: Any) -> str:
    """``HOST:PORT`` of one of Twisted's addresses, an IPv6 host in brackets; else what it says of itself."""
    host = getattr(address, "host", None)
    if host is None:
        return str(address)
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
