"""A back-end that answers as it is asked to: bodies of any size in any framing, uploads that it checks, echoes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from soak.backends.faults import FAULTS
from soak.backends.heads import Malformed, Request, head, read_body, read_request
from soak.content import PIECE, chunk, digest, pieces

#: uploads that are sent back have at most so many bytes
MOST_ECHOED = 1 << 20


class Backend:
    """Serves streams from the proxy.

    :param name: what its responses call it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self.malformed: list[str] = []
        """What the proxy has sent and must not have: findings."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        try:
            while (request := await read_request(reader)) is not None:
                if not await self._answer(request, reader, writer):
                    break
        except Malformed as problem:
            self.malformed.append(f"{self.name}: {problem}")
        except (asyncio.IncompleteReadError, OSError):
            self.counts["left by the proxy"] += 1
        finally:
            writer.close()

    async def _answer(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        self.counts["requests"] += 1
        what = request.path[1] if len(request.path) > 1 else request.path[0]
        if what == "fault":
            fault = request.path[2]
            self.counts[f"fault {fault}"] += 1
            if fault != "early":
                await read_body(reader, request, request.number("b"))
            await FAULTS[fault](request, writer)
            return False
        if what == "echo":
            await self._echo(request, reader, writer)
        elif what == "upload":
            await self._upload(request, reader, writer)
        else:  # get, and probes
            await read_body(reader, request, 0)
            await self._get(request, writer)
        await writer.drain()
        return request.query.get("f") != "close"

    async def _get(self, request: Request, writer: asyncio.StreamWriter) -> None:
        for number in range(request.number("i")):
            writer.write(head("103 Early Hints", ("Link", f"</{number}>; rel=preload")))
        if wait := request.number("ms"):
            await asyncio.sleep(wait / 1000)
        key, size, framing = request.number("k"), request.number("n"), request.query.get("f", "length")
        status = request.query.get("s", "200 OK")
        sha256 = digest(key, size)
        fields: list[tuple[str, object]] = [("X-Soak-Id", request.id), ("X-Soak-Backend", self.name)]
        if status[:3] in ("204", "304"):
            writer.write(head(status, *fields))
            return
        fields.append(("X-Soak-Sha256", sha256))
        if framing == "chunked":
            fields += [("Transfer-Encoding", "chunked"), ("Trailer", "X-Soak-Trailer")]
        elif framing == "length":
            fields.append(("Content-Length", size))
        else:
            fields.append(("Connection", "close"))
        writer.write(head(status, *fields))
        if request.method == "HEAD":
            return
        pause = request.number("p") / 1000
        for piece in pieces(key, size, request.number("c", PIECE)):
            writer.write(chunk(piece) if framing == "chunked" else piece)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)
        if framing == "chunked":
            writer.write(f"0\r\nX-Soak-Trailer: {sha256}\r\n\r\n".encode())

    async def _upload(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        received, trailers = await read_body(reader, request, request.number("k"))
        self.counts["bytes of uploads"] += received.size
        found = {"size": received.size, "sha256": received.digest, "wrong_at": received.wrong_at}
        answer = json.dumps({**found, "trailers": trailers}).encode()
        fields = ("X-Soak-Id", request.id), ("Content-Length", len(answer))
        writer.write(head("200 OK", *fields) + answer)

    async def _echo(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        received, _ = await read_body(reader, request, request.number("k"), keep=True)
        self.counts["bytes of uploads"] += received.size
        if received.size > MOST_ECHOED:
            raise Malformed(f"an echo of {received.size} bytes")
        fields = ("X-Soak-Id", request.id), ("X-Soak-Sha256", received.digest)
        writer.write(head("200 OK", *fields, ("Transfer-Encoding", "chunked")))
        data = received.data or b""
        for begin in range(0, len(data), PIECE):
            piece = data[begin : begin + PIECE]
            writer.write(chunk(piece))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
