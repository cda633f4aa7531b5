"""How a connection ends: in order, or broken (rules 9, 16, 21).

Asked by both sides' connections when their transport is gone, since only a peer that had said all makes a good end
of a pipe, or of a body that ends by closing; and used where a client must not take our own end for a good one.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure

from vegurtx.net.tls.twisted_layer import is_twisted_layer, said_goodbye

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
#: the state of a connection that a reset has ended, the first byte of the kernel's ``struct tcp_info``
_TCP_CLOSE = 7


def ended_in_order(transport: Any, reason: Failure) -> bool:
    """Whether the peer had ended its direction in order: with a FIN, on TLS with a ``close_notify``.

    :param transport: the transport that is gone.
    :param reason: what it told ``connectionLost``; a `TlsLayer` says there all that it knows.
    """
    if reason.check(ConnectionDone) is not None:
        return True
    return ISSLTransport.providedBy(transport) and said_goodbye(transport, reason)


def is_reset(transport: Any) -> bool:
    """Whether the peer has reset the connection, asked of the kernel: for one that is not read at present.

    `False` where nobody can tell: UNIX sockets, systems without ``TCP_INFO``, Twisted's own TLS.
    """
    getsockopt = getattr(transport.getHandle(), "getsockopt", None)
    if getsockopt is None or _TCP_INFO is None or is_twisted_layer(transport):
        return False
    try:
        state: int = getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0]
    except OSError:
        return False
    return state == _TCP_CLOSE


def end_broken(transport: Any, reactor: Any) -> None:
    """End a connection in a way that nobody takes for an end in order: what was written goes out, then a reset.

    :param transport: the connection's; one of TLS could itself only end with a ``close_notify``, which is an end in
        order: so it ends beneath that.
    :param reactor: for Twisted's TLS, which gathers small writes for a turn.
    """
    tls: bool = ISSLTransport.providedBy(transport)
    if not tls:
        _reset_behind(transport)
    elif is_twisted_layer(transport):
        reactor.callLater(0, _reset_behind, transport.transport)
    else:
        _reset_behind(transport.transport)


def _reset_behind(transport: Any) -> None:
    """Reset a connection behind everything that was written to it."""
    handle = transport.getHandle()
    if handle is not None and hasattr(handle, "setsockopt"):
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if hasattr(transport, "_shouldShutdown"):
        transport._shouldShutdown = False  # Twisted's shutdown before its close would make a clean end of it
    transport.loseConnection()
