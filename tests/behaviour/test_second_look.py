"""A second look at what was made faster, and at retries: heads that are remembered, and requests that are sent again.

Everything here is exact, on `MemoryProxy`: what a remembered head gives is compared with what a first one gives, byte
for byte, and what a second back-end gets with what the first one got.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Backend, Router
from vegurtx.net.server import HOLD
from vegurtx.testing import MemoryProxy, RecordingRouter

HI = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
GET = b"GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n"
#: a request id of our own making
OURS = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
FIRST, SECOND = ("192.0.2.81", 80), ("192.0.2.82", 80)


def on(*features: str) -> Callable[..., bool]:
    """A router's `feature`."""
    return lambda name, *_: name in features


class Retried(SynchronousTestCase):
    """The feature ``retry``: what the second back-end gets is a request of its own, with the same body."""

    def stage(self, keepalive: tuple[Any, Any] = ("default", "default"), **answers: Any) -> None:
        """Two back-ends, a router that retries, and a client."""
        self.router = RecordingRouter([], **{"feature": on("retry"), **answers})
        self.proxy = MemoryProxy(self.router)
        self.addCleanup(self.proxy.stop)
        self.first, self.second = self.proxy.backend(*FIRST), self.proxy.backend(*SECOND)
        self.router.backends = [self.first.as_backend(keepalive[0]), self.second.as_backend(keepalive[1])]
        self.client = self.proxy.client()

    def failed(self) -> Any:
        """The request has reached the first back-end, which closes; returns what reaches the second one."""
        server = self.first.accept()
        server.receive_head()
        server.close()
        return self.second.accept()

    def test_connection_field(self) -> None:
        """Rule 12: each back-end is told whether its own connection stays open, and it is what was said."""
        for first, second, said, pooled in (
            (None, "default", "keep-alive", 1),
            ("default", None, "close", 0),
            ("default", "new", "keep-alive", 1),
        ):
            with self.subTest(first=first, second=second):
                self.stage((first, second))
                self.client.send(GET)
                server = self.failed()
                self.assertEqual(server.receive_request().header("connection"), said)
                server.send(HI)
                self.assertEqual(self.client.receive_response().body, b"hi")
                self.assertEqual(self.proxy.pooled, pooled)

    def test_router_is_asked_again(self) -> None:
        """Target, added fields and the feature ``peer_port`` are those for the back-end that gets them."""
        self.stage()

        def feature(name: str, request: Any, _: Any) -> bool:
            return name == "retry" or (name == "peer_port" and service["now"] == SECOND[0])

        def service_backend(backend: Backend, request: Any, _: Any) -> Backend:
            service["now"] = backend.host
            request.forward_target = f"/for/{backend.host}"
            return backend

        service: dict[str, str] = {}
        self.router.on(
            feature=feature,
            service_backend=service_backend,
            additional_headers=lambda way, *_: [("X-Secret-Of", service["now"])] if way == "upstream" else (),
        )
        self.client.send(GET)
        server = self.first.accept()
        request = server.receive_request()
        self.assertEqual((request.target, request.header("x-secret-of")), ("/for/192.0.2.81", "192.0.2.81"))
        self.assertIsNone(request.header("x-forwarded-peer-port"))
        self.proxy.advance(2)
        server.close()
        server = self.second.accept()
        request = server.receive_request()
        self.assertEqual((request.target, request.header("x-secret-of")), ("/for/192.0.2.82", "192.0.2.82"))
        self.assertEqual(request.headers.count(("X-Secret-Of", "192.0.2.82")), 1)
        self.assertEqual(request.header("x-forwarded-peer-port"), "40000")
        self.assertEqual(request.header("total-route-time"), "2000")
        server.send(HI)
        self.assertEqual(self.client.receive_response().body, b"hi")
        log = self.router.requests[0].log
        self.assertEqual(self.router.requests[0].send_headers_duration, 0)
        self.assertEqual([name for _, name, _ in log].count("pre_proxy"), 2)

    def test_router_takes_its_time_over_it(self) -> None:
        """So are they when they come late; a client that leaves meanwhile ends it all."""
        for leaves in (False, True):
            with self.subTest(leaves=leaves):
                self.stage()
                late: list[Deferred[Any]] = []

                async def additional_headers(way: str, *_: Any, late: Any = late) -> Any:
                    if way == "downstream":
                        return ()
                    late.append(Deferred())
                    try:
                        return await late[-1]
                    except CancelledError:  # which some do not mind
                        return [("X-Try", "late")]

                self.router.on(additional_headers=additional_headers)
                self.client.send(GET)
                late[0].callback([("X-Try", "1")])
                server = self.failed()
                self.assertEqual(server.received, b"")
                if leaves:
                    self.client.abort()
                    self.assertEqual((server.received, server.arrival.value), (b"", "reset"))
                    self.proxy.idle()
                    continue
                late[1].callback([("X-Try", "2")])
                self.assertEqual(server.receive_request().header("x-try"), "2")
                server.send(HI)
                self.assertEqual(self.client.receive_response().body, b"hi")

    def test_headers_that_cannot_be_sent(self) -> None:
        """A router that fails over the second head ends its request, once, and no half of it goes out."""
        self.stage()
        heads = iter([(), [("X y", "1")]])
        self.router.on(additional_headers=lambda *_: next(heads))
        self.client.send(GET)
        server = self.failed()
        self.assertEqual(server.received, b"")
        self.assertEqual(self.client.receive_response().status, 503)
        self.assertEqual(self.router.of("error_page")[0].arguments[0], "crashed")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.client.close()
        self.proxy.idle()

    def test_late_refusal(self) -> None:
        """A `feature` whose Deferred fails is as one that raises: the failure's own page is sent."""

        async def feature(name: str, *_: Any) -> bool:
            if name == "retry":
                raise ZeroDivisionError
            return False

        self.stage(feature=feature)
        self.client.send(GET)
        self.first.accept().close()
        self.assertEqual(self.client.receive_response().status, 503)
        self.assertEqual(self.router.of("error_page")[0].arguments[0], ("downstream", "closed"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_client_leaves_while_the_router_thinks(self) -> None:
        """A `feature` that is waited for when the client leaves is cancelled, and nothing is logged."""
        asked: Deferred[bool] = Deferred()
        self.stage(feature=lambda name, *_: asked if name == "retry" else False)
        self.client.send(GET)
        self.first.accept().close()
        self.client.abort()
        self.proxy.idle()
        self.assertEqual(
            self.router.of("checkin_service")[0].arguments[2:], ("connected", ("upstream", "closed"))
        )
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_silent_retry_ends_elsewhere(self) -> None:
        """Rule 23: where the fresh connection fails, too, the next back-end gets a head of its own."""
        self.stage(("default", None), feature=False)
        self.client.send(GET)
        server = self.first.accept()
        server.receive_head()
        server.send(HI)
        self.client.receive_response()
        self.router.on(
            additional_headers=lambda way, *_: (
                [("X-Tries", str(self.router.count("service_backend")))] if way == "upstream" else ()
            )
        )
        self.client.send(GET)
        self.assertEqual(server.receive_request().header("x-tries"), "2")
        self.first.refuses()
        server.close()
        request = self.second.accept()
        head = request.receive_request()
        self.assertEqual((head.header("x-tries"), head.header("connection")), ("3", "close"))
        request.send(HI)
        self.assertEqual(self.client.receive_response().body, b"hi")
        self.assertEqual(self.proxy.pooled, 0)

    def test_silent_retry_is_silent(self) -> None:
        """Rule 23: to the same back-end go the same bytes, and the router is asked nothing."""
        self.stage(feature=False)
        self.client.send(GET)
        server = self.first.accept()
        server.receive_head()
        server.send(HI)
        self.client.receive_response()
        self.client.send(GET)
        sent = server.receive_head()
        asked = len(self.router.calls)
        server.close()
        again = self.first.accept()
        self.assertEqual(again.receive_head(), sent)
        self.assertEqual(len(self.router.calls), asked)
        again.send(HI)
        self.client.receive_response()

    def test_trailers_and_a_request_behind_them(self) -> None:
        """Rules 6 and 7: a chunked body goes again with its trailers, and nothing of the next request with it."""
        self.stage()
        self.client.send(
            b"PUT /a HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5;x=y\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: b.example\r\n\r\n" + GET.replace(b"/a", b"/b")
        )
        server = self.failed()
        request = server.receive_request()
        self.assertEqual(
            (request.method, request.body, request.trailers), ("PUT", b"hello", [("X-Sum", "1")])
        )
        self.assertEqual(server.unread, b"")
        server.send(HI)
        self.client.receive_response()
        self.assertEqual(self.first.accept().receive_request().target, "/b")

    def test_reading_goes_on(self) -> None:
        """Rule 24: a client that had to wait for the first back-end's full buffer does not wait for the second's."""
        self.stage()
        self.proxy.factory.retry_buffer_limit = 1 << 24
        self.first.window = 1000
        size = 400_000
        self.client.send(b"PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % size)
        server = self.first.accept()
        server.pause()
        sent = 0
        while not self.client.unsent and sent < size:
            self.client.send(b"x" * 50_000)
            sent += 50_000
        self.assertLess(sent, size)
        server.abort()
        while sent < size:
            self.client.send(b"x" * 50_000)
            sent += 50_000
        server = self.second.accept()
        self.assertEqual(len(server.receive_request().body), size)
        server.send(HI)
        self.assertEqual(self.client.receive_response().body, b"hi")

    def test_expect_and_retry(self) -> None:
        """Rule 8: the second back-end gets the ``Expect``, and its 100 or its refusal counts."""
        put = b"PUT / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        for invited in (True, False):
            with self.subTest(invited=invited):
                self.stage(feature=on("retry", "deep_continue"))
                self.client.send(put)
                server = self.failed()
                self.assertIn(b"\r\nExpect: 100-continue\r\n", server.receive_head())
                if invited:
                    server.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                    self.client.expect(b"HTTP/1.1 100 Continue\r\n\r\n")
                    self.client.send(b"hello")
                    server.expect(b"hello")
                    server.send(HI)
                    self.assertEqual(self.client.receive_response().header("connection"), "keep-alive")
                    self.assertEqual(self.proxy.pooled, 1)
                else:
                    server.send(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
                    self.assertEqual(self.client.receive_response().header("connection"), "close")
                    self.client.send(b"hello")
                    self.assertEqual((server.unread, self.proxy.pooled), (b"", 0))

    def test_upgrades(self) -> None:
        """Rule 9: an upgrade is tried again; one that is refused leaves an ordinary connection to both sides."""
        upgrade = GET.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        self.stage()
        self.client.send(upgrade)
        server = self.failed()
        self.assertEqual(server.receive_request().header("connection"), "upgrade")
        server.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(self.client.receive_response().status, 403)
        self.router.backends.reverse()
        self.client.send(GET)
        request = server.receive_request()
        self.assertEqual((request.header("connection"), request.header("upgrade")), ("keep-alive", None))
        server.send(HI)
        self.client.receive_response()
        self.client.send(upgrade + b"early")
        server.receive_head()
        self.assertEqual(server.unread, b"")
        server.send(switching + b"hey")
        self.client.receive_head()
        self.client.expect(b"hey")
        server.expect(b"early")


class SameAsFresh(SynchronousTestCase):
    """Rules 10 to 13, 23: what a connection remembers of the last head changes nothing of what goes on."""

    METHODS = (b"GET", b"GET", b"HEAD", b"POST", b"OPTIONS", b"%d", b"CONNECT")
    TARGETS = (b"/", b"/a?%d", b"http://o%41.example/x", b"*", b"/%s%%")
    FIELDS = (
        b"Host: x\r\n",
        b"Host: x%20:443\r\n",
        b"Connection: keep-alive\r\n",
        b"Connection: close\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
        b"Connection: X-A, %d\r\nX-A: 1\r\n",
        b"Expect: 100-continue\r\n",
        b"X-Request-Id: 0123456789abcdefghij\r\n",
        b"X-Request-Id: too-%s-short\r\n",
        b"Via: 1.%s p\r\n",
        b"TE: trailers\r\n",
        b"X-Forwarded-For: 1.%d\r\n",
        b"X-Forwarded-Proto: https\r\n",
        b"X-Forwarded-Peer-Port: 1\r\n",
        b"X-B: %b%%%(x)s\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
    )
    STATUSES = (b"200 OK", b"200 %s", b"204 No Content", b"304 Not Modified", b"426 Upgrade\r\nUpgrade: x%d")
    FRAMES = (b"", b"Content-Length: 0\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n")
    OPTIONS = (b"", b"Connection: close\r\n", b"Connection: keep-alive\r\nVia: 1.0 %b\r\n", b"Server: %d\r\n")
    BODIES = ((b"Content-Length: 3", b"abc"), (b"chunked", b"3\r\nabc\r\n0\r\n\r\n"), (b"Length: 0", b""))

    def test_requests_and_responses(self) -> None:
        """Whatever went before on both connections, both heads are those of a fresh proxy's first request."""
        random_ = random.Random(26)
        for _ in range(60):
            heads = [b"Host: h\r\n" * random_.choice((1, 1, 1, 0)) + self._fields(random_) for _ in range(2)]
            answers = [self._answer(random_) for _ in range(3)]
            used = self._proxy()
            for _ in range(8):
                fields = random_.choice(heads)
                request = b"%b %b HTTP/1.%d\r\n%b\r\n" % (
                    random_.choice(self.METHODS),
                    random_.choice(self.TARGETS),
                    random_.choice((1, 1, 0)),
                    fields,
                )
                plan = self._plan(random_)
                fresh = self._proxy()
                story = (request, random_.choice(answers), plan)
                self.assertEqual(used.converse(*story), fresh.converse(*story), story)
                fresh.proxy.stop()
            used.proxy.stop()

    def _proxy(self) -> _Conversation:
        return _Conversation(self.BODIES)

    def _fields(self, random_: random.Random) -> bytes:
        return b"".join(random_.sample(self.FIELDS, random_.randrange(5)))

    def _answer(self, random_: random.Random) -> bytes:
        return b"HTTP/1.%d %b\r\n%b%b\r\n" % (
            random_.choice((1, 1, 0)),
            random_.choice(self.STATUSES),
            random_.choice(self.FRAMES),
            random_.choice(self.OPTIONS),
        )

    def _plan(self, random_: random.Random) -> dict[str, Any]:
        return {
            "keepalive": random_.choice((None, "default", "default", "new")),
            "target": random_.choice(("", "", "", "/other%d")),
            "deep_continue": random_.random() < 0.4,
            "peer_port": random_.random() < 0.3,
            "upstream": random_.choice(((), (), [("X-New", "%d")], [("Via", None), ("X-B", "1")])),
            "downstream": random_.choice(((), (), [("Server", "%z")], [("Server", None)])),
        }


class _Planned(Router):
    """Does to the next request what `plan` says."""

    def __init__(self) -> None:
        self.plan: dict[str, Any] = {}

    def init(self, accepted_at: float, request: Any) -> None:
        if self.plan["target"]:
            request.forward_target = self.plan["target"]

    def checkout_service(self, *_: Any) -> Any:
        return None

    def service_backend(self, *_: Any) -> Backend:
        return Backend(*FIRST, keepalive=self.plan["keepalive"])

    def feature(self, name: str, request: Any, state: Any) -> bool:
        return self.plan.get(name, False) is True

    def additional_headers(self, direction: str, *_: Any) -> Any:
        return self.plan[direction]


class _Conversation:
    """A client, a proxy and a back-end that have a past, or have none."""

    def __init__(self, bodies: tuple[tuple[bytes, bytes], ...]) -> None:
        self.bodies = bodies
        self.router = _Planned()
        self.proxy = MemoryProxy(self.router)
        self.backend = self.proxy.backend(*FIRST)
        self.client = self.proxy.client()

    def converse(self, request: bytes, answer: bytes, plan: dict[str, Any]) -> tuple[bytes, bytes]:
        """What reaches the back-end of `request`, and the client of `answer`."""
        self.router.plan = plan
        if self.client.arrival.value != "open":
            self.client = self.proxy.client()
        begin = len(self.client.received)
        heard = [len(each.received) for each in self.backend.connections]
        self.client.send(request)
        body = self._body(request)
        if body:
            self.client.send(body)
        there = b""
        for number, server in enumerate(self.backend.connections):
            news = server.received[heard[number] if number < len(heard) else 0 :]
            if news:
                there += news
                self._answer(server, answer, request)
        return OURS.sub(b"ID", there), OURS.sub(b"ID", self.client.received[begin:])

    def _body(self, head: bytes) -> bytes:
        return next((body for sign, body in self.bodies if sign in head), b"")

    def _answer(self, server: Any, answer: bytes, request: bytes) -> None:
        bodiless = request.startswith(b"HEAD") or b" 204 " in answer or b" 304 " in answer
        server.send(answer + (b"" if bodiless else self._body(answer)))
        if not any(sign in answer for sign, _ in self.bodies):
            server.half_close()  # it ends by closing


class RememberedHeads(SynchronousTestCase):
    """Rule 3: what an idle connection holds on to is bounded."""

    def test_long_heads(self) -> None:
        """A client's connection that has had one long head, and rests, keeps nothing of it."""
        router = RecordingRouter([])
        proxy = MemoryProxy(router)
        self.addCleanup(proxy.stop)
        backend = proxy.backend(*FIRST)
        router.backends = [backend.as_backend("default")]
        client = proxy.client()
        for fields in (b"", b"X: %b\r\n" % (b"v" * 8000) * 3):
            client.send(GET[:-2] + fields + b"\r\n")
            server = backend.connections[0]
            server.receive_request()
            server.send(HI)
            client.receive_response()
        (connection,) = proxy.factory.connections
        self.assertEqual((connection._last, connection.memo), (None, None))


class Whole(SynchronousTestCase):
    """Rule 21: a response that is here goes home, though its back-end is gone before the router has looked at it."""

    def test_headers_come_late(self) -> None:
        """The back-end closes, or resets, while the router thinks, and the client reads slowly."""
        for end in ("close", "abort"):
            with self.subTest(end=end):
                late: Deferred[Any] = Deferred()
                router = RecordingRouter(
                    [], additional_headers=lambda way, *_, late=late: late if way == "downstream" else ()
                )
                proxy = MemoryProxy(router)
                self.addCleanup(proxy.stop)
                backend = proxy.backend(*FIRST)
                router.backends = [backend.as_backend("default")]
                client = proxy.client(window=10)
                client.pause()
                client.send(GET)
                server = backend.accept()
                server.receive_request()
                server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
                getattr(server, end)()
                late.callback([("A", "b")])
                proxy.settle()
                client.resume()
                self.assertEqual(client.receive_response().body, b"x" * 1000)
                client.close()
                proxy.idle()


class Pipelined(SynchronousTestCase):
    """Rule 7: a client that pipelines without end waits, and its bytes do so in its own kernel."""

    def stage(self) -> None:
        """A client with one back-end, which has its connection by now."""
        router = RecordingRouter([])
        self.proxy = MemoryProxy(router)
        self.addCleanup(self.proxy.stop)
        backend = self.proxy.backend(*FIRST)
        router.backends = [backend.as_backend("default")]
        self.client = self.proxy.client()
        self.client.send(GET)
        self.server = backend.accept()

    def answer(self) -> None:
        """One request has come, and is answered."""
        self.server.receive_request()
        self.server.send(HI)

    def test_what_is_held_is_bounded(self) -> None:
        """Each answer takes one request from what we hold, and lets in no more than that makes room for."""
        self.stage()
        (connection,) = self.proxy.factory.connections
        segment = GET * (60_000 // len(GET))
        most = 0
        for _ in range(50):
            if not self.client.unsent:
                self.client.send(segment)
            self.answer()
            most = max(most, sum(map(len, connection._held)))
        self.assertLess(most, HOLD + len(segment))
        self.assertGreater(self.client.unsent, 0)

    def send(self, data: bytes) -> None:
        """Send `data` in segments that end anywhere."""
        for at in range(0, len(data), 7001):
            self.client.send(data[at : at + 7001])
        self.assertGreater(self.client.unsent, 0)

    def test_all_are_answered(self) -> None:
        """Nothing of it is lost, and reading goes on where there is room again."""
        self.stage()
        count = 3 * HOLD // len(GET)
        self.send(GET * count)
        for _ in range(count + 1):
            self.answer()
        self.assertEqual(self.client.received.count(b"\r\n\r\nhi"), count + 1)
        self.assertEqual(self.client.unsent, 0)
        self.client.close()
        self.proxy.idle(pooled=1)

    def test_body_behind_them(self) -> None:
        """Nor of a long body behind the requests that are held."""
        self.stage()
        count = HOLD // len(GET)
        body = b"x" * (2 * HOLD)
        put = b"PUT /b HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.send(GET * count + put + body)
        for _ in range(count + 1):
            self.answer()
        self.assertEqual(self.server.receive_request().body, body)
        self.server.send(HI)
        self.assertEqual(self.client.unsent, 0)
        self.client.close()
        self.proxy.idle(pooled=1)
