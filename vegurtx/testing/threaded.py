"""A real back-end in threads, for end-to-end and load tests of a `ProxyProcess`.

It stands behind the proxy, in the test's process, and needs no reactor. One thread a connection, HTTP/1.1
keep-alive, gigabytes by `sendfile` and `recv_into` with large buffers.

| target | answer |
|---|---|
| `/bytes/N` | N bytes of `vegurtx.testing.pattern`, with a length |
| `/sink` | reads the body and says in JSON `bytes`, `sha256`, and whether all of it `matches` the pattern |
| `/status/N` | an empty response with status N |
| `/chunked/N` | N bytes of the pattern, chunked |
| else | the request in JSON: `method`, `target`, `version`, `headers`, `body`, `connection`, `backend` |
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import socket
import tempfile
import threading
from types import TracebackType
from typing import IO, Any, TypeAlias

from vegurtx.testing.errors import ConversationError
from vegurtx.testing.messages import Request, parse_request_head
from vegurtx.testing.pattern import PERIOD, matches, pattern
from vegurtx.testing.reading import CHUNKED, request_framing

BUFFER = 1 << 20

Stream: TypeAlias = "io.BufferedReader[socket.SocketIO]"


class ThreadedBackend:
    """A back-end that serves until `stop`. Also a context manager.

    :param name: what it calls itself in its answers, to tell several apart.
    :param receive_buffer: bytes of the kernel's receive buffer of each connection (Linux doubles it).
    """

    def __init__(self, *, name: str = "back-end", receive_buffer: int | None = None) -> None:
        self.name = name
        self.connections = 0
        """How many connections have ever come."""
        self.open = 0
        """How many are open now."""
        self.most_open = 0
        """How many were open at once at most."""
        self.requests = 0
        """How many heads of requests have come."""
        self.body_bytes = 0
        """How many bytes `/sink` has read, also of uploads that are still under way."""
        self.failures: list[BaseException] = []
        """Requests that were not correct, and whatever else went wrong in a thread."""
        self.may_read = threading.Event()
        """Clear it, and `/sink` reads nothing until it is set again: a back-end that hangs."""
        self.may_read.set()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._content = _content_file()
        self._listener = socket.socket()
        if receive_buffer is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(1024)
        self.host, self.port = self._listener.getsockname()
        self._stopping = threading.Event()
        self._accepting = threading.Thread(target=self._accept, name=f"{name} accepts", daemon=True)
        self._accepting.start()

    def __enter__(self) -> ThreadedBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address of its root."""
        return f"http://{self.host}:{self.port}"

    def stop(self) -> None:
        """Listen no more, and break off every connection."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self.may_read.set()
        # Closing a socket does not wake a thread that is inside accept or recv on it; shutting it down does.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(5.0)
        self._listener.close()
        self.drop_connections()
        self._content.close()

    def drop_connections(self) -> None:
        """Break off every connection that is open now, idle or not; new ones are served."""
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets.add(sock)
                self.connections += 1
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                number = self.connections
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            with io.BufferedReader(socket.SocketIO(sock, "r"), 65536) as stream:
                connection = _ServedConnection(self, sock, stream, number)
                while not self._stopping.is_set() and connection.serve_one():
                    pass
        except OSError:
            pass  # the proxy has left: how every connection may end
        except Exception as error:
            self.failures.append(error)
        finally:
            with self._lock:
                self._sockets.discard(sock)
                self.open -= 1
            sock.close()

    def count_request(self) -> None:
        """One more request has come."""
        with self._lock:
            self.requests += 1

    def send_content(self, sock: socket.socket, size: int) -> None:
        """Send `size` bytes of the pattern from the kernel's own copy of it."""
        done = 0
        while done < size:
            start = done % PERIOD
            count = min(size - done, PERIOD - start)
            done += os.sendfile(sock.fileno(), self._content.fileno(), start, count)


class _ServedConnection:
    """One connection of a `ThreadedBackend`, in its own thread."""

    def __init__(self, backend: ThreadedBackend, sock: socket.socket, stream: Stream, number: int) -> None:
        self._backend = backend
        self._socket = sock
        self._stream = stream
        self._number = number

    def serve_one(self) -> bool:
        """Serve one request; return whether the connection goes on."""
        head = self._read_head()
        if head is None:
            return False
        request = parse_request_head(head)
        framing = request_framing(request)
        if (request.header("expect") or "").lower() == "100-continue":
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        options = (request.header("connection") or "").lower()
        goes_on = "close" not in options and (request.version == (1, 1) or "keep-alive" in options)
        self._backend.count_request()
        self._answer(request, framing, goes_on)
        return goes_on

    def _answer(self, request: Request, framing: int, goes_on: bool) -> None:
        path = request.target.partition("?")[0]
        kind, _, number = path[1:].partition("/")
        if path == "/sink":
            self._reply(request, 200, goes_on, json.dumps(self._sink(framing)).encode())
            return
        body = b"".join(bytes(piece) for piece in self._pieces(framing))
        if number.isdigit() and kind == "bytes":
            self._send_head(200, goes_on, f"Content-Length: {number}")
            if request.method != "HEAD":
                self._backend.send_content(self._socket, int(number))
        elif number.isdigit() and kind == "chunked":
            self._send_head(200, goes_on, "Transfer-Encoding: chunked")
            if request.method != "HEAD":
                self._send_chunks(int(number))
        elif number.isdigit() and kind == "status":
            self._reply(request, int(number), goes_on, b"")
        else:
            self._reply(request, 200, goes_on, json.dumps(self._facts(request, body)).encode())

    def _facts(self, request: Request, body: bytes) -> dict[str, Any]:
        return {
            "backend": self._backend.name,
            "connection": self._number,
            "method": request.method,
            "target": request.target,
            "version": list(request.version),
            "headers": request.headers,
            "body": body.decode("latin-1"),
        }

    def _reply(self, request: Request, status: int, goes_on: bool, body: bytes) -> None:
        empty = request.method == "HEAD" or status in (204, 304)
        fields = []
        if status not in (204, 304):
            fields = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self._send_head(status, goes_on, *fields, body=b"" if empty else body)

    def _send_head(self, status: int, goes_on: bool, *fields: str, body: bytes = b"") -> None:
        connection = f"Connection: {'keep-alive' if goes_on else 'close'}"
        lines = [f"HTTP/1.1 {status} Status", *fields, connection, "", ""]
        self._socket.sendall("\r\n".join(lines).encode("latin-1") + body)

    def _send_chunks(self, size: int) -> None:
        done = 0
        while done < size:
            piece = pattern(done, min(65536, size - done))
            self._socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece.tobytes()))
            done += len(piece)
        self._socket.sendall(b"0\r\n\r\n")

    # -- reading -----------------------------------------------------------------------------------

    def _read_head(self) -> bytes | None:
        """Read a head; `None` where the connection ends between two requests."""
        lines: list[bytes] = []
        while (line := self._stream.readline(BUFFER)) != b"\r\n":
            if not line.endswith(b"\n"):
                if line or lines:
                    raise ConversationError("the connection ended inside a head")
                return None
            lines.append(line)
        return b"".join([*lines, line])

    def _pieces(self, framing: int) -> Any:
        """Read the body; yield it piece by piece. A piece is valid until the next one is asked for."""
        # Never more than a period of the pattern: that is how much can be compared at once.
        most = PERIOD if framing < 0 else min(PERIOD, framing)
        buffer = memoryview(bytearray(most))
        if framing != CHUNKED:
            yield from self._exactly(max(framing, 0), buffer)
            return
        while size := int(self._stream.readline(100).removesuffix(b"\r\n") or b"x", 16):
            yield from self._exactly(size, buffer)
            if self._stream.read(2) != b"\r\n":
                raise ConversationError("a chunk does not end with CRLF")
        while self._stream.readline(BUFFER) not in (b"\r\n", b""):
            pass

    def _exactly(self, size: int, buffer: memoryview) -> Any:
        left = size
        while left:
            self._backend.may_read.wait()
            count = self._stream.readinto1(buffer[:left])
            if not count:
                raise OSError("the upload broke off")
            left -= count
            yield buffer[:count]

    def _sink(self, framing: int) -> dict[str, Any]:
        digest = hashlib.sha256()
        total = 0
        good = True
        for piece in self._pieces(framing):
            digest.update(piece)
            good = good and matches(piece, total)
            total += len(piece)
            self._backend.body_bytes += len(piece)
        return {"bytes": total, "sha256": digest.hexdigest(), "matches": good}


def _content_file() -> IO[bytes]:
    """A file that holds the pattern once, for `sendfile`."""
    content = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (its owner closes it)
    content.write(pattern(0, PERIOD))
    return content
