"""The proxy's end of a client's connection of which the test says that it speaks TLS.

The bytes stay plain. What is TLS about it is what the proxy can see of a real one: there is no half-close, the peer's
good-bye ends both directions, and the session can be asked for protocol, cipher and name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from OpenSSL.SSL import RECEIVED_SHUTDOWN
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
        protocol = details.application_protocol
        self.negotiatedProtocol: bytes | None = None if protocol is None else protocol.encode("ascii")
        self._session = _Session(self, details)

    def getHandle(self) -> Any:
        """What pyOpenSSL's ``Connection`` is to a real one."""
        return self._session

    def getPeerCertificate(self) -> None:
        """The client shows none."""

    def peer_ended(self) -> None:
        self.loseConnection()  # as Twisted answers a close_notify


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


class _Session:
    """A TLS session that was agreed on by nobody."""

    def __init__(self, transport: MemoryTransport, details: TlsDetails) -> None:
        self._transport = transport
        self._details = details

    def get_protocol_version_name(self) -> str | None:
        """Such as ``TLSv1.3``."""
        return self._details.protocol

    def get_cipher_name(self) -> str | None:
        """The cipher."""
        return self._details.cipher

    def get_servername(self) -> bytes | None:
        """The client's SNI."""
        name = self._details.server_name
        return None if name is None else name.encode("ascii")

    def get_shutdown(self) -> int:
        """Whether the client has said good-bye."""
        return RECEIVED_SHUTDOWN if self._transport.received_end else 0
