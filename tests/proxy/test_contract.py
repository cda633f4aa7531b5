"""The router's contract (DESIGN.md section 1): what the chain asks, and what it makes of what it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from vegurtx import (
    Backend,
    ErrorPage,
    IMiddleware,
    IRouter,
    Redirect,
    Response,
    RouteError,
    Router,
    default_middlewares,
)
from vegurtx.testing import ProxyTestCase, RecordingRouter, router_to

GET = b"GET /p?q=1 HTTP/1.1\r\nHost: A.Example:81\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def plain(value: Any) -> Any:
    return value


def deferred(value: Any) -> Callable[..., Any]:
    return lambda *_: fail(value) if isinstance(value, Exception) else succeed(value)


def coroutine(value: Any) -> Callable[..., Any]:
    async def answer(*_: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    return answer


FORMS: dict[str, Callable[[Any], Any]] = {"plain": plain, "Deferred": deferred, "async def": coroutine}


class Faults(ProxyTestCase):
    """A callback that fails ends the request in an error page, and everything is given back once."""

    async def fault(self, router: RecordingRouter, expected: int, **settings: Any) -> None:
        """One request through a proxy whose router is at fault; then the accounting."""
        proxy = await self.proxy(router, **settings)
        client = await proxy.connect()
        client.send(GET)
        response = await client.receive_response()
        self.assertEqual(response.status, expected)
        self.assertEqual(await router.finished, "error")
        finals = [
            call.arguments for call in router.of("checkin_service") if call.arguments[2] != "connecting"
        ]
        self.assertEqual(len(finals), 1, finals)
        self.assertEqual(router.count("terminate"), 1)
        self.assertEqual(router.names[-1], "terminate")
        self.final = finals[0]
        self.flushLoggedErrors()

    async def test_callback_raises(self) -> None:
        """Anything that a callback raises is the reason "crashed": 503, one final checkin, one terminate."""
        phases = {
            "init": "lookup",
            "lookup_domain_name": "lookup",
            "checkout_service": "checkout",
            "service_backend": "checkout",
            "feature": "connected",
            "additional_headers": "connected",
        }
        for callback, phase in phases.items():
            for form, wrapped in FORMS.items():
                with self.subTest(callback=callback, form=form):
                    backend = await self.backend()
                    await self.fault(router_to(backend, **{callback: wrapped(RuntimeError("boom"))}), 503)
                    self.assertEqual((self.final[2], self.final[3]), (phase, "crashed"))

    async def test_callback_raises_route_error(self) -> None:
        """A RouteError's reason reaches error_page and the final checkin as it is."""
        for callback in ("init", "lookup_domain_name", "checkout_service", "service_backend"):
            for form, wrapped in FORMS.items():
                with self.subTest(callback=callback, form=form):
                    answers: dict[str, Any] = {"checkout_service": "service", "error_page": ErrorPage(418)}
                    answers[callback] = wrapped(RouteError(("mine", 7)))
                    router = router_to(**answers)
                    await self.fault(router, 418)
                    self.assertEqual(self.final[3], ("mine", 7))
                    self.assertEqual(router.of("error_page")[0].arguments[0], ("mine", 7))

    async def test_wrong_type(self) -> None:
        """What is no Backend, no bool, no headers or no page is logged, and ends in an error page."""
        wrong: dict[str, list[Any]] = {
            "service_backend": [None, "127.0.0.1:80", ("127.0.0.1", 80)],
            "feature": [None, 1, "yes"],
            "additional_headers": [
                7,
                [("a",)],
                [("a b", "c")],
                [("a", "b\r\nX: y")],
                [("a", 7)],
                [("Content-Length", "7")],
                [("transfer-encoding", "chunked")],
                [("a", "\u20ac")],
            ],
            "error_page": [
                None,
                404,
                ErrorPage(99),
                ErrorPage(101),
                ErrorPage(404, [("a", "\n")]),
                ErrorPage(404, (), 7),
            ],
        }
        for callback, values in wrong.items():
            for value in values:
                for form, wrapped in FORMS.items():
                    with self.subTest(callback=callback, value=value, form=form):
                        backend = await self.backend()
                        answers = {callback: wrapped(value)}
                        if callback == "error_page":
                            answers["checkout_service"] = RouteError("not_found")
                        router = router_to(backend, **answers)
                        await self.fault(router, 404 if callback == "error_page" else 503)

    async def test_error_page_raises(self) -> None:
        """error_page itself raises: the reasons table's page."""
        for form, wrapped in FORMS.items():
            with self.subTest(form=form):
                router = router_to(
                    checkout_service=RouteError("not_found"), error_page=wrapped(RuntimeError("boom"))
                )
                await self.fault(router, 404)
                self.assertEqual(self.final[3], "not_found")

    async def test_never_answers(self) -> None:
        """A Deferred that never fires: cancelled at the router's deadline, which ends in an error page."""
        for callback in (
            "init",
            "lookup_domain_name",
            "checkout_service",
            "service_backend",
            "feature",
            "additional_headers",
            "error_page",
        ):
            with self.subTest(callback=callback):
                cancelled: list[Any] = []
                backend = await self.backend()
                answers: dict[str, Any] = {callback: lambda *_: Deferred(cancelled.append)}  # noqa: B023
                if callback == "error_page":
                    answers["checkout_service"] = RouteError("not_found")
                router = router_to(backend, **answers)
                await self.fault(router, 404 if callback == "error_page" else 503, router_timeout=50)
                reason = "not_found" if callback == "error_page" else ("undefined", "router_timeout")
                self.assertEqual(self.final[3], reason)
                if callback != "error_page":
                    self.assertEqual(len(cancelled), 1)

    async def test_never_answers_downstream(self) -> None:
        """additional_headers("downstream") never answers: the response is not sent; 503."""
        backend = await self.backend()
        router = router_to(
            backend, additional_headers=lambda way, *_: Deferred() if way == "downstream" else ()
        )
        proxy = await self.proxy(router, router_timeout=50)
        client = await proxy.connect()
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        server.send(OK)
        self.assertEqual((await client.receive_response()).status, 503)
        self.assertEqual(await router.finished, "error")
        await server.closed()

    async def test_downstream_raises(self) -> None:
        """additional_headers("downstream") fails: nothing of the response is out, so the page is a 503."""
        for form, wrapped in FORMS.items():
            with self.subTest(form=form):
                backend = await self.backend()
                broken = wrapped([("a", "b\n")])

                def answer(way: str, *rest: Any, broken: Any = broken) -> Any:
                    if way == "upstream":
                        return ()
                    return broken(way, *rest) if callable(broken) else broken

                router = router_to(backend, additional_headers=answer)
                proxy = await self.proxy(router)
                client = await proxy.connect()
                client.send(GET)
                server = await backend.accept()
                await server.receive_request()
                server.send(OK)
                self.assertEqual((await client.receive_response()).status, 503)
                self.assertEqual(await router.finished, "error")
                await server.closed()
                self.flushLoggedErrors()

    async def test_last_calls_raise(self) -> None:
        """checkin_service and terminate fail, in any form: the client has its response, terminate is still called."""
        for callback in ("checkin_service", "terminate"):
            for form, wrapped in FORMS.items():
                with self.subTest(callback=callback, form=form):
                    backend = await self.backend()
                    router = router_to(backend, **{callback: wrapped(RuntimeError("boom"))})
                    proxy = await self.proxy(router)
                    client = await proxy.connect()
                    for _ in range(2):
                        client.send(GET)
                        server = await backend.accept()
                        await server.receive_request()
                        server.send(OK)
                        self.assertEqual((await client.receive_response()).body, b"hi")
                        self.assertEqual(await router.finished, "normal")
                    self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    async def test_client_leaves_while_router_thinks(self) -> None:
        """The client is gone before the router answers: the Deferred is cancelled, no page, ("upstream", "closed")."""
        for callback in (
            "init",
            "lookup_domain_name",
            "checkout_service",
            "service_backend",
            "additional_headers",
        ):
            with self.subTest(callback=callback):
                cancelled: list[Any] = []
                asked: Deferred[None] = Deferred()

                def answer(*_: Any, asked: Any = asked, cancelled: Any = cancelled) -> Any:
                    asked.callback(None)
                    return Deferred(cancelled.append)

                backend = await self.backend()
                router = router_to(backend, **{callback: answer})
                proxy = await self.proxy(router)
                client = await proxy.connect()
                client.send(GET)
                await asked
                client.abort()
                self.assertEqual(await router.finished, "error")
                self.assertEqual(router.of("checkin_service")[-1].arguments[3], ("upstream", "closed"))
                self.assertEqual(router.count("error_page"), 0)
                self.assertEqual(len(cancelled), 1)


class Forms(ProxyTestCase):
    """Plain values, Deferreds and coroutines do the same."""

    async def test_all_async(self) -> None:
        """Every callback may return a Deferred or be async def."""
        for form, wrapped in FORMS.items():
            with self.subTest(form=form):
                backend = await self.backend()
                router = router_to(
                    init=wrapped("state"),
                    lookup_domain_name=wrapped("group"),
                    checkout_service=wrapped("service"),
                    service_backend=wrapped(backend.as_backend()),
                    feature=wrapped(False),
                    additional_headers=wrapped([("X-Router", "yes")]),
                    checkin_service=wrapped(None),
                    terminate=wrapped(None),
                )
                proxy = await self.proxy(router)
                client = await proxy.connect()
                client.send(GET)
                server = await backend.accept()
                request = await server.receive_request()
                self.assertEqual(request.header("x-router"), "yes")
                server.send(OK)
                response = await client.receive_response()
                self.assertEqual((response.status, response.body), (200, b"hi"))
                self.assertEqual(response.header("x-router"), "yes")
                self.assertEqual(await router.finished, "normal")
                self.assertEqual(
                    router.names,
                    [
                        "init",
                        "lookup_domain_name",
                        "checkout_service",
                        "service_backend",
                        "feature",
                        "additional_headers",
                        "additional_headers",
                        "checkin_service",
                        "terminate",
                    ],
                )
                self.assertEqual(
                    router.of("checkin_service")[0].arguments, ("group", "service", "connected", "normal")
                )
                self.assertEqual({call.state for call in router.calls[1:]}, {"state"})

    async def test_what_the_router_sees(self) -> None:
        """The request's attributes are text, its headers keep order and case; the domain is lower case, portless."""
        seen: list[Any] = []
        backend = await self.backend()
        router = router_to(backend, terminate=lambda status, request, state: seen.append(request))
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(b"GET /a/b?c=%20d HTTP/1.1\r\nHost: A.Example:81\r\nX-One: 1\r\nx-one: 2\r\n\r\n")
        server = await backend.accept()
        await server.receive_request()
        server.send(b"HTTP/1.1 201 Made\r\nX-Two: 3\r\nContent-Length: 0\r\n\r\n")
        await client.receive_response()
        await router.finished
        self.assertEqual(router.of("lookup_domain_name")[0].arguments, ("a.example",))
        (request,) = seen
        self.assertEqual(
            (request.method, request.target, request.path, request.query),
            ("GET", "/a/b?c=%20d", "/a/b", "c=%20d"),
        )
        self.assertEqual((request.version, request.host), ((1, 1), "a.example"))
        self.assertEqual(
            list(request.headers), [(b"Host", b"A.Example:81"), (b"X-One", b"1"), (b"x-one", b"2")]
        )
        self.assertEqual(
            (request.headers.get("x-ONE"), request.headers.getall(b"X-one")), ("1", [b"1", b"2"])
        )
        self.assertEqual((request.response_code, request.response_headers.get("x-two")), (201, "3"))
        self.assertEqual(request.peer.host, "127.0.0.1")
        self.assertEqual(request.local.port, proxy.port)
        self.assertIsNone(request.tls)
        self.assertGreater(request.bytes_sent, 0)
        self.assertGreater(request.bytes_received, 0)
        self.assertEqual(len(request.id), 36)
        for name in (
            "accepted",
            "pre_connect",
            "pre_proxy",
            "headers_formatted",
            "headers_sent",
            "responded",
        ):
            self.assertGreaterEqual(request.log.event(name), request.log.event("accepted"), name)
        for name in (
            "start_to_proxy",
            "route",
            "connect",
            "service",
            "total",
            "send_headers",
            "response_proxy",
        ):
            self.assertIsInstance(getattr(request, f"{name}_duration"), int, name)

    async def test_redirect(self) -> None:
        """A Redirect is a 301 to the same scheme, path and query; its checkin has neither group nor service."""
        router = router_to(lookup_domain_name=Redirect("b.example", "moved"))
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(GET)
        response = await client.receive_response()
        self.assertEqual((response.status, response.header("location")), (301, "http://b.example/p?q=1"))
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\r\n")
        self.assertEqual((await client.receive_response()).header("location"), "https://b.example/")
        self.assertEqual(await router.finished, "normal")
        self.assertEqual(router.of("checkin_service")[0].arguments, (None, None, "lookup", "normal"))


class Chain(ProxyTestCase):
    """Middlewares: a user's own stages."""

    async def answered(self, middlewares: list[Any]) -> tuple[Any, RecordingRouter]:
        """The response to one request through this chain."""
        router = router_to()
        proxy = await self.proxy(router, middlewares=middlewares)
        client = await proxy.connect()
        client.send(GET)
        response = await client.receive_response()
        await router.finished
        return response, router

    async def test_stage_answers(self) -> None:
        """A stage returns a Response, plain or not: nobody else is asked, and the request ends normally."""
        for form, wrapped in FORMS.items():
            with self.subTest(form=form):
                value = wrapped(Response(401, [("WWW-Authenticate", "Token")], b"no"))

                @implementer(IMiddleware)
                class Refuse:
                    def execute(self, request: Any, value: Any = value) -> Any:
                        return value(request) if callable(value) else value

                response, router = await self.answered([Refuse(), *default_middlewares()])
                self.assertEqual((response.status, response.body), (401, b"no"))
                self.assertEqual(response.header("www-authenticate"), "Token")
                self.assertEqual(router.names, ["init", "checkin_service", "terminate"])
                self.assertEqual(router.of("terminate")[0].arguments, ("normal",))

    async def test_stage_fails(self) -> None:
        """A stage raises RouteError, raises anything else, or returns nonsense."""
        cases: list[tuple[Any, Any]] = [
            (RouteError("not_found"), 404),
            (RuntimeError("boom"), 503),
            ("nonsense", 503),
        ]
        for value, status in cases:
            for form, wrapped in FORMS.items():
                with self.subTest(value=value, form=form):
                    given = wrapped(value)

                    def stage(request: Any, given: Any = given) -> Any:
                        if isinstance(given, Exception):
                            raise given
                        return given(request) if callable(given) else given

                    response, router = await self.answered([stage, *default_middlewares()])
                    self.assertEqual(response.status, status)
                    self.assertEqual(router.of("terminate")[0].arguments, ("error",))
                    self.flushLoggedErrors()

    async def test_chain_without_an_end(self) -> None:
        """A chain of which no stage answers ends in an error page."""
        response, _ = await self.answered(default_middlewares()[:-2])
        self.assertEqual(response.status, 503)
        self.flushLoggedErrors()

    async def test_answer_that_cannot_be_sent(self) -> None:
        """A stage's Response with an impossible header: the router's page for "crashed"."""
        response, router = await self.answered([lambda request: Response(200, [("a", "b\r\nc: d")])])
        self.assertEqual(response.status, 503)
        self.assertEqual(router.of("error_page")[0].arguments[0], "crashed")
        self.flushLoggedErrors()

    async def test_meta(self) -> None:
        """`meta` carries what a stage found to the router."""
        backend = await self.backend()
        router = router_to(
            backend, additional_headers=lambda way, log, request, state: [("X-Who", request.meta["who"])]
        )

        def stage(request: Any) -> None:
            request.meta["who"] = "me"

        proxy = await self.proxy(router, middlewares=[stage, *default_middlewares()])
        client = await proxy.connect()
        client.send(GET)
        server = await backend.accept()
        self.assertEqual((await server.receive_request()).header("x-who"), "me")
        server.send(OK)
        self.assertEqual((await client.receive_response()).header("x-who"), "me")


class Provided(ProxyTestCase):
    """The interfaces are really provided."""

    def test_router(self) -> None:
        """Router provides IRouter; a useful one is ten lines."""

        class Ten(Router):
            def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Any:
                return "service"

            def service_backend(self, service: Any, request: Any, state: Any) -> Any:
                return Backend("127.0.0.1", 80)

        self.assertTrue(verifyObject(IRouter, Ten()))

    def test_middlewares(self) -> None:
        """Each default stage provides IMiddleware, and each call gives a new list."""
        for stage in default_middlewares():
            self.assertTrue(verifyObject(IMiddleware, stage))
        self.assertIsNot(default_middlewares(), default_middlewares())
