"""Where connections get their TLS: between an endpoint, and the factory of the protocols that it serves."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort, IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer

from vegurtx.net.tls.layer import TlsLayer
from vegurtx.net.tls.refusals import Refusals
from vegurtx.net.tls.server_context import ServerContexts


class _Around(Factory):
    """Starts and stops with the factory of the protocols.

    :param wrapped: makes the protocols.
    """

    noisy = False

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def doStart(self) -> None:
        """See `Factory`."""
        self.wrapped.doStart()

    def doStop(self) -> None:
        """See `Factory`."""
        self.wrapped.doStop()

    def logPrefix(self) -> str:
        """The wrapped factory's name, for log lines."""
        return type(self.wrapped).__name__


class TlsServerFactory(_Around):
    """Gives each client of a listener its TLS.

    :param contexts: asked for each client.
    :param wrapped: makes the protocols.
    :param reactor: for time.
    """

    def __init__(self, contexts: ServerContexts, wrapped: Any, reactor: Any) -> None:
        super().__init__(wrapped)
        self._contexts = contexts
        self._later = reactor.callLater
        self._refusals = Refusals(reactor.seconds)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A client has connected."""
        protocol = self.wrapped.buildProtocol(addr)
        if protocol is None:
            return None
        layer = TlsLayer(self._contexts.context, protocol, self._later, server=True)
        layer.refused = self._refusals
        return layer


class TlsClientFactory(_Around):
    """Gives a connection to a server its TLS.

    :param context: the client's.
    :param name: the name or address that is asked for and checked; None for none.
    :param wrapped: makes the protocols.
    :param reactor: for time.
    """

    def __init__(self, context: Any, name: str | None, wrapped: Any, reactor: Any) -> None:
        super().__init__(wrapped)
        self._context = context
        self._name = name
        self._later = reactor.callLater

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The connection stands."""
        protocol = self.wrapped.buildProtocol(addr)
        return None if protocol is None else TlsLayer(self._context, protocol, self._later, name=self._name)


@implementer(IStreamServerEndpoint)
class TlsServerEndpoint:
    """Listens where `plain` does, for clients that speak TLS; arguments as for `TlsServerFactory`."""

    def __init__(self, plain: IStreamServerEndpoint, contexts: ServerContexts, reactor: Any) -> None:
        self._plain = plain
        self._contexts = contexts
        self._reactor = reactor

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:
        """See `IStreamServerEndpoint`; fails as `plain` does."""
        listening: Deferred[IListeningPort] = self._plain.listen(
            TlsServerFactory(self._contexts, protocolFactory, self._reactor)
        )
        return listening


@implementer(IStreamClientEndpoint)
class TlsClientEndpoint:
    """Connects where `plain` does, and speaks TLS there; arguments as for `TlsClientFactory`.

    The protocol is connected before the handshake is done, and what it writes waits for that.
    """

    def __init__(self, plain: IStreamClientEndpoint, context: Any, name: str | None, reactor: Any) -> None:
        self._plain = plain
        self._context = context
        self._name = name
        self._reactor = reactor

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """See `IStreamClientEndpoint`; fires with the protocol, fails as `plain` does."""
        factory = TlsClientFactory(self._context, self._name, protocolFactory, self._reactor)
        connecting: Deferred[Any] = self._plain.connect(factory)
        return connecting.addCallback(_protocol_of)


def _protocol_of(layer: TlsLayer) -> Any:
    return layer.protocol
