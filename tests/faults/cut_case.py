"""What the tests of cuts share: conversations with known borders, and what must be true behind every cut.

A conversation is cut at each byte offset of what one peer says, in each way in which a connection can end. What the
router, the other peer and the next client must see then follows from where the cut lies: in the head, in the body, or
behind the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Backend, Router
from vegurtx.errors import Reason, entry
from vegurtx.testing import MemoryBackend, MemoryClient, MemoryConnection, MemoryProxy

#: how a peer ends its connection: what it calls, and the word for it where it was a back-end's
ENDS = {"close": "closed", "half_close": "closed", "abort": "econnreset"}
KEEPALIVES = (None, "default")

PORT = 8081
GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

_POST = b"POST /up HTTP/1.1\r\nHost: example.org\r\n"
_CHUNKS = b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n"
_TRAILERS = b"A: 1\r\nBc: two\r\n\r\n"


class Said(NamedTuple):
    """What one peer says, whole."""

    head: bytes
    body: bytes = b""

    @property
    def whole(self) -> bytes:
        """All of it."""
        return self.head + self.body


REQUESTS = {
    "no body": Said(GET),
    "a length": Said(_POST + b"Content-Length: 11\r\n\r\n", b"hello world"),
    "chunks": Said(_POST + b"Transfer-Encoding: chunked\r\n\r\n", _CHUNKS + b"\r\n"),
    "chunks and trailers": Said(
        _POST.replace(b"POST", b"PUT") + b"Trailer: A\r\nTransfer-Encoding: chunked\r\n\r\n",
        _CHUNKS + _TRAILERS,
    ),
    "a WebSocket handshake": Said(
        b"GET /chat HTTP/1.1\r\nHost: example.org\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ),
}
RESPONSES = {
    "no body": Said(b"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"),
    "a length": Said(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", b"hello world"),
    "chunks": Said(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", _CHUNKS + b"\r\n"),
    "chunks and trailers": Said(
        b"HTTP/1.1 200 OK\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n", _CHUNKS + _TRAILERS
    ),
    "until close": Said(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", b"hello world"),
}
#: what precedes a final response
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class OneBackend(Router):
    """Everything goes to one place."""

    def __init__(self, keepalive: Any) -> None:
        self.keepalive = keepalive

    def checkout_service(self, *_: object) -> str:
        """See `IRouter`."""
        return "service"

    def service_backend(self, *_: object) -> Backend:
        """See `IRouter`."""
        return Backend("127.0.0.1", PORT, keepalive=self.keepalive)


class Ending(NamedTuple):
    """How the router saw a request end, and what its default page and the access log say of that."""

    phase: str
    state: Reason
    status: str


GOOD = Ending("connected", "normal", "normal")


def failed(reason: Reason, phase: str = "connected") -> Ending:
    """A request that ended with `reason`."""
    return Ending(phase, reason, "error")


class CutCase(SynchronousTestCase):
    """One proxy in memory, whose peers come and go; the clock stands still unless a test turns it."""

    proxy: MemoryProxy
    backend: MemoryBackend

    @contextmanager
    def row(self, *label: Any) -> Iterator[None]:
        """One row of a table; a failure in it names the row."""
        try:
            yield
        except BaseException as error:
            error.add_note(f"in the row {label!r}")
            raise

    def start(self, keepalive: Any, **settings: Any) -> None:
        """A proxy before one back-end that is played by hand."""
        self.proxy = MemoryProxy(OneBackend(keepalive), settings)
        self.backend = self.proxy.backend("127.0.0.1", PORT)
        self.keepalive = keepalive

    def reached(self) -> MemoryConnection | None:
        """The connection on which the request has reached the back-end, if it has."""
        return self.backend.accept() if self.backend.waiting else None

    def ended(self) -> list[Ending]:
        """How the requests ended that have ended since this was asked last; each exactly once, and in order.

        That there is one final ``checkin_service`` and one ``terminate`` is what `MemoryProxy.idle` looks at.
        """
        checkins = [call.arguments for call in self.proxy.of("checkin_service")]
        statuses = [call.arguments[0] for call in self.proxy.of("terminate")]
        self.assertEqual(len(checkins), len(statuses))
        return [Ending(each[2], each[3], status) for each, status in zip(checkins, statuses, strict=True)]

    def assert_page(self, client: MemoryClient, reason: Reason) -> None:
        """The client has got the page for `reason`, and nothing else but interim responses."""
        response = client.receive_response()
        self.assertEqual(response.status, entry(reason).status)
        self.assertEqual(client.unread, b"")

    def finish(self, pooled: int = 0) -> None:
        """All peers are gone: nothing is left of them, and the next client is served as if nothing had been."""
        for client in self.proxy.clients:
            client.close()
        self.proxy.clients.clear()
        self.proxy.idle(pooled)
        self.proxy.calls.clear()
        client = self.proxy.client()
        client.send(GET)
        server = self.backend.accept() if self.backend.waiting else self.backend.connections[-1]
        server.receive_request()
        server.send(OK)
        self.assertEqual(client.receive_response().body, b"hi")
        self.assertEqual(self.ended(), [GOOD])
        client.close()
        server.close()
        self.proxy.idle()
        self.proxy.calls.clear()
        self.backend.connections.clear()
        self.proxy.clients.clear()
        self.proxy._network.lines.clear()  # thousands of conversations are no transcript to read
