"""The admin API's HTTP: Twisted's server, with a bound on everything that a client can make grow."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, HTTPFactory, Request

from vegurtx.ops.admin.answers import Answer, Refusal
from vegurtx.ops.admin.api import AdminApi, Asked

#: bytes
LONGEST_BODY = 65_536
#: bytes of a longer one that are read and dropped, so that the client gets to read why
_DROPPED = 1_048_576
#: connections at once
MOST_CONNECTIONS = 128
#: seconds without a byte
IDLE_LIMIT = 30.0

_ALWAYS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)


class AdminRequest(Request):
    """One request; its body is kept in memory, and no longer than `LONGEST_BODY`."""

    _parsePOSTFormSubmission = False
    _size = 0
    _gone = False
    _body: BytesIO
    channel: Any

    def gotLength(self, length: int | None) -> None:
        """A body begins (never a file on the disk, whatever its length)."""
        self.content = self._body = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """A part of the body."""
        self._size += len(data)
        if self._size <= LONGEST_BODY:
            self._body.write(data)
        elif self._size > _DROPPED:
            self.channel.loseConnection()

    def process(self) -> None:
        """It is whole."""
        if self._size > LONGEST_BODY:
            self.channel.persistent = False
            self._send(Refusal(413, f"a body may have {LONGEST_BODY} bytes").answer)
            return
        self.channel.answering = True
        api: AdminApi = self.channel.factory.api
        asked = Asked(self.method, self.path, self._field, self._body.getvalue())
        api.answer(asked).addCallback(self._send)

    def _field(self, name: bytes) -> bytes | None:
        values = self.requestHeaders.getRawHeaders(name)
        # several say nothing that could be relied on
        return None if not values else b",".join(values)

    def connectionLost(self, reason: Failure) -> None:
        """Nobody waits for the answer."""
        self._gone = True
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def _send(self, answer: Answer) -> None:
        if self._gone:
            return
        self.channel.answering = False
        self.setResponseCode(answer.code)
        fields = (
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            *_ALWAYS,
            *answer.headers,
        )
        for name, value in fields:
            self.responseHeaders.setRawHeaders(name, [value])
        self.write(answer.body)  # type: ignore[no-untyped-call]
        self.finish()  # type: ignore[no-untyped-call]


class AdminChannel(HTTPChannel):
    """A client's connection. HTTP/2 is not offered."""

    requestFactory = AdminRequest
    #: a whole request has come, and its answer has not gone out yet
    answering = False

    def connectionMade(self) -> None:
        """A client is here."""
        transport: Any = self.transport
        if isinstance(transport.getHost(), UNIXAddress):
            transport = _NoTcp(transport)
            self.transport = transport
        super().connectionMade()  # type: ignore[no-untyped-call]
        self.factory.connections[self] = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone."""
        self.factory.connections.pop(self, None)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]


class AdminFactory(HTTPFactory):
    """Makes the connections; writes no log of its own.

    :param api: answers.
    :param reactor: for timeouts.
    """

    noisy = False
    protocol: Any = AdminChannel

    def __init__(self, api: AdminApi, reactor: Any) -> None:
        super().__init__(timeout=IDLE_LIMIT, reactor=reactor)
        self.api = api
        #: as keys, in the order in which they came
        self.connections: dict[Any, None] = {}

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A client has connected. Where there are too many, the one that says nothing for the longest time goes: else
        who sends a byte now and then could keep health probes out, and needs no token for that.
        """
        if len(self.connections) >= MOST_CONNECTIONS:
            idle = next((each for each in self.connections if not each.answering), None)
            if idle is None:
                return None
            del self.connections[idle]
            idle.transport.abortConnection()
        return super().buildProtocol(addr)

    def startFactory(self) -> None:
        """It listens: the page's plots begin. (No log file, and no clock for it.)"""
        self.api.history.start(self.reactor)

    def stopFactory(self) -> None:
        """It does not any more."""
        self.api.history.stop()

    def log(self, request: Request) -> None:
        """Nothing."""

    def stop(self) -> None:
        """End all connections, and the plots."""
        self.api.history.stop()
        for connection in list(self.connections):
            connection.transport.abortConnection()


class _NoTcp:
    """A UNIX socket's transport without TCP's options: Twisted sets them wherever they seem to be there."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # nor what interfaces it provides
            raise AttributeError(name)
        return getattr(self._transport, name)
