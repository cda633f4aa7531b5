"""Twisted's own TLS, where somebody brings it: its options for a back-end, or an endpoint that wraps by itself.

The same as `TlsLayer` to those above it, as far as they ask; slower. It is pyOpenSSL, through Twisted's
`TLSMemoryBIOProtocol`.
"""

from __future__ import annotations

import ssl
from typing import Any

from OpenSSL.SSL import RECEIVED_SHUTDOWN, TLS_METHOD, Error
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

from vegurtx.net.tls.chain import show
from vegurtx.net.tls.server_context import server_context
from vegurtx.net.tls.words import in_words


class TwistedLayer(TLSMemoryBIOProtocol):
    """The TLS of one connection to a back-end."""

    #: for a line about alerts; with Twisted's options nobody hears of them
    complain: Any = None

    @property
    def protocol(self) -> Any:
        """The protocol that has the bytes; may be assigned."""
        return self.wrappedProtocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self.wrappedProtocol = protocol

    def abortConnection(self) -> None:
        """End it now; harmless where it has ended."""
        if self.connected:
            super().abortConnection()  # type: ignore[no-untyped-call]


def is_twisted_options(options: Any) -> bool:
    """Whether Twisted takes `options` for the client's side of TLS."""
    return IOpenSSLClientConnectionCreator.providedBy(options) or hasattr(options, "getContext")


def twisted_client_factory(options: Any, wrapped: Any, reactor: Any) -> TLSMemoryBIOFactory:
    """Gives a connection to a back-end its TLS, with Twisted's `options`; `wrapped` makes the protocols."""
    layers = TLSMemoryBIOFactory(options, True, wrapped, reactor)
    layers.protocol = TwistedLayer  # the relay writes whole pieces: no need to gather them for a turn
    return layers


def context_of(options: Any) -> Any:
    """A context of our own, where Twisted's `options` for a listener say no more than which certificate it shows.

    :param options: the `CertificateOptions` that Twisted makes of an endpoint's description (``ssl:…``).
    :returns: an `ssl.SSLContext`; `options` themselves where they say more.
    :raises ValueError: the key is another certificate's, or OpenSSL wants neither.
    """
    if options.dhParameters is not None or options.method != TLS_METHOD:
        return options
    context = server_context()
    certificates = [each.to_cryptography() for each in (options.certificate, *options.extraCertChain)]
    try:
        show(context, certificates, options.privateKey.to_cryptography_key())
    except ssl.SSLError as error:
        raise ValueError(f"its certificate and key cannot be used ({in_words(error)})") from None
    return context


def is_twisted_layer(transport: Any) -> bool:
    """Whether a connection's TLS is Twisted's."""
    return isinstance(transport, TLSMemoryBIOProtocol)


def said_goodbye(transport: Any, reason: Failure) -> bool:
    """Whether the peer had sent a ``close_notify`` through Twisted's TLS, whatever came behind it.

    :param transport: an `ISSLTransport` that is gone; of another kind than Twisted's, it has not.
    :param reason: what it told ``connectionLost``.
    """
    # OpenSSL marks a fatal alert as the end of a direction, too.
    if not is_twisted_layer(transport) or reason.check(Error) is not None:
        return False
    # A peer that closes behind its close_notify answers ours with a reset: that takes nothing back.
    connection: Any = transport.getHandle()
    return connection is not None and bool(connection.get_shutdown() & RECEIVED_SHUTDOWN)
