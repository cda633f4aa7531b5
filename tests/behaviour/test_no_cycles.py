"""A request that ends by itself leaves no reference cycles: it is gone without the garbage collector.

Answered by the back-end, by the router, or by the proxy alone, and whatever its callbacks raise on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import fail

from tests.behaviour.conversation import CHUNKED_POST, GET, OK
from tests.behaviour.uncollected import WithoutCollector
from vegurtx import Backend, Redirect, RouteError
from vegurtx.testing import RecordingRouter, ScriptedServer, answering


def ready(head: bytes, **answers: Any) -> tuple[bytes, dict[str, Any]]:
    """A row of `WHOLE`."""
    return head, answers


def raises(kind: Callable[[], Exception]) -> Callable[..., None]:
    """A callback that raises."""

    def callback(*_: Any) -> None:
        raise kind()

    return callback


def raises_later(kind: Callable[[], Exception]) -> Callable[..., Any]:
    """A callback that raises in a coroutine."""

    async def callback(*_: Any) -> None:
        raise kind()

    return callback


def fails(kind: Callable[[], Exception]) -> Callable[..., Any]:
    """A callback whose Deferred fails."""
    return lambda *_: fail(kind())


def refusal() -> RouteError:
    """A router's own reason; a new one each time, since an exception keeps the frames that it passes."""
    return RouteError("mine")


async def nothing(*_: Any) -> None:
    """A callback that says nothing, in a coroutine."""


#: requests that end by themselves, and what the router answers
WHOLE = {
    "plain": ready(GET),
    "pipelined": ready(GET * 3),
    "chunked": ready(CHUNKED_POST + b"2\r\nab\r\n0\r\n\r\n"),
    "HTTP/1.0": ready(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"),
    "coroutines": ready(GET, init=nothing, checkin_service=nothing, terminate=nothing),
    "failing check-in": ready(GET, checkin_service=raises_later(ArithmeticError)),
    "failing terminate": ready(GET, terminate=raises(ArithmeticError)),
    "redirect": ready(GET, lookup_domain_name=lambda *_: Redirect("example.net")),
    "no Host": ready(b"GET / HTTP/1.1\r\n\r\n"),
    "two Hosts": ready(b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
    "bad target": ready(b"GET * HTTP/1.1\r\nHost: x\r\n\r\n"),
    "CONNECT": ready(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "bad length": ready(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n"),
    "bad coding": ready(b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: x\r\n\r\n"),
    "bad expectation": ready(b"GET / HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n"),
    "bad upgrade": ready(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n\r\n"),
    "bad head": ready(b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
    "refused": ready(GET, checkout_service=raises(refusal)),
    "refused in a coroutine": ready(GET, checkout_service=raises_later(refusal)),
    "refused by a Deferred": ready(GET, checkout_service=fails(refusal)),
    "crash": ready(GET, lookup_domain_name=raises(ArithmeticError)),
    "crash in a coroutine": ready(GET, lookup_domain_name=raises_later(ArithmeticError)),
    "crash of a Deferred": ready(GET, lookup_domain_name=fails(ArithmeticError)),
    "no service": ready(GET, service_backend=lambda *_: 7),
    "crash behind the connect": ready(GET, additional_headers=raises(ArithmeticError)),
    "crash of the page": ready(GET, checkout_service=raises(refusal), error_page=raises(ArithmeticError)),
    "crash of the page in a coroutine": ready(
        GET, checkout_service=raises(refusal), error_page=raises_later(ArithmeticError)
    ),
    "refused connects": ready(GET, service_backend=lambda *_: Backend("127.0.0.1", 1)),
}


class NoCycles(WithoutCollector):
    """An exchange ends by itself."""

    async def ended(self, backend: ScriptedServer, request: bytes, answers: dict[str, Any]) -> None:
        """`request` is answered; the client waits for that, and leaves."""
        router = RecordingRouter([backend] * 2, keepalive="default", **answers)
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(request)
        client.half_close()
        await client.closed()
        await self.until(lambda: not proxy.factory.connections)
        proxy.factory.stop()
        await self.until(lambda: router.count("terminate") == router.count("init"))
        await self.turns()
        self.flushLoggedErrors()
        router.calls.clear()
        self.assert_gone()

    async def test_whole(self) -> None:
        """Rule 21: answered by the back-end, by the router, or by the proxy alone, it leaves no cycle."""
        backend = await self.backend(handler=answering(OK))
        for name, (request, answers) in WHOLE.items():
            with self.row(name):
                await self.ended(backend, request, answers)
