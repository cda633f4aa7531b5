"""Settings and a router become a Twisted service: the one place that puts the parts together.

Above the proxy's factory and the listeners that feed it; below the command line, which decides what to build.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.listeners import Listener
from vegurtx.net.binding import ANYWHERE as ANYWHERE
from vegurtx.net.binding import address_text as address_text
from vegurtx.net.binding import bound_socket as bound_socket
from vegurtx.net.certificates import Certificates
from vegurtx.net.endpoints import pause_accepting, resume_accepting, tcp_server, tls_server
from vegurtx.net.listening import ListenerFactory
from vegurtx.net.proxied import ProxiedFactory
from vegurtx.proxy.factory import ProxyFactory
from vegurtx.settings import Settings

_log = Logger()


class ProxyService(Service):
    """A proxy's life: listens when it starts, stops listening and ends its connections when it stops.

    :param factory: a `ProxyFactory`, which all listeners share; any other Twisted factory, too.
    :param endpoints: what it listens on: `Listener` objects (see `vegurtx.listeners.bind`), which serve once, or
        anything that provides `IStreamServerEndpoint`.
    """

    name = "vegurtx"

    def __init__(self, factory: Any, endpoints: Sequence[IStreamServerEndpoint | Listener]) -> None:
        self.factory = factory
        self.endpoints = endpoints
        #: the `IListeningPort` of each endpoint, while it runs
        self.ports: list[Any] = []

    @property
    def certificates(self) -> list[Certificates]:
        """Of its HTTPS listeners; each can be read again (``reload``) while it serves."""
        found = [getattr(endpoint, "certificates", None) for endpoint in self.endpoints]
        return [each for each in found if each is not None]

    def startService(self) -> None:
        """Listen, and log ``vegurtx listening on HOST:PORT`` for each port (the real one, where 0 was asked for).

        :raises CannotListenError: an endpoint says so at once, then nothing listens; what fails later is logged.
        """
        super().startService()  # type: ignore[no-untyped-call]
        for endpoint in self.endpoints:
            listening: Any = endpoint.listen(self.factory)
            listening.addCallback(self._listening, getattr(endpoint, "label", "http"))
            if listening.called and isinstance(listening.result, Failure):
                failure = listening.result
                listening.addErrback(lambda _: None)
                self.stopService()
                failure.raiseException()
            listening.addErrback(self._failed)

    def _listening(self, port: Any, label: str) -> Any:
        if not self.running:  # it was stopped while the endpoint took its time
            return port.stopListening()
        self.ports.append(port)
        self.factory.accepts_on(port)
        # The address is in the format, not in a field: the line reads the same in a log of JSON objects.
        text = (
            f"vegurtx listening on {address_text(port.getHost())}{'' if label == 'http' else f' ({label})'}"
        )
        _log.info(text.replace("{", "{{").replace("}", "}}"))
        return None

    def _failed(self, failure: Failure) -> None:
        _log.failure("vegurtx cannot listen: {reason}", failure, reason=failure.value)

    def stopService(self) -> Deferred[Any]:
        """Stop listening, then end what goes on. The Deferred fires when all is done."""
        super().stopService()  # type: ignore[no-untyped-call]
        ports, self.ports = self.ports, []
        stopping = DeferredList([maybeDeferred(port.stopListening) for port in ports])
        return stopping.addCallback(self._stopped)

    def _stopped(self, _: object) -> None:
        for endpoint in self.endpoints:
            if isinstance(endpoint, Listener):
                endpoint.close()
        stop = getattr(self.factory, "stop", None)
        if stop is not None:
            stop()


@implementer(IListeningPort)
class ProxyPort:
    """What `start_http` and its sisters give: a listening port, and the proxy behind it.

    `stopListening` ends the listening alone: connections go on, and so does the pool of connections to back-ends, which
    closes each of them when it has been idle for long enough. `stop` ends all of it.
    """

    def __init__(self, port: Any, proxy: ProxyFactory) -> None:
        self._port = port
        #: shared by all connections: settings, pool, router
        self.proxy = proxy

    @property
    def factory(self) -> Any:
        """The Twisted factory that makes the connections' protocols."""
        return self._port.factory

    def startListening(self) -> None:
        """It listens from the beginning."""

    def stopListening(self) -> Deferred[None]:
        """Take no more clients. Connections that exist go on."""
        stopping: Deferred[None] = maybeDeferred(self._port.stopListening)
        return stopping

    def stop(self) -> Deferred[None]:
        """Take no more clients, end all connections at once, those to back-ends too, and leave no timer."""
        return self.stopListening().addCallback(lambda _: self.proxy.stop())

    def getHost(self) -> IAddress:
        """The address that clients reach; with the real port, where 0 was asked for."""
        address: IAddress = self._port.getHost()
        return address

    def fileno(self) -> int:
        """The socket's descriptor, or -1 when there is none."""
        number: int = self._port.fileno()
        return number

    def pauseProducing(self) -> None:
        """Leave new clients in the backlog."""
        pause_accepting(self._port)

    def resumeProducing(self) -> None:
        """Accept again."""
        resume_accepting(self._port)

    def __repr__(self) -> str:
        return f"<ProxyPort {self._port!r}>"


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
) -> Deferred[ProxyPort]:
    """Start a proxy (vegur's ``start_http``).

    :param port: 0 to 65535; with 0 the kernel chooses.
    :param router: provides `IRouter`.
    :param interface: a numeric address; `ANYWHERE`, or ``"::"`` for IPv6 as well.
    :param middlewares: as for `ProxyFactory`.
    :param reactor: the reactor; without it, the global one.
    :param settings: any setting by its name, as ``idle_timeout=10``.
    :returns: the listening port (`ProxyPort`): its ``stopListening`` ends the listening, connections that exist go on;
        its ``stop`` ends all. Fails with `CannotListenError`.
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
) -> Deferred[ProxyPort]:
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
    return _accepting(endpoint.listen(ListenerFactory(factory, "https")), factory)


def start_proxy(
    port: int,
    router: Any,
    *,
    interface: str = ANYWHERE,
    middlewares: Iterable[Any] | None = None,
    reactor: Any = None,
    **settings: Any,
) -> Deferred[ProxyPort]:
    """Start a proxy behind a load balancer that sends PROXY headers, version 1 or 2 (rule 25).

    A connection without such a header is closed, so that nobody else can claim to be somebody else. All as for
    `start_http`.
    """
    factory = ProxyFactory(router, settings, middlewares, reactor=reactor)
    endpoint = tcp_server(factory.reactor, port, interface, factory.settings.acceptors)
    return _accepting(endpoint.listen(ProxiedFactory(factory)), factory)


def _accepting(listening: Deferred[IListeningPort], factory: ProxyFactory) -> Deferred[ProxyPort]:
    def listens(port: IListeningPort) -> ProxyPort:
        factory.accepts_on(port)
        return ProxyPort(port, factory)

    return listening.addCallback(listens)
