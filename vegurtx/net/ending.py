"""How a connection ended: in order, or broken (rules 9, 16, 21).

Asked by both sides' connections when their transport is gone, since only a peer that had said all makes a good end
of a pipe, or of a body that ends by closing.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure

from vegurtx.net.tls.twisted_layer import said_goodbye


def ended_in_order(transport: Any, reason: Failure) -> bool:
    """Whether the peer had ended its direction in order: with a FIN, on TLS with a ``close_notify``.

    :param transport: the transport that is gone.
    :param reason: what it told ``connectionLost``; a `TlsLayer` says there all that it knows.
    """
    if reason.check(ConnectionDone) is not None:
        return True
    return ISSLTransport.providedBy(transport) and said_goodbye(transport, reason)
