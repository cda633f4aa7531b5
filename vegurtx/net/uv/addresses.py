"""Addresses: between the kernel's tuples and Twisted's address objects.

The listener and the connector name the two ends of a connection with what is here; so does the name
resolver's race.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress


def address_of(family: int, name: Any) -> IAddress:
    """The address object for a socket's name.

    :param family: ``socket.AF_INET``, ``AF_INET6`` or ``AF_UNIX``.
    :param name: what ``getsockname``, ``getpeername`` or ``accept`` say.
    """
    if family == socket.AF_INET:
        return IPv4Address("TCP", *name)
    if family == socket.AF_INET6:
        host, port, flow, scope = name
        if scope and "%" not in host:  # a link-local address means nothing without its interface
            host = socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
        return IPv6Address("TCP", host, port, flow, scope)
    return UNIXAddress(name or None)


def local_address(sock: socket.socket, uv: Any = None) -> IAddress:
    """The address of this end of a connection.

    :param sock: its socket.
    :param uv: its uvloop transport, which remembers the address after the socket is closed.
    """
    if sock.fileno() != -1:
        return address_of(sock.family, sock.getsockname())
    if uv is None or sock.family == socket.AF_UNIX:
        return UNIXAddress(None)
    return address_of(sock.family, uv.get_extra_info("sockname"))


def numeric_family(host: str) -> int | None:
    """``AF_INET`` or ``AF_INET6`` where `host` is a numeric address (a scope is allowed), else None."""
    for family, text in ((socket.AF_INET, host), (socket.AF_INET6, host.partition("%")[0])):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return family
    return None


def socket_name(family: int, host: str, port: int) -> Any:
    """What ``connect`` and ``bind`` want for a numeric address.

    :raises OSError: an IPv6 scope that names no interface (`socket.gaierror`).
    """
    if family == socket.AF_INET:
        return (host, port)
    if "%" not in host:
        return (host, port, 0, 0)
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return socket.getaddrinfo(host, port, socket.AF_INET6, socket.SOCK_STREAM, 0, flags)[0][4]
