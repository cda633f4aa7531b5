"""Listening sockets that are bound before there is a reactor or a daemon: what is wrong shows while somebody looks.

A bound socket can also be handed to another process; it is served with `vegurtx.net.endpoints`' ``sock``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import Any

from twisted.internet.error import CannotListenError

#: all IPv4 addresses: what a proxy's user expects
ANYWHERE = "0.0.0.0"


def bound_socket(interface: str, port: int, backlog: int) -> socket.socket:
    """A non-blocking TCP socket that listens already.

    :param interface: a numeric address; ``""`` for all IPv4 addresses, ``"::"`` for all.
    :param port: 0 to 65535; with 0 the kernel chooses.
    :param backlog: how many clients may wait in the kernel.
    :raises CannotListenError: the address is in use, not ours, or not an address.
    """
    if not 0 <= port < 65536:  # the resolver would take it for another port
        raise CannotListenError(interface, port, OSError("a port is a number from 0 to 65535"))
    try:
        found = socket.getaddrinfo(
            interface or ANYWHERE, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except (socket.gaierror, UnicodeError, ValueError) as problem:
        raise CannotListenError(interface, port, OSError("not an IP address")) from problem
    family, kind, _, _, name = found[0]
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(name)
        sock.listen(backlog)
    except OSError as problem:
        sock.close()
        raise CannotListenError(interface, port, problem) from problem
    return sock


def twin_of(sock: socket.socket, backlog: int) -> socket.socket:
    """Another listening TCP socket on the address of `sock`: the kernel divides new clients evenly between them.

    `sock` was bound without ``SO_REUSEPORT``, and has it from here on (socket(7)): so an address that another program
    has is still found to be in use, and after that only sockets of the same user can join.

    :param sock: bound, and perhaps listening.
    :param backlog: how many clients may wait in the kernel, for this one alone.
    :raises CannotListenError: the kernel does not want it.
    """
    name = sock.getsockname()
    twin = socket.socket(sock.family, sock.type)
    try:
        twin.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        twin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            only = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            twin.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        twin.bind(name)
        twin.listen(backlog)
    except OSError as problem:
        twin.close()
        raise CannotListenError(name[0], name[1], problem) from problem
    return twin


def bound_unix_socket(path: str, backlog: int, mode: int = 0o666) -> socket.socket:
    """A non-blocking UNIX socket that listens already. A socket file that nobody listens on any more is replaced.

    :param path: the socket's file; it stays when the socket is closed (see `remove_unix_socket`).
    :param backlog: how many clients may wait in the kernel.
    :param mode: the file's permissions.
    :raises CannotListenError: the path is in use, or cannot be had.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        try:
            sock.bind(path)
        except OSError as problem:
            if problem.errno != errno.EADDRINUSE or not _abandoned(path):
                raise
            os.unlink(path)
            sock.bind(path)
        os.chmod(path, mode)  # before it listens: until then nobody can connect
        sock.listen(backlog)
    except (OSError, ValueError) as problem:
        sock.close()
        error = problem if isinstance(problem, OSError) else OSError(str(problem))
        raise CannotListenError("unix", path, error) from problem
    return sock


def _abandoned(path: str) -> bool:
    """Whether `path` is a socket's file that nobody listens on."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        visitor.setblocking(False)  # a full backlog is an answer, too
        return visitor.connect_ex(path) == errno.ECONNREFUSED


def remove_unix_socket(path: str) -> None:
    """Remove a socket's file, if it is still there."""
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)


def address_text(address: Any) -> str:
    """``HOST:PORT`` of one of Twisted's addresses, an IPv6 host in brackets; ``unix:PATH``; else what it says."""
    host = getattr(address, "host", None)
    if host is not None:
        return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"
    name = getattr(address, "name", None)
    return str(address) if name is None else f"unix:{os.fsdecode(name)}"
