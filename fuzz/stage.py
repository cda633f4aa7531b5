"""The proxy in memory between a client and a recording back-end, for one input at a time.

All of the proxy's own code is at work; only the sockets are not there (see `vegurtx.testing.MemoryProxy`). The same
scenes are played over real sockets by ``tests/fuzz``.
"""

from __future__ import annotations

from typing import Any

from fuzz.oracles import h11_requests
from vegurtx.message import Backend, KeepAlive
from vegurtx.router import Router
from vegurtx.settings import Settings
from vegurtx.testing import MemoryClient, MemoryConnection, MemoryProxy

OK = b"HTTP/1.1 200 OK\r\nServer: b\r\nContent-Length: 2\r\n\r\nhi"
OK_TO_HEAD = OK[:-2]
_PLACE = ("192.0.2.9", 8081)
_SETTINGS = Settings.from_mapping({})


class _Router(Router):
    """Everything goes to the one back-end."""

    def __init__(self, features: bool, keepalive: KeepAlive | None) -> None:
        self._features = features
        self._backend = Backend(*_PLACE, keepalive=keepalive)

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Any:
        """The one service."""
        return domain_group

    def service_backend(self, service: Any, request: Any, state: Any) -> Any:
        """Its one back-end."""
        return self._backend

    def feature(self, name: str, request: Any, state: Any) -> Any:
        """All on, or all off."""
        return self._features and name in ("deep_continue", "peer_port")


class Stage:
    """A proxy, its back-end, and one client.

    :param features: whether the router says yes to ``deep_continue`` and ``peer_port``.
    :param keepalive: as in `Backend`.
    """

    def __init__(self, features: bool = False, keepalive: KeepAlive | None = "default") -> None:
        self.proxy = MemoryProxy(_Router(features, keepalive), _SETTINGS)
        self.back = self.proxy.backend(*_PLACE)
        self.client: MemoryClient = self.proxy.client()
        self._answered: dict[MemoryConnection, int] = {}

    def answer(self) -> None:
        """Let the back-end answer each request that it (that is, h11) has read to its end."""
        for connection in self.back.connections:
            whole = h11_requests(connection.received).messages
            for message in whole[self._answered.get(connection, 0) :]:
                connection.send(OK_TO_HEAD if message.first[0] == b"HEAD" else OK)
            self._answered[connection] = len(whole)

    def answered(self) -> None:
        """The test has answered by hand what has come so far."""
        for connection in self.back.connections:
            self._answered[connection] = len(h11_requests(connection.received).messages)

    def asked(self, name: str) -> list[Any]:
        """The request of each call of the router's callback `name`."""
        return [call.request for call in self.proxy.of(name)]

    def leave(self) -> None:
        """All peers go. Raises where something of the proxy is left, or a request has not ended as it must."""
        self.client.close()
        for connection in self.back.connections:
            connection.close()
        self.proxy.idle(0)
