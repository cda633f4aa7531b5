"""What a TLS layer knows of the socket: the part of Twisted's transport interface that moves no bytes.

Beside `layer`, which has all that does; the transport beneath is asked.
"""

from __future__ import annotations

from typing import Any


class SocketFacts:
    """Addresses and options of the connection beneath; the attribute is `TlsLayer`'s."""

    __slots__ = ()

    transport: Any

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
