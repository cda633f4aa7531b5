"""What was agreed on in a TLS handshake: what ``request.tls`` is.

Between a connection's transport, whichever kind of TLS it has, and the protocol that asks.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from twisted.internet.interfaces import ISSLTransport


class TlsDetails(NamedTuple):
    """What was agreed on in a TLS handshake; each is None where the peer did not say."""

    protocol: str | None  #: such as ``TLSv1.3``
    cipher: str | None
    server_name: str | None  #: the client's SNI
    application_protocol: str | None  #: ALPN


def tls_details(transport: Any) -> TlsDetails | None:
    """A connection's TLS parameters, known once data has arrived; None on a plain one, or after the end.

    :param transport: a `TlsLayer`, or any other transport, Twisted's TLS included.
    """
    if not ISSLTransport.providedBy(transport):
        return None
    tls: Any = transport
    ours = getattr(tls, "tls_details", None)
    if ours is not None:
        details: TlsDetails | None = ours()
        return details
    connection = tls.getHandle()
    if connection is None:
        return None
    alpn: bytes | None = tls.negotiatedProtocol
    name: bytes | None = connection.get_servername()
    return TlsDetails(
        connection.get_protocol_version_name(),
        connection.get_cipher_name(),
        name.decode("ascii", "backslashreplace") if name else None,
        alpn.decode("ascii", "backslashreplace") if alpn else None,
    )
