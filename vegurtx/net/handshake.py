"""An endpoint over another one: connected when TLS stands, and the other side is who it should be.

The protocol that is connected hears nothing of the handshake. What fails before is a failed connect (rule 22): no
byte of a request has been written. TLS itself is in ``tls``.
"""

from __future__ import annotations

from collections.abc import Callable
from ssl import SSLError
from typing import Any

from OpenSSL.SSL import Error as OpenSSLError
from service_identity import CertificateError, VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.errors import ConnectFailed
from vegurtx.net.backend_tls import Peer
from vegurtx.net.tls.factories import TlsClientFactory
from vegurtx.net.tls.twisted_layer import is_twisted_options, twisted_client_factory
from vegurtx.net.tls.words import in_words


@implementer(IStreamClientEndpoint)
class TlsEndpoint:
    """Connects, and does the TLS handshake. Its Deferred fails with `ConnectFailed` where the handshake does:
    ``tls_unverified``, ``tls_failed`` or ``tls_timeout``, and a detail; else with what `plain` failed with.

    :param reactor: for the time.
    :param plain: where to.
    :param creator: the other side's `Peer`; or anything that Twisted takes for the client side of TLS.
    :param timeout: seconds for all of it, the connect included.
    :param complain: is told, in one line, what the other side says that ends TLS after the handshake (in TLS 1.3 a
        server reads a client's certificate no sooner).
    """

    def __init__(
        self,
        reactor: Any,
        plain: IStreamClientEndpoint,
        creator: Any,
        timeout: float,
        complain: Callable[[str], None],
    ) -> None:
        self.reactor = reactor
        self.plain = plain
        self.creator = creator
        self.timeout = timeout
        self.complain = complain

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """See `IStreamClientEndpoint`; fires with the protocol."""
        return _Handshake(self, protocolFactory).result


class _Handshake:
    """One call of `connect`."""

    __slots__ = ("_endpoint", "_factory", "_gate", "_step", "_timer", "_until", "result")

    def __init__(self, endpoint: TlsEndpoint, factory: Any) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self._gate: _Gate | None = None
        self._timer: Any = None
        self._until = endpoint.reactor.seconds() + endpoint.timeout
        self.result: Deferred[Any] = Deferred(self._cancelled)
        self._step = endpoint.plain.connect(self._layers())
        self._step.addErrback(self._not_connected)

    def _layers(self) -> Any:
        creator, reactor = self._endpoint.creator, self._endpoint.reactor
        if isinstance(creator, Peer):
            return TlsClientFactory(creator.context, creator.name, _Gates(self), reactor)
        if is_twisted_options(creator):
            return twisted_client_factory(creator, _Gates(self), reactor)
        problem = f"{ascii(creator)[:100]} is no BackendTLS, nor TLS options of Twisted's"
        raise ConnectFailed("tls_misconfigured", problem)

    def _not_connected(self, failure: Failure) -> None:
        if not self.result.called:
            self._over()
            self.result.errback(failure)

    def _cancelled(self, result: Deferred[Any]) -> None:
        self._step.cancel()
        self._leave()

    def _leave(self) -> None:
        gate = self._over()
        if gate is not None:
            gate.layer.abortConnection()

    def _over(self) -> _Gate | None:
        """Neither late nor wanted any more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.handshake = None
        return gate

    def begun(self, gate: _Gate) -> None:
        """The socket is connected; the handshake begins."""
        self._gate = gate
        reactor = self._endpoint.reactor
        self._timer = reactor.callLater(max(0.0, self._until - reactor.seconds()), self._late)

    def _late(self) -> None:
        self._timer = None
        self._leave()
        self._refuse("tls_timeout", f"no end of the TLS handshake within {self._endpoint.timeout:g} s")

    def stands(self, layer: Any) -> None:
        """The handshake is done."""
        self._over()
        layer.complain = self._endpoint.complain
        try:
            protocol = self._factory.buildProtocol(layer.getPeer())
            layer.protocol = protocol
            protocol.makeConnection(layer)
        except Exception:
            layer.abortConnection()
            self.result.errback(Failure())
        else:
            self.result.callback(protocol)

    def lost(self, layer: Any, reason: Failure) -> None:
        """The connection has ended before TLS stood."""
        self._over()
        creator = self._endpoint.creator
        doubt = creator.doubt(reason.value, layer.getHandle()) if isinstance(creator, Peer) else None
        text = doubt or _text(reason)
        if doubt or text in _VERDICTS:
            self._refuse("tls_unverified", text)
        else:
            self._refuse("tls_failed", f"no TLS: {text}")

    def _refuse(self, word: str, detail: str) -> None:
        if not self.result.called:
            self.result.errback(Failure(ConnectFailed(word, detail)))


class _Gates(Factory):
    """Makes the one `_Gate` of a handshake."""

    noisy = False

    def __init__(self, handshake: _Handshake) -> None:
        self._handshake: _Handshake | None = handshake

    def buildProtocol(self, addr: Any) -> _Gate:
        """See `Factory`."""
        handshake, self._handshake = (
            self._handshake,
            None,
        )  # the connection, which outlives it, keeps its factory
        return _Gate(handshake)


@implementer(IHandshakeListener)
class _Gate(Protocol):
    """Stands where the protocol will be, as long as the handshake lasts."""

    def __init__(self, handshake: _Handshake | None) -> None:
        self.handshake = handshake

    @property
    def layer(self) -> Any:
        """The layer above which this stands."""
        return self.transport

    def connectionMade(self) -> None:
        """The socket is connected."""
        if self.handshake is not None:
            self.handshake.begun(self)

    def handshakeCompleted(self) -> None:
        """TLS stands."""
        if self.handshake is not None:
            self.handshake.stands(self.layer)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if self.handshake is not None:
            self.handshake.lost(self.layer, reason)


#: what TLS options of Twisted's end a handshake with, when the other side is not who it should be
_VERDICTS = frozenset({"certificate verify failed", "the certificate is for another name"})


def _text(reason: Failure) -> str:
    """Why a handshake failed, in OpenSSL's words or the kernel's."""
    problem = reason.value
    if isinstance(problem, SSLError):
        return in_words(problem)
    if reason.check(OpenSSLError) is not None:
        errors = problem.args[0] if problem is not None and problem.args else ()
        if errors and isinstance(errors, (list, tuple)):
            return str(errors[-1][-1])
    if reason.check(VerificationError, CertificateError) is not None:
        return "the certificate is for another name"
    if reason.check(ConnectionDone) is not None:
        return "the back-end closed the connection during the handshake"
    return "the connection broke during the handshake"
