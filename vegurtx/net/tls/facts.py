"""What a TLS layer knows of its connection: the part of Twisted's transport interface that moves no bytes.

Beside `layer`, which has all that does; the session is asked, or the transport beneath.
"""

from __future__ import annotations

from ssl import SSLObject
from typing import Any

from vegurtx.net.tls.details import TlsDetails


class ConnectionFacts:
    """What was agreed on, addresses, and options of the socket. The attributes are `TlsLayer`'s."""

    __slots__ = ()

    transport: Any
    _session: SSLObject | None

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """See `INegotiated`: what ALPN has settled on."""
        settled = self._session.selected_alpn_protocol() if self._session is not None else None
        return settled.encode("ascii", "replace") if settled else None

    def getHandle(self) -> SSLObject | None:
        """The session; None when the connection is lost."""
        return self._session

    def getPeerCertificate(self) -> Any:
        """The other side's certificate, as ``cryptography`` has it; None where it has shown none."""
        from cryptography.x509 import load_der_x509_certificate

        shown = self._session.getpeercert(binary_form=True) if self._session is not None else None
        return load_der_x509_certificate(shown) if shown else None

    def tls_details(self) -> TlsDetails | None:
        """What was agreed on; None after the end."""
        session = self._session
        if session is None:
            return None
        cipher = session.cipher()
        return TlsDetails(
            session.version(),
            cipher[0] if cipher is not None else None,
            getattr(session, "server_name", None) or session.server_hostname,
            session.selected_alpn_protocol(),
        )

    def getPeer(self) -> Any:
        """The address of the other end."""
        return self.transport.getPeer()

    def getHost(self) -> Any:
        """The address of this end."""
        return self.transport.getHost()

    def getTcpNoDelay(self) -> bool:
        """Whether small segments leave at once."""
        return bool(self.transport.getTcpNoDelay())

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Send small segments at once, or let the kernel collect them."""
        self.transport.setTcpNoDelay(enabled)

    def getTcpKeepAlive(self) -> bool:
        """Whether the kernel probes an idle peer."""
        return bool(self.transport.getTcpKeepAlive())

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Have the kernel probe an idle peer, or not."""
        self.transport.setTcpKeepAlive(enabled)
