"""Rules 21 and 24: whatever breaks an exchange off, and when, nothing of it stays.

Each phase of an exchange, ended in each way that it can end, several times at once: 500 exchanges and more.
After each kind of end the process has the descriptors that it had, no delayed call is left, the factory knows
of nobody, and no object of the exchange lives on, although the garbage collector has not run: an exchange
leaves no reference cycles.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, gatherResults

from tests.behaviour.conversation import CHUNKED_POST, GET, OK, post
from tests.behaviour.uncollected import WithoutCollector
from vegurtx import RouteError
from vegurtx.testing import RecordingRouter, RunningProxy, ScriptedConnection, ScriptedServer
from vegurtx.testing.leaks import pending_timers

AT_ONCE = 8
UPGRADE = b"GET / HTTP/1.1\r\nHost: example.org\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nab"


def silence(*_: Any) -> Deferred[Any]:
    """A callback that never answers."""
    return Deferred()


def silence_downstream(direction: str, *_: Any) -> Any:
    """Never says what is added to a response."""
    return Deferred() if direction == "downstream" else ()


async def silence_in_a_coroutine(*_: Any) -> None:
    """A callback that never answers, written as users write them."""
    await Deferred()


def refuse(*_: Any) -> None:
    """A callback that has no answer."""
    raise RouteError("mine")


class Phase(NamedTuple):
    """How far an exchange gets before it is broken off."""

    says: bytes
    #: what the back-end has received then, behind the head; `None` where it is not reached
    body: bytes | None = None
    #: what the back-end answers
    answers: bytes = b""
    #: the end of what of it reaches the client
    arrives: bytes = b""
    #: the callback which is asked last
    asked: str = ""
    router: dict[str, Any] = {}
    keepalive: Any = None
    #: where the connect goes
    silent: bool = False


PHASES = {
    "silence": Phase(b""),
    "in the head": Phase(b"GET / HTTP/1.1\r\nHo"),
    "init": Phase(GET, asked="init", router={"init": silence}),
    "lookup": Phase(GET, asked="lookup_domain_name", router={"lookup_domain_name": silence}),
    "lookup, body behind": Phase(
        post(5) + b"ab", asked="lookup_domain_name", router={"lookup_domain_name": silence}
    ),
    "lookup in a coroutine": Phase(
        GET, asked="lookup_domain_name", router={"lookup_domain_name": silence_in_a_coroutine}
    ),
    "checkout": Phase(GET, asked="checkout_service", router={"checkout_service": silence}),
    "connecting": Phase(GET, asked="service_backend", silent=True),
    "error page": Phase(GET, asked="error_page", router={"error_page": silence, "checkout_service": refuse}),
    "in the body": Phase(post(5) + b"ab", b"ab"),
    "in a chunked body": Phase(CHUNKED_POST + b"2\r\nab\r\n", b"2\r\nab\r\n"),
    "waiting": Phase(GET, b""),
    "waiting, pooled": Phase(GET, b"", keepalive="default"),
    "waiting, more behind": Phase(GET * 3, b""),
    "in the response's head": Phase(GET, b"", b"HTTP/1.1 200 OK\r\nA: "),
    "response headers": Phase(
        GET, b"", LENGTH, asked="additional_headers", router={"additional_headers": silence_downstream}
    ),
    "in the response": Phase(GET, b"", LENGTH, b"ab"),
    "in a chunked response": Phase(GET, b"", CHUNKED, b"2\r\nab\r\n", keepalive="default"),
    "in a response until close": Phase(GET, b"", UNTIL_CLOSE, b"ab"),
    "early response": Phase(post(5) + b"ab", b"ab", OK, b"hi"),
    "in a tunnel": Phase(UPGRADE, b"", SWITCHING + b"ab", b"ab"),
    "between requests": Phase(GET, b"", OK, b"hi"),
    "between requests, pooled": Phase(GET, b"", OK, b"hi", keepalive="default"),
}


class Cast(NamedTuple):
    """All that takes part in one kind of end."""

    proxy: RunningProxy
    clock: Any
    router: RecordingRouter
    backend: ScriptedServer
    clients: list[ScriptedConnection]
    servers: list[ScriptedConnection]


def client_resets(cast: Cast) -> None:
    """All clients reset."""
    for client in cast.clients:
        client.abort()


def client_closes(cast: Cast) -> None:
    """All clients close, as programs do."""
    for client in cast.clients:
        client.close()


def backend_resets(cast: Cast) -> None:
    """The back-end resets all connections."""
    for server in cast.servers:
        server.abort()


def backend_closes(cast: Cast) -> None:
    """The back-end closes all connections."""
    for server in cast.servers:
        server.close()


def time_passes(cast: Cast) -> None:
    """Longer than any limit, one limit after the other."""
    for _ in range(3):
        cast.clock.advance(61)


ENDS: list[Callable[[Cast], None]] = [
    client_resets,
    client_closes,
    backend_resets,
    backend_closes,
    time_passes,
]


def descriptors() -> Counter[str]:
    """What is open in this process."""
    found: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the folder itself, as it was listed
            found[os.readlink(f"/proc/self/fd/{number}")] += 1
    return found


class NothingStays(WithoutCollector):
    """An exchange is broken off."""

    def setUp(self) -> None:
        """Count them."""
        super().setUp()
        self.exchanges = 0

    async def warm_up(self) -> None:
        """Whatever the reactor opens once and keeps is opened now."""
        proxy = await self.proxy(RecordingRouter())
        client = await proxy.connect()
        client.send(GET)
        await client.receive_response()
        client.abort()
        await self.until(lambda: not proxy.factory.connections)
        proxy.router.calls.clear()
        await proxy.stop()

    async def reach(self, cast: Cast, phase: Phase) -> None:
        """One more client gets as far as `phase`."""
        client = await cast.proxy.connect()
        cast.clients.append(client)
        if phase.says:
            client.send(phase.says)
        if phase.body is not None:
            server = await cast.backend.accept()
            cast.servers.append(server)
            await server.receive_head()
            await server.receive(len(phase.body))
            if phase.answers:
                server.send(phase.answers)
            if phase.arrives:
                await client.receive_until(phase.arrives)

    async def all_there(self, cast: Cast, phase: Phase) -> None:
        """Wait until the proxy has noticed all of it."""
        connections = cast.proxy.factory.connections
        await self.until(lambda: len(connections) == AT_ONCE, "all clients")
        if phase.asked:
            expected = AT_ONCE * (2 if phase.asked == "additional_headers" else 1)
            await self.until(lambda: cast.router.count(phase.asked) == expected, phase.asked)
        elif phase.body is None and phase.says:
            await self.until(lambda: all(each._partial for each in connections), "all heads' beginnings")
        await self.turns()

    async def broken_off(self, name: str, phase: Phase, end: Callable[[Cast], None]) -> None:
        """Several exchanges get as far as `phase`, and end so; nothing of them stays."""
        before = descriptors()
        backend = await self.backend()
        address = await self.silent_backend() if phase.silent else backend
        router = RecordingRouter([address], keepalive=phase.keepalive, **phase.router)
        proxy, clock = await self.timed_proxy(router, downstream_connect_timeout=20)
        cast = Cast(proxy, clock, router, backend, [], [])
        await gatherResults([Deferred.fromCoroutine(self.reach(cast, phase)) for _ in range(AT_ONCE)])
        await self.all_there(cast, phase)
        end(cast)
        await self.turns()
        if phase.silent and end is time_passes:
            await self.until(lambda: router.count("terminate") == AT_ONCE, "the connects' timeouts")
        client_resets(cast)
        backend_resets(cast)
        factory = proxy.factory
        await self.until(lambda: self.let_go(cast), "the proxy to let go of its clients")
        await proxy.stop()
        factory.stop()
        backend.stop()
        address.stop()
        await self.settled(cast, before)
        self.assertEqual(router.count("init"), router.count("terminate"))
        self.assertEqual(pending_timers(self.reactor), [])
        self.assertEqual(clock._clock.getDelayedCalls(), [])
        self.assertEqual(len(factory.client.pool), 0)
        self.exchanges += router.count("init") or AT_ONCE
        router.calls.clear()
        router._terminated.clear()
        self.assert_gone()

    def let_go(self, cast: Cast) -> bool:
        """Whether the proxy has let go of all clients; who has only closed may wait for an answer."""
        for server in cast.backend.connections:  # those too which a pipelined request has opened since
            server.abort()
        if cast.proxy.factory.connections:
            time_passes(cast)
            return False
        return True

    async def settled(self, cast: Cast, before: Counter[str]) -> None:
        """Wait until the process has the descriptors which it had `before`."""
        try:
            await self.until(lambda: self.let_go(cast) and descriptors() == before)
        except self.failureException:
            self.fail(f"new: {descriptors() - before}, missing: {before - descriptors()}")
        await self.turns()

    async def test_every_kind(self) -> None:
        """Rules 21, 24: in every phase, whoever ends it."""
        await self.warm_up()
        for name, phase in PHASES.items():
            for end in ENDS:
                if end in (backend_resets, backend_closes) and phase.body is None:
                    continue
                with self.row(name, end.__name__):
                    await self.broken_off(name, phase, end)
        self.assertGreater(self.exchanges, 500)
