"""``checkin_service`` and ``terminate``: every request ends once, in order, whatever fails, and nothing of it stays.

The property: a random plan of clients, back-ends, connects, callbacks, stages and time, in which each step may fail in
each of its ways; then time enough for all to end by itself.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, TimeoutError
from twisted.trial.unittest import SynchronousTestCase

from tests.behaviour.unreliable import CALM, REQUESTS, RESPONSES, Tape, Unreliable, UnreliableStage
from vegurtx import Backend, default_middlewares
from vegurtx.testing import Call, MemoryProxy, RecordingRouter, answering
from vegurtx.testing.errors import ConversationError
from vegurtx.testing.memory.connection import MemoryConnection

BETWEEN = ("connecting", "retrying")
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ncalm"
FAILED = re.compile(r"connect to \S+: e\w+")
#: seconds that pass at once; the last ones are longer than each of the proxy's limits
TIMES = (0.0, 0.001, 1.0, 5.0, 30.0, 60.0)


def calls_by_request(calls: list[Call]) -> list[list[Call]]:
    """The calls of each request, in order."""
    found: dict[int, list[Call]] = {}
    for call in calls:
        found.setdefault(id(call.request), []).append(call)
    return list(found.values())


def faults_of(own: list[Call]) -> list[str]:
    """What is wrong with the calls of one request that has ended."""
    names = [call.name for call in own]
    checkins = [call.arguments for call in own if call.name == "checkin_service"]
    finals = [each for each in checkins if each[2] not in BETWEEN]
    faults = []
    if names[0] != "init" or names.count("init") != 1:
        faults.append("init is the first call, once")
    if names[-2:] != ["checkin_service", "terminate"] or names.count("terminate") != 1 or len(finals) != 1:
        faults.append("one final checkin, then one terminate, and nothing behind it")
        return faults
    group, service, phase, state = finals[0]
    if own[-2].arguments != finals[0]:
        faults.append("the final checkin is the last one")
    if own[-1].arguments != ("normal" if state == "normal" else "error",):
        faults.append("terminate and the final checkin agree")
    if phase not in ("lookup", "checkout", "connected"):
        faults.append("the phase is one of the three")
    if (phase == "lookup") != (group is None) or (phase == "lookup" and service is not None):
        faults.append("without a group, and only then, it is lookup")
    if phase == "lookup" and "checkout_service" in names:
        faults.append("whoever checks out has a group")
    if phase == "connected" and service is None:
        faults.append("a connection is some service's")
    given = Counter(call.arguments[0] for call in own if call.name == "service_backend")
    back = Counter(each[1] for each in checkins if each[1] is not None)
    if given != back:
        faults.append(f"each service that was checked out is checked in once: {given} and {back}")
    if state == "normal" and "error_page" in names:
        faults.append("who gets an error page has not ended normally")
    if len({id(call.state) for call in own[1:]}) != 1:
        faults.append("the state is always that of init")
    return faults


class World:
    """One plan, played.

    :param tape: decides everything.
    """

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.late: list[Callable[[], None]] = []
        self.router = Unreliable(tape, self.late)
        chain = default_middlewares()
        if tape.pick([False, True]):
            chain.insert(tape.number() % len(chain), UnreliableStage(self.router))
        self.proxy = MemoryProxy(self.router, None, chain)
        self.proxy.backend("10.0.0.9", 80, answering(OK))
        self.backends = [self.proxy.backend(host, 80) for host in ("10.0.0.1", "10.0.0.2")]
        self.unsaid: dict[int, bytes] = {}
        self.clients: list[MemoryConnection] = []
        self.client()

    # -- the steps of a plan --------------------------------------------------------------------------------------

    def client(self) -> None:
        """One more client, with up to three requests to send."""
        client = self.proxy.client()
        self.clients.append(client)
        count = 1 + self.tape.number() % 3
        self.unsaid[id(client)] = b"".join(self.tape.pick(REQUESTS) for _ in range(count))
        self.say(client, self.tape.pick([1 << 20, 1, 10, 60, 100]))

    def client_acts(self) -> None:
        """A client says more, ends in some way, or stops reading."""
        client = self.tape.pick(self.clients)
        self.act(client)

    def backend_acts(self) -> None:
        """A back-end's connection says something, ends in some way, or stops reading."""
        connections = [each for backend in self.backends for each in backend.connections]
        if connections:
            connection = connections[-1 - self.tape.number() % len(connections)]
            if not self.unsaid.get(id(connection)):
                self.unsaid[id(connection)] = self.tape.pick(RESPONSES)
            self.act(connection)

    def act(self, connection: MemoryConnection) -> None:
        """What any peer may do."""
        deed = self.tape.pick(
            ["say", "say", "say", "say some", "half_close", "close", "abort", "pause", "resume"]
        )
        with contextlib.suppress(ConversationError):  # it has ended already
            if deed.startswith("say"):
                self.say(connection, 1 << 20 if deed == "say" else 1 + self.tape.number())
            else:
                getattr(connection, deed)()

    def say(self, connection: MemoryConnection, size: int) -> None:
        """Send what is next."""
        data = self.unsaid[id(connection)]
        self.unsaid[id(connection)] = data[size:]
        connection.send(data[:size])

    def backend_changes(self) -> None:
        """From now on a back-end accepts, refuses or ignores."""
        getattr(self.tape.pick(self.backends), self.tape.pick(["accepts", "refuses", "ignores"]))()

    def time_passes(self) -> None:
        """Time."""
        self.proxy.advance(self.tape.pick(TIMES))

    def late_answer(self) -> None:
        """An answer that was waited for, or is not any more."""
        if self.late:
            self.late.pop(self.tape.number() % len(self.late))()
            self.proxy.settle()

    def calm(self) -> None:
        """Somebody else's request goes well."""
        client = self.proxy.client()
        assert client.ask("GET", f"http://{CALM}/").body == b"calm"
        client.close()

    def play(self, length: int) -> None:
        """All of it."""
        steps = (
            *(self.backend_acts,) * 4,
            *(self.client_acts,) * 2,
            self.late_answer,
            self.time_passes,
            self.client,
            self.backend_changes,
            self.calm,
        )
        for _ in range(length):
            self.tape.pick(steps)()

    # -- the end --------------------------------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """Let time end what goes on, and everybody leave; then look."""
        faults: list[str] = []
        for _ in range(200):
            if not self.unended():
                break
            self.proxy.advance(60)
        else:
            faults.append("a request that never ends by itself")
        for client in self.proxy.clients:
            client.abort()
        self.proxy.settle()
        keeper = self.proxy.factory.client  # its calls are for connections that rest, or close
        for call in self.proxy.clock.getDelayedCalls():
            if getattr(call.func, "__self__", None) is not keeper:
                faults.append(f"a delayed call: {call}")
        self.proxy.advance(120)
        for own in calls_by_request(self.proxy.calls):
            faults += [
                f"{fault}: {[(call.name, call.arguments) for call in own]}" for fault in faults_of(own)
            ]
        failed = sum(FAILED.fullmatch(line) is not None for line in self.proxy.transcript)
        connecting = sum(call.arguments[2] == "connecting" for call in self.proxy.of("checkin_service"))
        if failed != connecting:
            faults.append(f"{failed} failed connects, {connecting} checked in")
        try:
            self.proxy.idle()
            self.proxy.stop()
        except ConversationError as left:
            faults.append(str(left))
        return faults

    def unended(self) -> bool:
        """Whether a request goes on."""
        count = Counter(call.name for call in self.proxy.calls)
        return count["init"] != count["terminate"]


class Accounting(SynchronousTestCase):
    """Each request's last calls."""

    @settings(max_examples=800, deadline=None, derandomize=True, database=None)
    @given(st.binary(min_size=320, max_size=320), st.integers(1, 60))
    @example(b"", 1)
    def test_whatever_fails(self, numbers: bytes, length: int) -> None:
        """One init, one final checkin with the right phase, one terminate, the last; a checkin for each failed connect;
        no connection, no delayed call is left; others are served as if nothing had happened.
        """
        world = World(Tape(numbers))
        try:
            world.play(length)
            faults = world.faults()
        finally:
            self.flushLoggedErrors()
        if faults:
            raise AssertionError("\n".join([*faults, *world.proxy.transcript]))

    def test_dead_and_gone(self) -> None:
        """A pooled connection was dead, and its back-end is gone: a failed connect like any other."""
        router = RecordingRouter([Backend("10.0.0.1", 80, keepalive="default")], exhausted="gone")
        proxy = MemoryProxy(router)
        self.addCleanup(proxy.stop)
        backend = proxy.backend("10.0.0.1", 80)
        client = proxy.client()
        client.send(GET)
        server = backend.accept()
        server.send(OK)
        service = router.backends[0]
        client.send(GET)
        backend.refuses()
        server.close()
        self.assertEqual(
            [call.arguments[1:] for call in router.of("checkin_service")],
            [
                (service, "connected", "normal"),
                (service, "connecting", "econnrefused"),
                (None, "checkout", "gone"),
            ],
        )
        self.assertEqual([faults_of(own) for own in calls_by_request(router.calls)], [[], []])

    def test_checkin_never_answers(self) -> None:
        """A final ``checkin_service`` has ``router_timeout``; then it is cancelled, and ``terminate`` is called."""
        cancelled: list[Any] = []
        router = RecordingRouter(checkin_service=lambda *_: Deferred(cancelled.append))
        proxy = MemoryProxy(router, {"router_timeout": 2000})
        self.addCleanup(proxy.stop)
        client = proxy.client()
        client.send(GET)
        self.assertEqual(client.receive_response().status, 503)  # nobody waits for it
        proxy.advance(1.9)
        self.assertEqual((router.count("terminate"), cancelled), (0, []))
        proxy.advance(0.1)
        self.assertEqual((router.count("terminate"), len(cancelled)), (1, 1))
        self.assertEqual(len(self.flushLoggedErrors(TimeoutError)), 1)
        client.close()
        proxy.idle()

    def test_the_judge(self) -> None:
        """The judge of the property sees what it is there to see."""
        request: Any = object()

        def faults(*calls: tuple[str, tuple[Any, ...]]) -> int:
            return len(faults_of([Call(name, arguments, request, None) for name, arguments in calls]))

        start = (("init", (1.0,)), ("lookup_domain_name", ("x",)), ("checkout_service", ("x",)))
        backend = ("service_backend", ("one",))
        final = ("checkin_service", ("x", "one", "connected", "normal"))
        end = ("terminate", ("normal",))
        self.assertEqual(faults(*start, backend, final, end), 0)
        self.assertEqual(faults(*start, backend, end), 1)
        self.assertEqual(faults(*start, backend, final), 1)
        self.assertEqual(faults(*start, backend, end, final), 1)
        self.assertEqual(faults(*start, backend, final, end, end), 1)
        self.assertEqual(faults(*start, backend, final, final, end), 1)
        self.assertEqual(faults(*start, backend, final, ("terminate", ("error",))), 1)
        self.assertEqual(faults(*start, backend, ("service_backend", ("two",)), final, end), 1)
        self.assertEqual(
            faults(*start, backend, ("checkin_service", ("x", None, "lookup", "normal")), end), 3
        )
