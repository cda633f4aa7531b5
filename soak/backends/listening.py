"""Where back-ends listen: on ports that stay theirs while nobody listens."""

from __future__ import annotations

import socket


class ReservedPort:
    """A port of 127.0.0.1 that refuses connections as long as no back-end listens on it, and that nobody else gets."""

    def __init__(self) -> None:
        self._socket = _bound(0)
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        """Give it back."""
        self._socket.close()


class FullBacklog:
    """A port of 127.0.0.1 that neither takes a connection nor refuses it: its backlog is full."""

    def __init__(self) -> None:
        self._socket = _bound(0)
        self._socket.listen(0)
        self.number: int = self._socket.getsockname()[1]
        self._waiting = []
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", self.number))
            self._waiting.append(waiting)

    def release(self) -> None:
        """Give it back."""
        for each in (*self._waiting, self._socket):
            each.close()


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    # Two sockets may share a port if both say so; only the one that listens is asked.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def listening(port: int) -> socket.socket:
    """Return a socket that listens on a reserved port, or on any (0)."""
    sock = _bound(port)
    sock.listen(512)
    return sock
