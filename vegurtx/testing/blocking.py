"""The scripted client for ordinary, blocking tests: no reactor, one socket with a timeout.

It stands before a `ProxyProcess`. It understands messages by the same readers as the peers on the reactor,
and has two ways to move gigabytes without keeping them: `download` and `upload`.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from types import TracebackType
from typing import TypeVar

from vegurtx.testing.errors import ConversationError, MalformedMessage, PeerClosed, PeerSilent, shown
from vegurtx.testing.messages import Response, parse_response_head
from vegurtx.testing.pattern import PERIOD, matches, pattern
from vegurtx.testing.reading import HEAD_END, Need, Reading, read_response, response_framing
from vegurtx.testing.stream import Stream

_T = TypeVar("_T")

RECEIVE = 1 << 20


class BlockingClient:
    """A client on a blocking socket, driven by hand like `ScriptedConnection`. Also a context manager.

    :param port: the port to connect to.
    :param host: the address to connect to.
    :param timeout: seconds that one wait may last; then `PeerSilent` is raised.
    :param receive_buffer: bytes of the kernel's receive buffer (Linux doubles it), for a client that reads
        slowly.
    """

    def __init__(
        self, port: int, host: str = "127.0.0.1", *, timeout: float = 10.0, receive_buffer: int | None = None
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect((host, port))
        except BaseException:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = Stream()

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- by hand -----------------------------------------------------------------------------------

    @property
    def received(self) -> bytes:
        """Every byte that was ever read, but for what `download` counted and dropped."""
        return self._input.all()

    @property
    def unread(self) -> bytes:
        """Bytes that were read from the socket and not consumed."""
        return self._input.unread()

    def send(self, data: bytes | memoryview) -> None:
        """Send all of `data`. Raises `OSError` where the other side is gone."""
        self.socket.sendall(data)

    def receive(self, size: int) -> bytes:
        """Wait for exactly `size` bytes."""
        while (taken := self._input.take(size)) is None:
            self._more(f"{size} bytes")
        return taken

    def receive_until(self, marker: bytes) -> bytes:
        """Wait for `marker`; return everything up to its end."""
        while (taken := self._input.take_until(marker)) is None:
            self._more(repr(marker))
        return taken

    def receive_head(self) -> bytes:
        """Wait for the head of a message; return its exact bytes, the empty line included."""
        return self.receive_until(HEAD_END)

    def receive_all(self) -> bytes:
        """Wait for the end of the connection; return all that was not consumed. A reset raises
        `PeerClosed`.
        """
        while self._receive():
            pass
        return self._input.take(len(self._input)) or b""

    def receive_response(self, method: bytes = b"GET") -> Response:
        """Wait for a whole final response and the interim ones before it, as `ScriptedConnection` does."""
        return self._read(read_response(method))

    def closed(self) -> str:
        """Wait for the end of the connection, close this end; return `"clean"` or `"reset"`."""
        try:
            while self._receive():
                pass
        except PeerClosed:
            return "reset"
        finally:
            self.close()
        return "clean"

    def half_close(self) -> None:
        """End our direction (FIN)."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def abort(self) -> None:
        """Reset the connection (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # -- whole exchanges ---------------------------------------------------------------------------

    def request(
        self,
        method: str = "GET",
        target: str = "/",
        headers: Iterable[tuple[str, str]] = (("Host", "localhost"),),
        body: bytes | None = None,
    ) -> Response:
        """Send one request, with `Content-Length` where there is a `body`; wait for its response."""
        fields = list(headers)
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        self.send(_head(method, target, fields) + (body or b""))
        return self.receive_response(method.encode("ascii"))

    def download(self, target: str, *, host: str = "localhost") -> int:
        """GET a body that is `vegurtx.testing.pattern` (the target `/bytes/N` of `ThreadedBackend`).

        Each byte is checked and none is kept; a body of known length only. Returns the length in bytes.
        Raises `ConversationError` where the status is not 200 or a byte is wrong.
        """
        self.send(_head("GET", target, [("Host", host)]))
        response = parse_response_head(self.receive_head())
        size = response_framing(response, b"GET")
        if response.status != 200 or size < 0:
            raise ConversationError(f"not a 200 with a Content-Length: {shown(response.raw)}")
        first = self._input.take(min(len(self._input), size)) or b""
        if not matches(first, 0):
            raise ConversationError("the body differs from the pattern near its start")
        done = len(first)
        buffer = memoryview(bytearray(RECEIVE))
        while done < size:
            count = self._receive_into(buffer[: min(size - done, PERIOD)])
            if not count:
                raise PeerClosed(f"the body broke off after {done} of {size} bytes")
            if not matches(buffer[:count], done):
                raise ConversationError(f"the body differs from the pattern after {done} bytes")
            done += count
        return done

    def upload(
        self, target: str, size: int, *, chunked: bool = False, method: str = "POST", host: str = "localhost"
    ) -> Response:
        """Send a body of `size` bytes of the pattern, with a length or chunked; return the response.

        Meant for the target `/sink` of `ThreadedBackend`, whose answer says what arrived.
        """
        framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(size))
        self.send(_head(method, target, [("Host", host), framing]))
        done = 0
        while done < size:
            piece = pattern(done, size - done)
            if chunked:
                self.send(b"%x\r\n" % len(piece))
            self.send(piece)
            if chunked:
                self.send(b"\r\n")
            done += len(piece)
        if chunked:
            self.send(b"0\r\n\r\n")
        return self.receive_response(method.encode("ascii"))

    # -- behind it ---------------------------------------------------------------------------------

    def _read(self, reading: Reading[_T]) -> _T:
        try:
            need = next(reading)
            while True:
                need = reading.send(self._take(need))
        except StopIteration as stop:
            message: _T = stop.value
            return message
        except MalformedMessage as error:
            raise MalformedMessage(f"{error}; received: {shown(self.received)}") from None

    def _take(self, need: Need) -> bytes:
        if need is None:
            return self.receive_all()
        return self.receive(need) if isinstance(need, int) else self.receive_until(need)

    def _more(self, what: str) -> None:
        if not self._receive(what):
            raise PeerClosed(f"the connection ended while waiting for {what}; unread: {shown(self.unread)}")

    def _receive(self, what: str = "the end") -> bool:
        """Read once; return whether something came."""
        try:
            data = self.socket.recv(RECEIVE)
        except TimeoutError:
            raise PeerSilent(f"waited too long for {what}; unread: {shown(self.unread)}") from None
        except ConnectionResetError:
            raise PeerClosed(f"reset while waiting for {what}; unread: {shown(self.unread)}") from None
        if data:
            self._input.add(data)
        return bool(data)

    def _receive_into(self, buffer: memoryview) -> int:
        try:
            return self.socket.recv_into(buffer)
        except TimeoutError:
            raise PeerSilent("waited too long for the rest of the body") from None
        except ConnectionResetError:
            raise PeerClosed("reset inside the body") from None


def _head(method: str, target: str, fields: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")
