"""A proxy before a back-end that records: what the tests of requests and headers stand on.

The back-end answers every request that it reads, and reads strictly; whatever reaches it as a second request,
or as a malformed one, is there to be seen. The proxy's clock of the day and its request ids are fixed, so
that what it writes can be compared byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from vegurtx.testing import (
    ProxyTestCase,
    RecordingRouter,
    Request,
    Response,
    RunningProxy,
    ScriptedConnection,
    ScriptedServer,
    answering,
    parse_response_head,
    router_to,
)

_T = TypeVar("_T")

OK = b"HTTP/1.1 200 OK\r\nServer: back-end\r\nContent-Length: 2\r\n\r\nhi"
OK_TO_CLIENT = (
    b"HTTP/1.1 200 OK\r\nServer: back-end\r\nContent-Length: 2\r\nVia: 1.1 vegur\r\nConnection: %b\r\n\r\nhi"
)
REQUEST_ID = "01234567-89ab-4cde-8f01-23456789abcd"
NOW = 1_700_000_000.25
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: smuggled.example\r\n\r\n"


def added(
    *,
    forwarded_for: str = "127.0.0.1",
    port: int = 80,
    proto: str | None = "http",
    request_id: str | None = REQUEST_ID,
    via: str = "1.1 vegur",
    connection: str = "keep-alive",
    extra: str = "",
) -> bytes:
    """The field lines that the proxy adds to a request, in its order, and the empty line; times are 0.

    `extra` stands for what the router adds, between `Via` and `Connection`.
    """
    lines = [f"X-Forwarded-For: {forwarded_for}", f"X-Forwarded-Port: {port}"]
    if proto is not None:
        lines.append(f"X-Forwarded-Proto: {proto}")
    if request_id is not None:
        lines.append(f"X-Request-Id: {request_id}")
    lines += [f"X-Request-Start: {int(NOW * 1000)}", "Connect-Time: 0", "Total-Route-Time: 0", f"Via: {via}"]
    return ("\r\n".join(lines) + "\r\n" + extra + f"Connection: {connection}\r\n\r\n").encode("ascii")


def timeless(raw: bytes) -> bytes:
    """`raw` with 0 for the two durations that a request's head names, and `#` for a page's date."""
    raw = re.sub(rb"(Connect-Time|Total-Route-Time): [0-9]+\r\n", rb"\1: 0\r\n", raw)
    return re.sub(rb"\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r", rb"\nDate: #\r", raw)


class RecordingCase(ProxyTestCase):
    """A `ProxyTestCase` with one recording back-end behind the proxy."""

    back: ScriptedServer
    router: RecordingRouter
    front: RunningProxy
    seen: list[Request]

    async def stage(
        self,
        answer: bytes | Callable[[Request], bytes] = OK,
        *,
        keepalive: str | None = "default",
        tls: Any = None,
        answers: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        """Start back-end, router and proxy.

        :param answer: what the back-end answers each request with.
        :param keepalive: as in `Backend`.
        :param tls: as in `ProxyTestCase.proxy`.
        :param answers: what the router answers, by callback.
        :param settings: the proxy's.
        """
        self.seen = []

        def reply(request: Request) -> bytes:
            self.seen.append(request)
            return answer(request) if callable(answer) else answer

        self.back = await self.backend(handler=answering(reply))
        self.router = router_to(self.back, keepalive=keepalive, **(answers or {}))
        self.front = await self.proxy(self.router, tls=tls, **settings)
        self.front.factory.wall = lambda: NOW
        self.front.factory.new_id = lambda: REQUEST_ID

    # -- one conversation
    # ------------------------------------------------------------------------------------------

    async def ask(
        self, request: bytes, *, source: str | None = None
    ) -> tuple[Request, Response, ScriptedConnection]:
        """Send `request` on a new connection; return what the back-end saw, what came home, and the
        connection.
        """
        before = len(self.seen)
        client = await self.front.connect(source=source)
        client.send(request)
        response = await client.receive_response(request.partition(b" ")[0])
        self.assertEqual(len(self.seen), before + 1, f"the back-end saw {self.seen[before:]!r}")
        self.assertEqual(await self.router.finished, "normal")
        return self.seen[-1], response, client

    async def passes(self, request: bytes, expected: bytes, *, source: str | None = None) -> Response:
        """Assert that `request` reaches the back-end as exactly `expected`, once, and is answered."""
        request_seen, response, client = await self.ask(request, source=source)
        self.assertEqual(timeless(request_seen.raw), expected)
        self.assertEqual(response.status, 200)
        client.close()
        return response

    async def refused(self, request: bytes, status: int, reason: Any = None) -> Response:
        """Assert that `request` is answered with `status` and a closed connection, and that no back-end sees
        it.

        What follows it on the connection is a good request, which must not be read as one. With a `reason`
        the router is told, in order and once; without, no callback is called.
        """
        seen, calls = len(self.seen), len(self.router.calls)
        contacts = len(self.back.connections)
        client = await self.front.connect()
        client.send(request + SMUGGLED)
        raw = await client.receive_all()
        client.close()
        response = parse_response_head(raw)
        self.assertEqual(response.status, status)
        self.assertEqual(response.all("connection"), ["close"])
        self.assertEqual(response.all("content-length"), ["0"])
        self.assertEqual(response.all("server"), ["vegur"])
        self.assertEqual(len(response.all("date")), 1)
        if reason is not None:
            self.assertEqual(await self.router.finished, "error")
        await self.turns()
        self.assertEqual(self.seen[seen:], [])
        self.assertEqual(len(self.back.connections), contacts, "the back-end was connected to")
        self.assertEqual(
            [(call.name, call.arguments) for call in self.router.calls[calls:] if call.name != "init"],
            []
            if reason is None
            else [
                ("error_page", (reason, None)),
                ("checkin_service", (None, None, "lookup", reason)),
                ("terminate", ("error",)),
            ],
        )
        self.assertEqual(self.router.names[calls : calls + 1], [] if reason is None else ["init"])
        return response

    async def each(self, vectors: Mapping[str, _T], check: Callable[[_T], Awaitable[object]]) -> None:
        """Let `check` see every vector, and fail with the names of all that it did not like."""
        wrong = []
        for name, vector in vectors.items():
            try:
                await check(vector)
            except AssertionError as error:
                wrong.append(f"{name}: {error}")
        if wrong:
            self.fail(f"{len(wrong)} of {len(vectors)}:\n" + "\n".join(wrong))
