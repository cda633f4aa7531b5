"""How a connection ended: in order, or broken (rules 9, 16, 21).

Asked by both sides' connections when their transport is gone, since only a peer that had said all makes a good end
of a pipe, or of a body that ends by closing.
"""

from __future__ import annotations

from typing import Any

from OpenSSL.SSL import RECEIVED_SHUTDOWN, Error
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure


def ended_in_order(transport: Any, reason: Failure) -> bool:
    """Whether the peer had ended its direction in order: with a FIN, on TLS with a ``close_notify``.

    :param transport: the transport that is gone.
    :param reason: what it told ``connectionLost``.
    """
    if reason.check(ConnectionDone) is not None:
        return True
    # OpenSSL marks a fatal alert as the end of a direction, too.
    if not ISSLTransport.providedBy(transport) or reason.check(Error) is not None:
        return False
    # A peer that closes behind its close_notify answers ours with a reset: that takes nothing back.
    connection = transport.getHandle()  # type: ignore[attr-defined]
    return connection is not None and bool(connection.get_shutdown() & RECEIVED_SHUTDOWN)
