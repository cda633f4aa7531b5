"""The proxy's end of a client's connection of which the test says that it speaks TLS.

The bytes stay plain. What is TLS about it is what the proxy can see of a real one: there is no half-close, the peer's
good-bye ends both directions, and it can be asked what was agreed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, ISSLTransport
from zope.interface import implementer

from vegurtx.testing.memory.network import Network
from vegurtx.testing.memory.transport import Handle, MemoryTransport

if TYPE_CHECKING:
    from vegurtx.net.endpoints import TlsDetails
    from vegurtx.testing.memory.connection import MemoryConnection


@implementer(ISSLTransport)
class MemoryTlsTransport(MemoryTransport):
    """The same for a client of which is said that it speaks TLS: no half-close, and `details` to be asked for.

    :param details: a `vegurtx.net.endpoints.TlsDetails`.
    """

    def __init__(
        self, network: Network, other: MemoryConnection, host: IAddress, peer: IAddress, details: TlsDetails
    ) -> None:
        super().__init__(network, other, host, peer)
        self.transport = _Beneath(self, self.handle)
        self._details = details

    def tls_details(self) -> TlsDetails:
        """As `vegurtx.net.tls.layer.TlsLayer` says it."""
        return self._details

    def getPeerCertificate(self) -> None:
        """The client shows none."""

    def peer_ended(self) -> None:
        self.loseConnection()  # as a close_notify is answered

    def _lose(self, error: Exception) -> None:
        if self.received_end and type(error) is ConnectionLost:
            error = ConnectionDone()  # what comes behind a close_notify takes nothing back
        super()._lose(error)


class _Beneath:
    """The plain connection that TLS runs on."""

    def __init__(self, above: MemoryTransport, handle: Handle) -> None:
        self._above = above
        self._handle = handle

    def getHandle(self) -> Handle:
        """The socket."""
        return self._handle

    def loseConnection(self) -> None:
        """Close."""
        self._above.loseConnection()
