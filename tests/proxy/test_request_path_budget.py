"""What a plain request may cost, counted and not timed: calls, bytecode instructions, memory blocks, writes.

One keep-alive GET with a pooled back-end goes through the proxy's own protocols between transports that do nothing. The
counts are the same on every machine, so a change that makes the path longer shows here, and not first in a benchmark.
Where a feature is worth its price, raise the budget in the same change; where the path got shorter, lower it.
"""

from __future__ import annotations

import dis
import gc
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from unittest import skipUnless

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

import vegurtx
from vegurtx import Backend, ProxyFactory, Router

#: Python functions of ours that one request may call
CALLS = 52
#: built-in functions and methods that it may call (`sys.setprofile` does not tell of types, which may be called too)
BUILTIN_CALLS = 33
#: bytecode instructions on CPython 3.11
INSTRUCTIONS = 1860
#: memory blocks that a request holds while it waits for its response
BLOCKS_WAITING = 26
#: memory blocks that a client's connection holds which has served a request and waits for the next
BLOCKS_IDLE = 40

OURS = str(Path(vegurtx.__file__).parent)

SMALL = b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
BROWSER = (
    b"GET /some/path?x=1 HTTP/1.1\r\n"
    b"Host: www.example.com\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\n"
    b"Connection: keep-alive\r\n"
    b"Cookie: session=abcdefghijklmnop; theme=dark\r\n"
    b"Upgrade-Insecure-Requests: 1\r\n"
    b"Sec-Fetch-Dest: document\r\n"
    b"Sec-Fetch-Mode: navigate\r\n"
    b"\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\n"
    b"Server: origin\r\n"
    b"Date: Sat, 21 Nov 2026 07:37:50 GMT\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 12\r\n"
    b"Connection: keep-alive\r\n"
    b"\r\n"
    b"hello, world"
)


class OneBackend(Router):
    """The smallest router that there is."""

    backend = Backend("192.0.2.1", 80, keepalive="default")

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Any:
        """Always the same."""
        return self.backend

    def service_backend(self, service: Any, request: Any, state: Any) -> Any:
        """A service is its back-end here."""
        return service


class Wire:
    """A transport that only keeps what is written. It needs no Python call of its own but where one is made."""

    disconnecting = False

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.write = self.written.append
        self.pauses = 0

    def writeSequence(self, pieces: Any) -> None:
        """More than one write, as far as we count."""
        self.written.extend(pieces)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """It is never full."""

    def unregisterProducer(self) -> None:
        """It was never full."""

    def pauseProducing(self) -> None:
        """Nothing comes by itself."""
        self.pauses += 1

    def resumeProducing(self) -> None:
        """Nothing comes by itself."""

    def loseConnection(self) -> None:
        """Not in these tests."""
        raise AssertionError("the connection is to stay")

    abortConnection = loseConnection

    def getPeer(self) -> IPv4Address:
        """Some address."""
        return IPv4Address("TCP", "198.51.100.7", 55555)

    def getHost(self) -> IPv4Address:
        """Some other."""
        return IPv4Address("TCP", "198.51.100.1", 80)

    def getHandle(self) -> None:
        """No socket."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Of no effect."""


class CountingClock(Clock):
    """A reactor whose time is a built-in function, as a real one's is, and that counts delayed calls."""

    seconds = staticmethod(time.monotonic)

    def __init__(self) -> None:
        super().__init__()
        self.delayed = 0

    def callLater(self, delay: float, callable: Callable[..., object], *args: object, **kw: object) -> Any:
        """As in `Clock`."""
        self.delayed += 1
        return super().callLater(delay, callable, *args, **kw)


class Passage:
    """A proxy with a client and a back-end whose bytes a test carries by hand."""

    def __init__(self) -> None:
        self.clock = CountingClock()
        self.backends: list[tuple[Any, Wire]] = []
        self.factory = ProxyFactory(OneBackend(), reactor=self.clock, endpoint_for=lambda backend: self)  # type: ignore[arg-type,return-value]
        self.client, self.to_client = self.connect_client()

    def connect(self, factory: Any) -> Deferred[Any]:
        """The endpoint's part: a back-end's connection that stands at once."""
        protocol, wire = factory.buildProtocol(None), Wire()
        self.backends.append((protocol, wire))
        protocol.makeConnection(wire)
        return succeed(protocol)

    def connect_client(self) -> tuple[Any, Wire]:
        """Another client."""
        protocol, wire = self.factory.buildProtocol(None), Wire()
        protocol.makeConnection(wire)
        return protocol, wire

    def exchange(self, request: bytes) -> None:
        """One request and its response, each in one segment."""
        self.client.dataReceived(request)
        self.backends[0][0].dataReceived(RESPONSE)

    def warm(self, request: bytes, times: int = 50) -> None:
        """Let everything that is done once be done."""
        for _ in range(times):
            self.exchange(request)
        self.forget()

    def forget(self) -> None:
        """Drop what was written."""
        self.to_client.written.clear()
        for _, wire in self.backends:
            wire.written.clear()


def _profiled(act: Callable[[], None]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Run `act`; return the calls of our functions, of built-ins by these, and of whatever else is Python."""
    ours: Counter[str] = Counter()
    builtin: Counter[str] = Counter()
    foreign: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call":
            if code.co_filename.startswith(OURS):
                ours[code.co_qualname] += 1
            elif code.co_filename != __file__:
                foreign[f"{code.co_filename}: {code.co_qualname}"] += 1
        elif event == "c_call" and code.co_filename.startswith(OURS):
            builtin[getattr(argument, "__qualname__", repr(argument))] += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        act()
    finally:
        sys.setprofile(before)
    return ours, builtin, foreign


def _our_calls(act: Callable[[], None]) -> Counter[str]:
    return _profiled(act)[0]


def _builtin_calls(act: Callable[[], None]) -> Counter[str]:
    return _profiled(act)[1]


def _foreign_calls(act: Callable[[], None]) -> Counter[str]:
    return _profiled(act)[2]


def _instructions(act: Callable[[], None]) -> Counter[str]:
    """Run `act`; return how often each bytecode instruction was executed in our functions."""
    executed: Counter[str] = Counter()
    names: dict[CodeType, dict[int, str]] = {}

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(OURS):
            return None
        if event == "call":
            if code not in names:
                names[code] = {each.offset: each.opname for each in dis.get_instructions(code)}
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        elif event == "opcode":
            executed[names[code][frame.f_lasti]] += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return executed


class RequestPathBudgetTests(SynchronousTestCase):
    """The way of a plain request stays as short as it is."""

    def setUp(self) -> None:
        """A proxy that has served some requests; the garbage collector does not come in between."""
        self.path = Passage()
        self.path.warm(SMALL)
        collects = gc.isenabled()
        gc.collect()
        gc.disable()
        if collects:
            self.addCleanup(gc.enable)

    def within(
        self, budget: int, request: bytes, count: Callable[[Callable[[], None]], Counter[str]]
    ) -> None:
        """What is counted for `request` is within the budget, and the budget is not out of date."""
        self.path.warm(request)
        counts = self.cheapest(request, count)
        self.assertLessEqual(
            counts.total(), budget, ", ".join(f"{name} {n}" for name, n in counts.most_common())
        )
        self.assertGreater(counts.total(), budget * 0.75, "the path got shorter: lower the budget")

    def cheapest(self, request: bytes, count: Callable[[Callable[[], None]], Counter[str]]) -> Counter[str]:
        """What is counted for one of several requests: work that is done for many at once falls on any of them."""
        return min((count(lambda: self.path.exchange(request)) for _ in range(3)), key=Counter.total)

    def test_python_calls(self) -> None:
        """A plain request calls no more Python functions than its budget allows."""
        self.within(CALLS, SMALL, _our_calls)
        self.within(CALLS, BROWSER, _our_calls)

    def test_builtin_calls(self) -> None:
        """A plain request calls no more built-in functions than its budget allows."""
        self.within(BUILTIN_CALLS, SMALL, _builtin_calls)
        self.within(BUILTIN_CALLS, BROWSER, _builtin_calls)

    @skipUnless(sys.version_info[:2] == (3, 11), "each version of Python has its own instructions")
    def test_instructions(self) -> None:
        """A plain request executes no more bytecode instructions than its budget allows."""
        self.within(INSTRUCTIONS, SMALL, _instructions)
        self.within(INSTRUCTIONS, BROWSER, _instructions)

    def test_only_our_own_code(self) -> None:
        """A plain request runs through no other Python code: no Deferred, no delayed call, no standard library."""
        delayed = self.path.clock.delayed
        self.assertEqual(self.cheapest(SMALL, _foreign_calls), Counter())
        self.assertEqual(self.path.clock.delayed, delayed)

    def test_no_function_is_made(self) -> None:
        """A plain request makes no closure, lambda or comprehension's function."""
        executed = self.cheapest(SMALL, _instructions)
        self.assertGreater(executed.total(), 100)  # it does count
        self.assertEqual(executed["MAKE_FUNCTION"], 0)

    def test_one_write_a_direction(self) -> None:
        """The request goes out in one write, and so does the response, head and body together."""
        self.path.exchange(SMALL)
        (_, to_backend), *more = self.path.backends
        self.assertEqual(more, [])  # the pooled connection was taken
        self.assertEqual(len(to_backend.written), 1)
        self.assertTrue(to_backend.written[0].startswith(b"GET / HTTP/1.1\r\n"))
        self.assertEqual(len(self.path.to_client.written), 1)
        self.assertTrue(self.path.to_client.written[0].endswith(b"\r\n\r\nhello, world"))
        self.assertEqual((self.path.to_client.pauses, to_backend.pauses), (0, 0))

    def test_nothing_stays(self) -> None:
        """After a request there is no memory block more than before it, and nothing for the garbage collector."""
        before = self._blocks_after(200)
        # A few blocks may come and go in the interpreter's own caches; one a request would be 200.
        self.assertLess(self._blocks_after(200) - before, 100)
        self.assertEqual(gc.collect(), 0)

    def _blocks_after(self, requests: int) -> int:
        for _ in range(requests):
            self.path.exchange(SMALL)
            self.path.forget()
        return sys.getallocatedblocks()

    def test_blocks_of_a_waiting_request(self) -> None:
        """A request that waits for its response holds no more memory blocks than its budget allows."""
        self.path.forget()
        before = sys.getallocatedblocks()
        self.path.client.dataReceived(SMALL)
        held = sys.getallocatedblocks() - before
        self.path.backends[0][0].dataReceived(RESPONSE)
        self.assertLessEqual(held, BLOCKS_WAITING)
        self.assertGreater(held, BLOCKS_WAITING * 0.5)

    def test_blocks_of_an_idle_client(self) -> None:
        """A client that has been served and waits holds no more memory blocks than its budget allows."""
        clients: list[tuple[Any, Wire]] = []

        def another() -> None:
            self.path.client, self.path.to_client = client = self.path.connect_client()
            clients.append(client)
            self.path.exchange(SMALL)
            self.path.forget()

        for _ in range(20):
            another()
        before = sys.getallocatedblocks()
        for _ in range(100):
            another()
        held = (sys.getallocatedblocks() - before) / 100
        self.assertLessEqual(held, BLOCKS_IDLE)
        self.assertGreater(held, BLOCKS_IDLE * 0.5)
