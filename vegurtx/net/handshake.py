"""An endpoint over another one: connected when TLS stands, and the other side is who it should be.

The protocol that is connected hears nothing of the handshake. What fails before is a failed connect (rule 22): no
byte of a request has been written. TLS itself is Twisted's `TLSMemoryBIOProtocol`, over either reactor's transports.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL
from service_identity import CertificateError, VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.errors import ConnectFailed
from vegurtx.net.backend_tls import Untrusted

#: what a side says that ends TLS (RFC 8446, section 6.2); others go by their number
_ALERTS = {
    40: "handshake failure",
    42: "bad certificate",
    43: "unsupported certificate",
    44: "certificate revoked",
    45: "certificate expired",
    46: "certificate unknown",
    48: "unknown authority",
    49: "access denied",
    70: "protocol version",
    71: "insufficient security",
    80: "internal error",
    112: "unrecognized name",
    116: "certificate required",
    120: "no application protocol",
}
#: alerts that end nothing before its time
_ORDERLY = frozenset({0, 90})  # close_notify, user_canceled


class TlsLayer(TLSMemoryBIOProtocol):
    """The TLS of one connection, between its transport and its protocol."""

    #: what is wrong with the other side's certificate, if anything is
    doubt = ""
    #: whom to tell what the other side complains of once TLS stands
    complain: Callable[[str], None] | None = None

    def abortConnection(self) -> None:
        """End it now; harmless where it has ended."""
        if self.connected:
            super().abortConnection()  # type: ignore[no-untyped-call]

    def alerted(self, code: int) -> None:
        """The other side has sent an alert."""
        if code not in _ORDERLY and self.complain is not None:
            self.complain(f"has ended TLS with the alert {_ALERTS.get(code, str(code))!r}")


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
        creator = endpoint.creator
        if not (IOpenSSLClientConnectionCreator.providedBy(creator) or hasattr(creator, "getContext")):
            problem = f"{ascii(creator)[:100]} is no BackendTLS, nor TLS options of Twisted's"
            raise ConnectFailed("tls_misconfigured", problem)
        layers = TLSMemoryBIOFactory(creator, True, _Gates(self), endpoint.reactor)
        layers.protocol = TlsLayer  # the relay writes whole pieces: no need to gather them for a turn
        self._step = endpoint.plain.connect(layers)
        self._step.addErrback(self._not_connected)

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
        check = getattr(self._endpoint.creator, "check", None)
        if check is not None:
            try:
                check(layer.getHandle())
            except Untrusted as problem:
                self._leave()
                self._refuse("tls_unverified", str(problem))
                return
        self._over()
        layer.complain = self._endpoint.complain
        try:
            protocol = self._factory.buildProtocol(layer.getPeer())
            layer.wrappedProtocol = protocol
            protocol.makeConnection(layer)
        except Exception:
            layer.abortConnection()
            self.result.errback(Failure())
        else:
            self.result.callback(protocol)

    def lost(self, layer: Any, reason: Failure) -> None:
        """The connection has ended before TLS stood."""
        self._over()
        text = _text(reason)
        if layer.doubt:
            self._refuse("tls_unverified", layer.doubt)
        elif text in _VERDICTS:
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
        """The `TlsLayer` above which this stands."""
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
    if isinstance(reason.value, SSL.Error):
        errors = reason.value.args[0] if reason.value.args else ()
        if errors and isinstance(errors, (list, tuple)):
            return str(errors[-1][-1])
    if reason.check(VerificationError, CertificateError) is not None:
        return "the certificate is for another name"
    if reason.check(ConnectionDone) is not None:
        return "the back-end closed the connection during the handshake"
    return "the connection broke during the handshake"
