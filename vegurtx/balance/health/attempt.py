"""One probe on its way: a connection of its own, what came of it, and that it is gone.

Both kinds of probe run an `Attempt`. It is over only when its connection is closed, so whoever counts attempts counts
sockets, and whoever has waited for all of them leaves nothing behind. It sets no timer: the checker has one for the
whole probe, and cuts it off then.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.balance.health.reasons import reason_of
from vegurtx.balance.health.state import Outcome
from vegurtx.balance.health.tls import creator_for
from vegurtx.balance.names import is_numeric
from vegurtx.message import Backend

#: seconds, where an endpoint cannot do without a limit of its own; the checker's comes first
_LONG = 86_400.0


def tls_endpoint(reactor: Any, backend: Backend, port: int | None = None) -> IStreamClientEndpoint:
    """The endpoint that leads where the proxy's own connections to `backend` do, with TLS if they have it.

    :param port: another port than the back-end's; a UNIX socket has none.
    :raises TlsFilesError: a file of the back-end's TLS options cannot be used.
    """
    plain = plain_endpoint(reactor, backend, port)
    if backend.tls is None:
        return plain
    return wrapClientTLS(creator_for(backend.tls, backend.host), plain, reactor)


def plain_endpoint(reactor: Any, backend: Backend, port: int | None = None) -> IStreamClientEndpoint:
    """The same without TLS, whatever the back-end speaks."""
    if backend.path is not None:
        return UNIXClientEndpoint(reactor, backend.path, timeout=None)
    host, number = backend.host, port or backend.port
    endpoint: Any
    tcp4: Any = TCP4ClientEndpoint  # its annotation does not know that no limit is allowed
    if not is_numeric(host):
        endpoint = HostnameEndpoint(reactor, host, number, timeout=_LONG)
    elif ":" in host:
        endpoint = TCP6ClientEndpoint(reactor, host, number, timeout=None)
    else:
        endpoint = tcp4(reactor, host, number, timeout=None)
    return endpoint  # type: ignore[no-any-return]


@implementer(IStreamClientEndpoint)
class Attempt:
    """A probe from the connect to the close.

    What is found first is the outcome (`judge`); then the connection is closed in order, and when it is gone `over`
    fires. It never fails. An attempt is the endpoint of the protocol that does the asking, and connects once.

    :param endpoint: where to connect.
    :param most: bytes that may come; one more is a failure.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, most: int) -> None:
        self._endpoint = endpoint
        self._left = most
        self._most = most
        self._connecting: Deferred[Any] | None = None
        self._line: Any = None
        self._outcome: Outcome | None = None
        #: fires with the `Outcome`, after the connection is closed
        self.over: Deferred[Outcome] = Deferred()

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """See `IStreamClientEndpoint`; a failure is judged here, too."""
        connecting: Deferred[Any] = self._endpoint.connect(_LineFactory(self, protocolFactory))
        self._connecting = connecting
        return connecting.addCallbacks(_asking, self._refused)

    def judge(self, outcome: Outcome) -> None:
        """This is what the probe has found; what was found first counts."""
        if self._outcome is not None:
            return
        self._outcome = outcome
        if self._line is not None:
            self._line.hang_up()
        elif self._connecting is None:
            self.over.callback(outcome)

    def cut_off(self, outcome: Outcome) -> None:
        """Break it off, now; `outcome` is what it was unless something else has been found before."""
        if self._outcome is None:
            self._outcome = outcome
        if self._line is not None:
            self._line.abortConnection()
        elif self._connecting is not None:
            self._connecting.cancel()
        elif not self.over.called:
            self.over.callback(self._outcome)

    def opened(self, line: _Line) -> None:
        """There is a connection."""
        self._connecting = None
        self._line = line

    def received(self, data: bytes) -> bool:
        """Bytes have come; whether the protocol shall see them."""
        self._left -= len(data)
        if self._left < 0:
            self.cut_off(Outcome(False, f"the response is longer than {self._most} bytes"))
        return self._left >= 0

    def closed(self, reason: Failure) -> None:
        """The connection is gone, and the protocol knows."""
        self._line = None
        self._end(reason)

    def _refused(self, reason: Failure) -> Failure:
        if (
            self._connecting is not None
        ):  # else there was a connection, and `closed` has been or will be called
            self._connecting = None
            self._end(reason, connected=False)
        return reason

    def _end(self, reason: Failure, connected: bool = True) -> None:
        if self._outcome is None:
            self._outcome = Outcome(False, reason_of(reason, connected))
        if not self.over.called:
            self.over.callback(self._outcome)


def _asking(line: _Line) -> Any:
    """The protocol that does the asking, to whoever wanted it connected."""
    return line.wrappedProtocol


class _Line(ProtocolWrapper):
    """Stands between the transport (with its TLS) and the protocol that does the asking, and tells the attempt."""

    factory: _LineFactory

    def makeConnection(self, transport: Any) -> None:
        self.factory.attempt.opened(self)
        ProtocolWrapper.makeConnection(self, transport)

    def hang_up(self) -> None:
        """Close in order: what was written goes out, with TLS's own good-bye; the other side's is not waited for."""
        transport = self.transport
        ProtocolWrapper.loseConnection(self)
        if isinstance(transport, TLSMemoryBIOProtocol) and transport.transport is not None:
            transport.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        if self.factory.attempt.received(data):
            ProtocolWrapper.dataReceived(self, data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        ProtocolWrapper.connectionLost(self, reason)
        self.factory.attempt.closed(reason)


class _LineFactory(WrappingFactory[_Line]):
    protocol = _Line
    noisy = False

    def __init__(self, attempt: Attempt, factory: Any) -> None:
        super().__init__(factory)  # type: ignore[no-untyped-call]
        factory.noisy = False  # or each probe is two lines of the log
        self.attempt = attempt
