"""Waiting for a bare socket: how scripted peers connect and do TLS handshakes without blocking the
reactor.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Any

from twisted.internet.interfaces import IReadWriteDescriptor
from zope.interface import implementer

from vegurtx.testing.waiting import PeerReactor, Waiters

NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a non-blocking socket raises, plain or TLS, when it has to be tried again later."""


@implementer(IReadWriteDescriptor)
class Readiness:
    """Watches `sock` for one thing at a time; `name` is what messages call it."""

    def __init__(self, reactor: PeerReactor, sock: socket.socket, name: str) -> None:
        self._reactor = reactor
        self._socket = sock
        self._name = name
        self._ready: bool | None = None
        self._waiters = Waiters(reactor, lambda: name)

    async def readable(self, timeout: float) -> None:
        """Wait until the socket can be read; at most `timeout` seconds."""
        await self._wait(self._reactor.addReader, "to be readable", timeout)

    async def writable(self, timeout: float) -> None:
        """Wait until the socket can be written; at most `timeout` seconds."""
        await self._wait(self._reactor.addWriter, "to be writable", timeout)

    async def _wait(self, watch: Any, what: str, timeout: float) -> None:
        self._ready = None
        watch(self)
        try:
            await self._waiters.until(lambda: self._ready, f"the socket {what}", timeout)
        finally:
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """What Twisted's log calls this end."""
        return self._name

    def doRead(self) -> None:
        """The socket can be read."""
        self._fire()

    def doWrite(self) -> None:
        """The socket can be written."""
        self._fire()

    def connectionLost(self, reason: object) -> None:
        """The reactor found the descriptor dead; trying again will say why."""
        self._fire()

    def _fire(self) -> None:
        # The descriptor leaves the reactor before anybody goes on: who does may close it at once.
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        self._ready = True
        self._waiters.check()


async def connected_socket(
    reactor: PeerReactor,
    address: Any,
    *,
    timeout: float,
    receive_buffer: int | None = None,
    source: str | None = None,
) -> socket.socket:
    """Connect a non-blocking socket.

    :param reactor: where the attempt is watched.
    :param address: `(host, port)` with a numeric host, or the path of a UNIX socket.
    :param timeout: seconds that the attempt may last.
    :param receive_buffer: bytes of the kernel's receive buffer, set before the window is announced.
    :param source: the local address to connect from, any of 127.0.0.0/8.

    Raises the `OSError` that the attempt ended in, and `PeerSilent` where it did not end.
    """
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    if family == socket.AF_INET and ":" in address[0]:
        family = socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            sock.bind((source, 0))
        code = sock.connect_ex(address)
        if code == errno.EINPROGRESS:
            await Readiness(reactor, sock, f"connecting to {address}").writable(timeout)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        sock.close()
        raise
    return sock


async def handshaken(
    reactor: PeerReactor,
    sock: socket.socket,
    context: ssl.SSLContext,
    *,
    timeout: float,
    server_side: bool = False,
    server_name: str | None = None,
) -> ssl.SSLSocket:
    """Do the TLS handshake on a connected socket and return the socket that speaks TLS.

    `server_name` is the name asked for (SNI) and, if the context checks names, checked. Each step may last
    `timeout` seconds. Raises `ssl.SSLError` or another `OSError` where the handshake fails.
    """
    # A connection cut off without close_notify must not look like an orderly end: ragged ends stay visible.
    secure = context.wrap_socket(
        sock,
        server_side=server_side,
        server_hostname=server_name,
        do_handshake_on_connect=False,
        suppress_ragged_eofs=False,
    )
    readiness = Readiness(reactor, secure, "TLS handshake")
    try:
        while True:
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                await readiness.readable(timeout)
            except ssl.SSLWantWriteError:
                await readiness.writable(timeout)
            else:
                return secure
    except BaseException:
        secure.close()
        raise
