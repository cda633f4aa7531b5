"""One listener's share of a proxy: it makes the clients' connections, and knows by which door they came in.

Several listeners serve one proxy: its pool, its limits and its router are the same for all of them.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from vegurtx.net.server import ClientConnection


class ListenerFactory(Factory):
    """Makes the connections of one listener. A connection finds it, and so its label, in its ``factory``.

    :param listener: a `ProxyFactory`: what the connections are served by.
    :param label: what metrics and logs call the listener.
    """

    noisy = False
    connection: type[ClientConnection] = ClientConnection

    def __init__(self, listener: Any, label: str = "http") -> None:
        self.listener = listener
        self.label = label

    def buildProtocol(self, addr: IAddress | None) -> ClientConnection:
        """A client has connected."""
        self.listener.accepted()
        connection = self.connection(self.listener)
        connection.factory = self
        return connection
