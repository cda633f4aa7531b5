"""A client's connection: requests as bytes, responses read strictly, and every way to leave."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from dataclasses import dataclass, field

from soak.content import Received

_LIMIT = 1 << 18
_LONGEST_HEAD = 65536


class Broken(Exception):
    """The connection has ended inside a response, or before it.

    :param how: ``"reset"`` or ``"closed"``.
    :param response: what has come of it; `None`: not a byte.
    """

    def __init__(self, how: str, response: Response | None) -> None:
        super().__init__(how if response is None else f"{how} inside a response of status {response.status}")
        self.how = how
        self.response = response


class Malformed(Exception):
    """That is no response."""


@dataclass
class Response:
    """A response, as it came."""

    status: int
    fields: dict[str, str]
    """Names in lower case."""
    body: Received
    trailers: dict[str, str] = field(default_factory=dict)
    interim: list[int] = field(default_factory=list)
    """The statuses that came before."""
    closes: bool = False
    """Whether this was the connection's last one."""


class Connection:
    """See the module's text. Made by `connected`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.closed = False

    @property
    def port(self) -> int:
        """Our port, for those who look for us in logs."""
        name = self._writer.get_extra_info("sockname")
        return int(name[1]) if name else 0

    async def send(self, data: bytes | memoryview) -> None:
        """Write, and wait as long as much is waiting.

        :raises OSError: the proxy is gone.
        """
        self._writer.write(data)
        await self._writer.drain()

    def close(self) -> None:
        """Leave in good order (FIN)."""
        self.closed = True
        self._writer.close()

    def reset(self) -> None:
        """Leave with a reset (RST)."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None and not self.closed:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.closed = True
        self._writer.transport.abort()

    async def read_some(self) -> bytes:
        """Read whatever has come; ``b""``: the other side has closed."""
        return await self._reader.read(_LIMIT)

    async def response(self, method: str, key: int | None, pause: float = 0.0) -> Response:
        """Read one response.

        :param method: the request's, which says whether there is a body.
        :param key: what the body is compared with; `None`: it is kept as it is.
        :param pause: seconds to wait between pieces of the body.
        :raises Broken: it does not come, or not whole. :raises Malformed: that is none.
        """
        interim: list[int] = []
        while True:
            response = await self._head(key)
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response.status)
        response.interim = interim
        try:
            await self._body(method, response, pause)
        except asyncio.IncompleteReadError as short:
            response.body.feed(short.partial)
            raise Broken("closed", response) from None
        except OSError:
            raise Broken("reset", response) from None
        return response

    async def interim(self, status: int) -> None:
        """Read an interim response. Raises as `response`, also where it is another one."""
        found = await self._head(0)
        if found.status != status:
            raise Malformed(
                f"{status} was to come before the response, and not {found.status} {found.fields}"
            )

    async def _head(self, key: int | None) -> Response:
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as short:
            if short.partial:
                raise Malformed(f"a head is cut short: {short.partial[:300]!r}") from None
            raise Broken("closed", None) from None
        except OSError:
            raise Broken("reset", None) from None
        lines = head.decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdigit() or len(head) > _LONGEST_HEAD:
            raise Malformed(f"no response: {head[:300]!r}")
        fields: dict[str, str] = {}
        for line in lines[1:-2]:
            name, colon, value = line.partition(":")
            if not colon:
                raise Malformed(f"no field: {line[:300]!r}")
            fields[name.lower()] = value.strip()
        closes = fields.get("connection", "").lower() == "close"
        body = Received(0, keep=True) if key is None else Received(key)
        return Response(int(rest[:3]), fields, body, closes=closes)

    async def _body(self, method: str, response: Response, pause: float) -> None:
        fields = response.fields
        if method == "HEAD" or response.status in (101, 204, 304):
            return
        if fields.get("transfer-encoding", "").lower() == "chunked":
            await self._chunks(response, pause)
        elif "content-length" in fields:
            left = int(fields["content-length"])
            while left:
                left -= len(data := await self._piece(left, response))
                if pause and data:
                    await asyncio.sleep(pause)
        else:
            response.closes = True
            while data := await self._reader.read(_LIMIT):
                response.body.feed(data)

    async def _piece(self, most: int, response: Response) -> bytes:
        data = await self._reader.read(min(most, _LIMIT))
        if not data:
            raise asyncio.IncompleteReadError(b"", most)
        response.body.feed(data)
        return data

    async def _chunks(self, response: Response, pause: float) -> None:
        while True:
            line = await self._line()
            try:
                left = int(line, 16)
            except ValueError:
                raise Malformed(f"no chunk size: {line[:100]!r}") from None
            if not left:
                break
            while left:
                left -= len(await self._piece(left, response))
            if await self._line() != b"":
                raise Malformed("a chunk does not end where it should")
            if pause:
                await asyncio.sleep(pause)
        while line := await self._line():
            name, _, value = line.decode("latin-1").partition(":")
            response.trailers[name.lower()] = value.strip()

    async def _line(self) -> bytes:
        try:
            line = await self._reader.readuntil(b"\r\n")
        except asyncio.IncompleteReadError:
            raise asyncio.IncompleteReadError(b"", 1) from None  # what came of it is no part of the body
        return line[:-2]


@dataclass(frozen=True)
class Where:
    """Where the proxy listens on 127.0.0.1."""

    http: int
    https: int
    context: ssl.SSLContext | None = None


async def connected(where: Where, tls: bool, receive_buffer: int = 0) -> Connection:
    """Connect to the proxy.

    :param receive_buffer: bytes of the kernel's buffer; 0: the system's choice.
    :raises OSError: it cannot be reached.
    """
    sock = socket.socket()
    try:
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        address = "127.0.0.1", where.https if tls else where.http
        await asyncio.get_running_loop().sock_connect(sock, address)
        name = "soak.example" if tls else None
        reader, writer = await asyncio.open_connection(
            sock=sock, ssl=where.context if tls else None, server_hostname=name, limit=_LIMIT
        )
    except BaseException:
        sock.close()
        raise
    return Connection(reader, writer)
