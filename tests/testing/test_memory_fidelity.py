"""The same conversations in memory and over real sockets: every byte, every end and every callback is the same.

Each script is played twice, by `MemoryProxy` and by `ProxyTestCase`, and what both sides received, how both connections
ended and what the router was told are compared. The fields that name times, addresses and ids are made equal before.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, NamedTuple

from vegurtx import Backend
from vegurtx.testing import MemoryProxy, ProxyTestCase, RecordingRouter

GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\nCookie: c\r\n\r\n"
OLD_GET = b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
VOLATILE = re.compile(
    rb"\r\n(X-Request-Id|X-Request-Start|Connect-Time|Total-Route-Time|X-Forwarded-For|Date): [^\r]*"
)


def post(length: int) -> bytes:
    """The head of a request with a body."""
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length


async def now(value: Any) -> Any:
    """`value`, waited for where it is awaitable: the one difference between the two worlds."""
    return await value if isawaitable(value) else value


class Cast(NamedTuple):
    """Who takes part: connections of either kind."""

    client: Any
    accept: Callable[[], Any]
    ends: list[Any]


async def server_of(cast: Cast, whole: bool = True) -> Any:
    """The back-end's next connection, which has got its request (or the request's head)."""
    server = await now(cast.accept())
    cast.ends.append(server)
    await now(server.receive_request() if whole else server.receive_head())
    return server


async def keep_alive(cast: Cast) -> None:
    """Three requests on one connection each way."""
    server = None
    for _ in range(3):
        cast.client.send(GET)
        if server is None:
            server = await server_of(cast)
        else:
            await now(server.receive_request())
        server.send(OK)
        await now(cast.client.receive_response())
    cast.client.close()


async def chunked(cast: Cast) -> None:
    """Chunks and trailers both ways, cut into pieces."""
    head = post(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    cast.client.send(head + b"2\r\nab\r\n")
    server = await server_of(cast, whole=False)
    await now(server.expect(b"2\r\nab\r\n"))
    cast.client.send(b"1;x=y\r\nc\r\n0\r\nA: b\r\n\r\n")
    await now(server.expect(b"1\r\nc\r\n0\r\nA: b\r\n\r\n"))
    server.send(CHUNKED + b"2\r\nhe\r\n")
    await now(cast.client.receive_until(b"he\r\n"))
    server.send(b"0\r\nC: d\r\n\r\n")
    await now(cast.client.receive_until(b"C: d\r\n\r\n"))
    cast.client.close()


async def pipelined(cast: Cast) -> None:
    """Two requests in one segment; the connection ends after the second."""
    cast.client.send(GET + GET[:-2] + b"Connection: close\r\n\r\n")
    server = await server_of(cast)
    server.send(OK)
    await now(server.receive_request())
    server.send(OK)
    await now(cast.client.receive_response())
    await now(cast.client.receive_response())
    await now(cast.client.eof())


async def half_closed_client(cast: Cast) -> None:
    """A client that has said all still gets its answer."""
    cast.client.send(GET)
    cast.client.half_close()
    server = await server_of(cast)
    server.send(OK)
    await now(cast.client.receive_response())
    await now(cast.client.eof())


async def until_close(cast: Cast) -> None:
    """A response that ends by closing."""
    cast.client.send(GET)
    server = await server_of(cast)
    server.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
    await now(cast.client.receive_until(b"hello"))
    server.close()
    await now(cast.client.eof())


async def http_1_0(cast: Cast) -> None:
    """A chunked response to an old client."""
    cast.client.send(OLD_GET)
    server = await server_of(cast)
    server.send(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")
    await now(cast.client.eof())


async def continued(cast: Cast) -> None:
    """The proxy's own 100."""
    cast.client.send(post(5)[:-2] + b"Expect: 100-continue\r\n\r\n")
    await now(cast.client.expect(b"HTTP/1.1 100 Continue\r\n\r\n"))
    server = await server_of(cast, whole=False)
    cast.client.send(b"hello")
    await now(server.expect(b"hello"))
    server.send(OK)
    await now(cast.client.receive_response())
    cast.client.close()


async def backend_resets(cast: Cast) -> None:
    """A response breaks off by a reset."""
    cast.client.send(GET)
    server = await server_of(cast)
    server.send(OK[:-1])
    await now(cast.client.receive_until(b"\r\n\r\nh"))
    server.abort()


async def backend_closes(cast: Cast) -> None:
    """A response breaks off by a close."""
    cast.client.send(GET)
    server = await server_of(cast)
    server.send(CHUNKED + b"5\r\nhe")
    await now(cast.client.receive_until(b"he"))
    server.close()


async def bad_chunk(cast: Cast) -> None:
    """A response breaks off by what is no chunk."""
    cast.client.send(GET)
    server = await server_of(cast)
    server.send(CHUNKED + b"2\r\nhi\r\n")
    await now(cast.client.receive_until(b"hi\r\n"))
    server.send(b"x\r\n")


async def backend_says_nothing(cast: Cast) -> None:
    """A back-end closes without a word: an error page, and the connection goes on."""
    cast.client.send(GET)
    server = await server_of(cast)
    server.close()
    await now(cast.client.receive_response())
    cast.client.send(GET)
    second = await server_of(cast)
    second.send(OK)
    await now(cast.client.receive_response())
    cast.client.close()


async def client_resets(cast: Cast) -> None:
    """A client leaves in the middle of its upload."""
    cast.client.send(post(10) + b"hello")
    server = await server_of(cast, whole=False)
    await now(server.expect(b"hello"))
    cast.client.abort()


async def client_closes(cast: Cast) -> None:
    """A client ends in order in the middle of its upload."""
    cast.client.send(post(10) + b"hello")
    server = await server_of(cast, whole=False)
    await now(server.expect(b"hello"))
    cast.client.half_close()


async def early_response(cast: Cast) -> None:
    """A response while the client still sends."""
    cast.client.send(post(10) + b"hello")
    server = await server_of(cast, whole=False)
    await now(server.expect(b"hello"))
    server.send(OK)
    await now(cast.client.receive_response())
    await now(cast.client.eof())
    cast.client.send(b"world and more")
    cast.client.half_close()


async def rejected(cast: Cast) -> None:
    """What is no request."""
    cast.client.send(b"GET / HTTP/1.1\r\nA : b\r\n\r\n" + GET)
    await now(cast.client.receive_response())
    await now(cast.client.eof())


async def pipe(cast: Cast) -> None:
    """A byte pipe whose directions end one after the other."""
    cast.client.send(UPGRADE + b"first")
    server = await server_of(cast)
    server.send(SWITCHED + b"hello")
    await now(cast.client.receive_until(b"hello"))
    await now(server.expect(b"first"))
    cast.client.send(b"more")
    await now(server.expect(b"more"))
    server.half_close()
    await now(cast.client.eof())
    cast.client.send(b"last")
    await now(server.expect(b"last"))
    cast.client.half_close()
    await now(server.eof())


async def broken_pipe(cast: Cast) -> None:
    """A byte pipe that one side resets."""
    cast.client.send(UPGRADE)
    server = await server_of(cast)
    server.send(SWITCHED)
    await now(cast.client.receive_until(b"\r\n\r\n"))
    server.abort()


async def large(cast: Cast) -> None:
    """A megabyte each way."""
    body = bytes(range(256)) * 4096
    cast.client.send(post(len(body)) + body)
    server = await server_of(cast)
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await now(cast.client.receive_response())
    cast.client.close()


SCRIPTS: list[Callable[[Cast], Awaitable[None]]] = [
    keep_alive,
    chunked,
    pipelined,
    half_closed_client,
    until_close,
    http_1_0,
    continued,
    backend_resets,
    backend_closes,
    bad_chunk,
    backend_says_nothing,
    client_resets,
    client_closes,
    early_response,
    rejected,
    pipe,
    broken_pipe,
    large,
]


class Outcome(NamedTuple):
    """What one play of a script came to."""

    heard: list[bytes]
    ends: list[str]
    told: list[tuple[Any, ...]]


def outcome(ends: list[Any], how: list[str], router: RecordingRouter) -> Outcome:
    """Without what differs from one run to the next."""
    told = [
        (call.name, *(value for value in call.arguments if not isinstance(value, (Backend, float))))
        for call in router.calls
    ]
    return Outcome([VOLATILE.sub(b"", end.received) for end in ends], how, told)


class BothWorlds(ProxyTestCase):
    """Each script, in both."""

    async def in_memory(self, script: Callable[[Cast], Awaitable[None]], keepalive: Any) -> Outcome:
        """Play it without sockets."""
        router = RecordingRouter([Backend("127.0.0.1", 8081, keepalive=keepalive)])
        proxy = MemoryProxy(router)
        backend = proxy.backend("127.0.0.1", 8081)
        cast = Cast(proxy.client(), backend.accept, [])
        cast.ends.append(cast.client)
        await script(cast)
        how = [end.closed() if end.arrival.value != "open" else "open" for end in cast.ends]
        proxy.stop()
        return outcome(cast.ends, how, router)

    async def on_sockets(
        self, script: Callable[[Cast], Awaitable[None]], keepalive: Any, expected: Outcome
    ) -> Outcome:
        """Play it on the reactor. An end that is open at the end in memory must be open here."""
        backend = await self.backend()
        router = RecordingRouter([backend], keepalive=keepalive)
        proxy = await self.proxy(router)
        cast = Cast(await proxy.connect(), backend.accept, [])
        cast.ends.append(cast.client)
        await script(cast)
        how = []
        for end, wanted in zip(cast.ends, expected.ends, strict=True):
            if wanted == "open":
                await self.turns(5)
                how.append(end.arrival.value)
            else:
                how.append(await end.closed())
        if expected.told:
            await router.finished
            await self.until(lambda: len(router.calls) >= len(expected.told))
        await proxy.stop()
        return outcome(cast.ends, how, router)

    async def test_every_script(self) -> None:
        """What reaches the peers, how they are left and what the router is told."""
        for script in SCRIPTS:
            for keepalive in ("default", None):
                if keepalive is None and script in (keep_alive, pipelined):
                    continue  # these count on one connection to the back-end
                try:
                    memory = await self.in_memory(script, keepalive)
                    sockets = await self.on_sockets(script, keepalive, memory)
                    self.assertEqual(memory.heard, sockets.heard)
                    self.assertEqual(memory.ends, sockets.ends)
                    self.assertEqual(memory.told, sockets.told)
                except BaseException as error:
                    error.add_note(f"in the script {script.__name__}, keepalive={keepalive}")
                    raise
