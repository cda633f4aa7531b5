"""The feature ``retry``: a router sends a request that failed after its connect to another back-end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from vegurtx import Backend, Redirect, RouteError
from vegurtx.testing import ProxyTestCase, RecordingRouter, ScriptedServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
PUT = b"PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10\r\n\r\n"
POST = PUT.replace(b"PUT", b"POST")


def retrying(name: str, *_: Any) -> bool:
    """A router's `feature` that is on for retries alone."""
    return name == "retry"


class Retries(ProxyTestCase):
    """What is sent again, and what the router is told of it."""

    async def stage(self, feature: Any = retrying, **settings: Any) -> tuple[Any, Any, RecordingRouter, Any]:
        """Two scripted back-ends and a client."""
        first, second = await self.backend(), await self.backend()
        router = RecordingRouter([first, second], feature=feature)
        proxy = await self.proxy(router, **settings)
        return first, second, router, await proxy.connect()

    async def request_at(self, backend: ScriptedServer) -> Any:
        """The back-end's next connection, when a request's head has come."""
        server = await backend.accept()
        await server.receive_head()
        return server

    async def test_another_back_end(self) -> None:
        """A GET whose back-end closes without an answer goes to the next one; the router is told of the failed try."""
        for end, what in (("close", "closed"), ("abort", "econnreset")):
            with self.subTest(end=end):
                first, second, router, client = await self.stage()
                client.send(GET)
                getattr(await self.request_at(first), end)()
                (await self.request_at(second)).send(OK)
                self.assertEqual((await client.receive_response()).status, 200)
                self.assertEqual(await router.finished, "normal")
                said = [call.arguments[2:] for call in router.of("checkin_service")]
                self.assertEqual(said, [("retrying", ("downstream", what)), ("connected", "normal")])
                self.assertEqual(router.count("checkout_service"), 2)

    async def test_rubbish_and_silence(self) -> None:
        """So does one whose answer is malformed, or does not come in time."""
        first, second, _router, client = await self.stage(downstream_timeout=0.05)
        client.send(GET)
        (await self.request_at(first)).send(b"HTTP/9 nonsense\r\n\r\n")
        (await self.request_at(second)).send(OK)
        self.assertEqual((await client.receive_response()).status, 200)
        client.send(GET)
        await self.request_at(first)
        (await self.request_at(second)).send(OK)
        self.assertEqual((await client.receive_response()).status, 200)

    async def test_not_wanted(self) -> None:
        """Without the feature, or where the router says rubbish or raises, the failure's own page is sent."""
        for answer in (False, None, 1, RuntimeError("boom")):
            with self.subTest(answer=answer):
                first, _, router, client = await self.stage(lambda name, *_: False)
                router.on(feature=partial(self.says, answer))
                client.send(GET)
                (await self.request_at(first)).close()
                self.assertEqual((await client.receive_response()).status, 503)
                (call,) = router.of("checkin_service")
                self.assertEqual(call.arguments[2:], ("connected", ("downstream", "closed")))
        self.flushLoggedErrors(RuntimeError)

    def says(self, answer: Any, name: str, *_: Any) -> Any:
        """`answer`, about retries."""
        if name != "retry":
            return False
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def test_asked_only_where_possible(self) -> None:
        """A POST, or a response that has begun, is not sent again: the router is not even asked."""
        first, _, router, client = await self.stage()
        client.send(POST + b"0123456789")
        server = await first.accept()
        await server.receive_request()
        server.close()
        self.assertEqual((await client.receive_response()).status, 503)
        first, _, begun, client = await self.stage()
        client.send(GET)
        server = await self.request_at(first)
        server.send(OK[:-1])
        await client.receive_head()
        server.close()
        await begun.finished
        for each in (router, begun):
            self.assertNotIn(("retry",), [call.arguments for call in each.of("feature")])

    async def test_body_is_sent_again(self) -> None:
        """What has come of a PUT's body is sent again, and the rest follows."""
        first, second, _, client = await self.stage()
        client.send(PUT + b"01234")
        server = await first.accept()
        await server.receive_head()
        await server.expect(b"01234")
        server.close()
        again = await second.accept()
        await again.receive_head()
        await again.expect(b"01234")
        client.send(b"56789")
        await again.expect(b"56789")
        again.send(OK)
        self.assertEqual((await client.receive_response()).status, 200)

    async def test_body_past_the_buffer(self) -> None:
        """A body that is longer than `retry_buffer_limit` is not."""
        first, _, router, client = await self.stage(retry_buffer_limit=4)
        client.send(PUT + b"01234")
        server = await first.accept()
        await server.receive_head()
        await server.expect(b"01234")
        server.close()
        self.assertEqual((await client.receive_response()).status, 503)
        self.assertEqual(router.count("checkout_service"), 1)

    async def test_router_gives_up(self) -> None:
        """The next checkout may fail the request with any reason; a number of tries bounds them all."""
        first, _, router, client = await self.stage()
        router.on(checkout_service=partial(self.nth, router, iter(range(9))))
        client.send(GET)
        (await self.request_at(first)).close()
        self.assertEqual((await client.receive_response()).status, 418)
        self.assertEqual(router.of("checkin_service")[-1].arguments[1:], (None, "checkout", "enough"))
        first, _, router, client = await self.stage(max_connect_tries=2)
        router.on(checkout_service=lambda *_: router.backends[0])
        client.send(GET)
        (await self.request_at(first)).close()
        (await self.request_at(first)).close()
        self.assertEqual((await client.receive_response()).status, 503)
        self.assertEqual(
            router.of("checkin_service")[-1].arguments[1:],
            (None, "checkout", ("downstream", "connect_tries")),
        )

    def nth(self, router: RecordingRouter, numbers: Iterator[int], *_: Any) -> Backend:
        """The first back-end, then no more."""
        if next(numbers):
            raise RouteError("enough", 418)
        backend: Backend = router.backends[0]
        return backend


class BackendTimeouts(ProxyTestCase):
    """What a `Backend` says of its own times."""

    async def test_response_timeout(self) -> None:
        """`response_timeout` takes the place of `downstream_timeout`, for this back-end."""
        backend = await self.backend()
        router = RecordingRouter([Backend("127.0.0.1", backend.port, response_timeout=0.05)])
        client = await (await self.proxy(router)).connect()
        client.send(GET)
        self.assertEqual((await client.receive_response()).status, 503)
        await self.assert_said(router, ("connected", ("downstream", "timeout")))

    async def assert_said(self, router: RecordingRouter, said: tuple[str, Any]) -> None:
        """Assert how the request ended."""
        await router.finished
        self.assertEqual(router.of("checkin_service")[-1].arguments[2:], said)

    def test_bounds(self) -> None:
        """A timeout that is not positive is refused."""
        for name in ("connect_timeout", "response_timeout"):
            for seconds in (0, -1.0):
                with self.assertRaisesRegex(ValueError, "positive number of seconds"):
                    Backend("127.0.0.1", 80, **{name: seconds})


class ForwardTarget(ProxyTestCase):
    """`request.forward_target`: what the back-end is asked for."""

    async def test_rewritten(self) -> None:
        """The back-end gets the new target; the request keeps the client's."""
        backend = await self.backend()
        router = RecordingRouter([backend])

        def rewrite(*_: Any) -> Backend:
            request = router.requests[-1]
            self.assertEqual(request.forward_target, "/a?b")
            request.forward_target = "/c?d"
            return backend.as_backend(None)

        router.on(checkout_service=rewrite)
        client = await (await self.proxy(router)).connect()
        client.send(b"GET /a?b HTTP/1.1\r\nHost: a.example\r\n\r\n")
        server = await backend.accept()
        request = await server.receive_request()
        self.assertEqual(request.target, "/c?d")
        server.send(OK)
        await client.receive_response()
        self.assertEqual((router.requests[0].target, router.requests[0].path), ("/a?b", "/a"))

    async def test_redirect(self) -> None:
        """A redirect leads where the client asked for, not to what the back-end would have been asked."""

        def rewrite(accepted_at: float, request: Any, *_: Any) -> None:
            request.forward_target = "/x"

        router = RecordingRouter([], lookup_domain_name=Redirect("y.example"))
        router.on(init=lambda *_: rewrite(0.0, router.requests[-1]))
        client = await (await self.proxy(router)).connect()
        client.send(b"GET /o?q HTTP/1.1\r\nHost: a.example\r\n\r\n")
        response = await client.receive_response()
        self.assertEqual((response.status, response.header("Location")), (301, "http://y.example/o?q"))

    async def test_what_is_no_target(self) -> None:
        """What would break the request line is refused."""
        backend = await self.backend()
        router = RecordingRouter([backend])
        for target in ("", "c", "http://x/", "/a b", "/a\r\nX: y", "/a\x00", "/a#b"):

            def rewrite(*_: Any, target: str = target) -> None:
                router.requests[-1].forward_target = target

            with self.subTest(target=target):
                router.on(checkout_service=rewrite)
                client = await (await self.proxy(router)).connect()
                client.send(GET)
                self.assertEqual((await client.receive_response()).status, 503)
                self.assertEqual(router.of("error_page")[-1].arguments[0], "crashed")
        self.flushLoggedErrors(ValueError)


class RemovedHeaders(ProxyTestCase):
    """``(name, None)`` among the additional headers, and cookies."""

    async def answered(self, direction: str, pairs: list[Any]) -> tuple[Any, Any]:
        """The request at the back-end and the response at the client."""
        backend = await self.backend()
        router = RecordingRouter(
            [backend], additional_headers=lambda way, *_: pairs if way == direction else ()
        )
        client = await (await self.proxy(router)).connect()
        client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\nX-A: 2\r\nX-B: 3\r\n\r\n")
        server = await backend.accept()
        request = await server.receive_request()
        server.send(OK.replace(b"\r\n\r\n", b"\r\nX-A: 1\r\nX-A: 2\r\nX-B: 3\r\nSet-Cookie: a=1\r\n\r\n"))
        return request, await client.receive_response()

    async def test_removed(self) -> None:
        """A field whose value is ``None`` does not go on, in neither direction; others do."""
        request, _ = await self.answered("upstream", [("x-a", None), (b"X-C", b"4")])
        self.assertEqual([request.header(name) for name in ("X-A", "X-B", "X-C")], [None, "3", "4"])
        _, response = await self.answered("downstream", [(b"x-a", None), ("X-C", "4")])
        self.assertEqual([response.header(name) for name in ("X-A", "X-B", "X-C")], [None, "3", "4"])

    async def test_cookies_are_added(self) -> None:
        """A ``Set-Cookie`` stands beside the back-end's; with ``None`` that goes."""
        _, response = await self.answered("downstream", [("Set-Cookie", "b=2"), ("set-cookie", "c=3")])
        values = self.cookies(response)
        self.assertEqual(values, ["a=1", "b=2", "c=3"])
        _, response = await self.answered("downstream", [("Set-Cookie", None), ("set-cookie", "c=3")])
        values = self.cookies(response)
        self.assertEqual(values, ["c=3"])

    def cookies(self, response: Any) -> list[Any]:
        """The values of its ``Set-Cookie`` fields, in order."""
        values: list[Any] = response.all("Set-Cookie")
        return values
