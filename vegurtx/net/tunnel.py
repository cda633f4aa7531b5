"""The byte pipe: what two connections become after a 101 (rule 9).

Bytes go over as they come, with back-pressure both ways; an end of one direction is carried over as an end of that
direction; nothing for `limit` seconds either way ends both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import ISSLTransport

from vegurtx.net.backend import BackendConnection
from vegurtx.net.server import ClientConnection


class Tunnel:
    """Joins a client's and a back-end's connection.

    :param seconds: the clock that the client's timer runs on.
    :param limit: seconds without a byte either way after which the pipe ends.
    :param ended: called once, with `None` when both directions have ended, else with the reason.
    """

    def __init__(
        self,
        client: ClientConnection,
        backend: BackendConnection,
        seconds: Callable[[], float],
        limit: float,
        ended: Callable[[Any], None],
    ) -> None:
        self._client = client
        self._backend = backend
        self._seconds = seconds
        self._limit = limit
        self._ended: Callable[[Any], None] | None = ended
        self._client_done = False
        self._backend_done = False

    def start(self, from_backend: bytes) -> None:
        """Join the two; `from_backend` are the bytes that came behind the 101."""
        client, backend = self._client, self._backend
        from_client = client.tunnel(self)
        backend.tunnel(_BackendSide(self))
        client.timer.set(self._seconds(), self._limit)
        if from_backend:
            client.write(from_backend)
        if from_client:
            self.tunnel_data(from_client)
        if client.full:
            self.client_full()
        if client.eof:
            self.client_eof()

    def tunnel_data(self, data: bytes) -> None:
        """Bytes from the client."""
        self._client.timer.since = self._seconds()
        self._backend.sent += len(data)
        self._backend.write(data)

    def from_backend(self, data: bytes) -> None:
        """Bytes from the back-end."""
        self._client.timer.since = self._seconds()
        self._client.write(data)

    # -- the ends -------------------------------------------------------------------------------------------------

    def client_eof(self) -> None:
        """The client has sent its last byte."""
        self._client_done = True
        if self._backend_done or not _half_close(self._backend):
            self._end(None)

    def backend_eof(self) -> None:
        """The back-end has sent its last byte."""
        self._backend_done = True
        if self._client_done or not _half_close(self._client):
            self._end(None)

    def client_lost(self) -> None:
        """The client's connection is gone; that is an end in order only where its last byte had come."""
        self._end(None if self._client_done else ("upstream", "closed"))

    def backend_failed(self, reason: Any) -> None:
        """The back-end's connection is gone; that is an end in order only where its last byte had come."""
        self._end(None if self._backend_done else reason)

    def timed_out(self) -> None:
        """Silence."""
        self._end(("undefined", "timeout"))

    def _end(self, reason: Any) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        if reason is None:
            self._backend.close()
        else:
            self._backend.drop()
        # Before the client's connection is closed: that can be its end at once, and where it is the last one of a proxy
        # that drains, the end of the access log.
        ended(reason)
        if reason is None:
            self._client.end_tunnel()
        else:
            self._client.break_off()

    # -- back-pressure --------------------------------------------------------------------------------------------

    def client_full(self) -> None:
        """The client does not read what we write."""
        self._backend.pause_reading()

    def client_drained(self) -> None:
        """It does again."""
        self._backend.resume_reading()

    def backend_full(self) -> None:
        """The back-end does not read what we write."""
        self._client.pause_reading()

    def backend_drained(self) -> None:
        """It does again."""
        self._client.resume_reading()

    # -- what a pipe does not know --------------------------------------------------------------------------------

    def request_body(self, pieces: list[Any], ended: bool, trailers: bytes) -> None:
        """A pipe has no bodies."""

    def bad_body(self, what: str) -> None:
        """A pipe has no bodies."""


class _BackendSide:
    """The tunnel as the back-end's connection sees it: only what differs by the side it comes from."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel_data = tunnel.from_backend
        self.backend_eof = tunnel.backend_eof
        self.backend_failed = tunnel.backend_failed
        self.backend_full = tunnel.backend_full
        self.backend_drained = tunnel.backend_drained

    def response(self, head: Any, framing: int, first: list[Any], ended: bool, trailers: bytes) -> None:
        """A pipe has no responses."""

    def response_begins(self) -> None:
        """A pipe has no responses."""

    def interim(self, head: Any) -> None:
        """A pipe has no responses."""

    def switched(self, head: Any, rest: bytes) -> None:
        """A pipe has no responses."""

    def response_body(self, pieces: list[Any], ended: bool, trailers: bytes) -> None:
        """A pipe has no responses."""


def _half_close(connection: Any) -> bool:
    """End our direction; `False` where the transport cannot (TLS), so that only the whole can be ended."""
    transport = connection.transport
    if ISSLTransport.providedBy(transport) or not hasattr(transport, "loseWriteConnection"):
        return False
    transport.loseWriteConnection()
    return True
