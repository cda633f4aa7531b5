"""A client's connection that begins with a PROXY header: who the client really is (rule 25).

Source: the PROXY protocol specification, versions 1 and 2. A header that is bad or missing ends the connection without
a word, since whoever is there is not the proxy that we were told to trust.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from vegurtx.net.endpoints import TlsDetails
from vegurtx.net.listening import ListenerFactory
from vegurtx.net.server import ClientConnection, Listener
from vegurtx.wire.proxy_protocol import ProxyHeader, parse_proxy_header

log = Logger()


class ProxiedConnection(ClientConnection):
    """A `ClientConnection` behind a PROXY header; the header may come a byte at a time."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self._header: bytes | None = b""

    def dataReceived(self, data: bytes) -> None:
        """A segment: the header's, or what comes behind it."""
        if self._header is None:
            super().dataReceived(data)
            return
        data = self._header + data
        try:
            header = parse_proxy_header(data)
        except ValueError:
            log.debug("no PROXY header from {peer}: closed", peer=getattr(self.peer, "host", "a UNIX socket"))
            self.abort()
            return
        if header is None:
            self._header = data
            return
        self._header = None
        self._introduce(header)
        if len(data) > header.end:
            super().dataReceived(data[header.end :])

    def _introduce(self, header: ProxyHeader) -> None:
        if header.source is None or header.destination is None:  # UNKNOWN, LOCAL: the proxy itself asks
            return
        self.proxy_peer = self.peer
        self.peer = _address(header.source)
        self.destination_port = header.destination[1]
        if header.tls is not None:
            self._tls = TlsDetails(header.tls.version, header.tls.cipher, header.tls.sni, None)


class ProxiedFactory(ListenerFactory):
    """Makes connections that begin with a PROXY header, for whatever `listener` serves; see `ListenerFactory`."""

    connection = ProxiedConnection

    def __init__(self, listener: Any, label: str = "proxy") -> None:
        super().__init__(listener, label)


def _address(address: tuple[str, int]) -> IAddress:
    host, port = address
    if ":" in host:
        mapped = ipaddress.IPv6Address(host).ipv4_mapped
        if mapped is None:
            return IPv6Address("TCP", host, port)
        host = str(mapped)  # an IPv4 client of a proxy that listens on IPv6
    return IPv4Address("TCP", host, port)
