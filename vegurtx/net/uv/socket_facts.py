"""What a uvloop transport knows of its socket: the part of Twisted's transport interface that moves no bytes.

Beside `adapter`, which has all that does; the kernel is asked through the Python socket that both share.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IAddress

from vegurtx.net.uv.addresses import local_address


class SocketFacts:
    """Addresses and options of a connected socket. The attributes are those of `UvloopTransport`."""

    __slots__ = ()

    _socket: socket.socket
    _peer: IAddress
    _host: IAddress | None
    _uv: Any
    _protocol: Any

    def getPeer(self) -> Any:
        """The address of the other end."""
        return self._peer

    def getHost(self: Any) -> Any:
        """The address of this end."""
        if self._host is None:
            self._host = local_address(self._socket, self._uv)
        return self._host

    def getHandle(self) -> socket.socket:
        """The socket, for its options; reading and writing it is uvloop's business alone."""
        return self._socket

    def getTcpNoDelay(self) -> bool:
        """Whether small segments leave at once. They do unless told otherwise."""
        return bool(self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Send small segments at once, or let the kernel collect them."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, bool(enabled))

    def getTcpKeepAlive(self) -> bool:
        """Whether the kernel probes an idle peer."""
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Have the kernel probe an idle peer, or not."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, bool(enabled))

    def logPrefix(self) -> str:
        """The protocol's name, for log lines."""
        return type(self._protocol).__name__
