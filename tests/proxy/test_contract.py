"""The router's contract (DESIGN.md section 1): what the chain asks, and what it makes of what it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
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
from vegurtx.testing import MemoryBackend, MemoryProxy, RecordingRouter, router_to

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

BACKEND = Backend("127.0.0.1", 8081)


class InMemory(SynchronousTestCase):
    """A proxy between peers in memory; after the test nothing of it may be left, and no request without its end."""

    def proxied(self, router: RecordingRouter, middlewares: Any = None) -> tuple[MemoryProxy, MemoryBackend]:
        """A proxy, and the back-end at `BACKEND`."""
        proxy = MemoryProxy(router, middlewares=middlewares)
        self.addCleanup(proxy.stop)
        return proxy, proxy.backend("127.0.0.1", 8081)


class Faults(InMemory):
    """A callback that fails ends the request in an error page, and everything is given back once."""

    def fault(self, router: RecordingRouter, expected: int, after: float = 0) -> None:
        """One request through a proxy whose router is at fault, `after` so many seconds; then the accounting."""
        proxy, _ = self.proxied(router)
        client = proxy.client()
        client.send(GET)
        if after:
            proxy.advance(after - 0.1)
            self.assertEqual(client.received, b"")
            proxy.advance(0.1)
        self.assertEqual(client.receive_response().status, expected)
        self.assertEqual(router.calls[-1][:2], ("terminate", ("error",)))
        finals = [
            call.arguments for call in router.of("checkin_service") if call.arguments[2] != "connecting"
        ]
        self.assertEqual(len(finals), 1, finals)
        self.assertEqual(router.count("terminate"), 1)
        self.assertEqual(router.names[-1], "terminate")
        self.final = finals[0]
        self.flushLoggedErrors()

    def test_callback_raises(self) -> None:
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
                    self.fault(router_to(BACKEND, **{callback: wrapped(RuntimeError("boom"))}), 503)
                    self.assertEqual((self.final[2], self.final[3]), (phase, "crashed"))

    def test_callback_raises_route_error(self) -> None:
        """A RouteError's reason reaches error_page and the final checkin as it is."""
        for callback in ("init", "lookup_domain_name", "checkout_service", "service_backend"):
            for form, wrapped in FORMS.items():
                with self.subTest(callback=callback, form=form):
                    answers: dict[str, Any] = {"checkout_service": "service", "error_page": ErrorPage(418)}
                    answers[callback] = wrapped(RouteError(("mine", 7)))
                    router = router_to(**answers)
                    self.fault(router, 418)
                    self.assertEqual(self.final[3], ("mine", 7))
                    self.assertEqual(router.of("error_page")[0].arguments[0], ("mine", 7))

    def test_wrong_type(self) -> None:
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
                        answers = {callback: wrapped(value)}
                        if callback == "error_page":
                            answers["checkout_service"] = RouteError("not_found")
                        router = router_to(BACKEND, **answers)
                        self.fault(router, 404 if callback == "error_page" else 503)

    def test_error_page_raises(self) -> None:
        """error_page itself raises: the reasons table's page."""
        for form, wrapped in FORMS.items():
            with self.subTest(form=form):
                router = router_to(
                    checkout_service=RouteError("not_found"), error_page=wrapped(RuntimeError("boom"))
                )
                self.fault(router, 404)
                self.assertEqual(self.final[3], "not_found")

    def test_never_answers(self) -> None:
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
                answers: dict[str, Any] = {callback: lambda *_: Deferred(cancelled.append)}  # noqa: B023
                if callback == "error_page":
                    answers["checkout_service"] = RouteError("not_found")
                router = router_to(BACKEND, **answers)
                self.fault(router, 404 if callback == "error_page" else 503, after=30)
                reason = "not_found" if callback == "error_page" else ("undefined", "router_timeout")
                self.assertEqual(self.final[3], reason)
                if callback != "error_page":
                    self.assertEqual(len(cancelled), 1)

    def test_never_answers_downstream(self) -> None:
        """additional_headers("downstream") never answers: the response is not sent; 503."""
        router = router_to(
            BACKEND, additional_headers=lambda way, *_: Deferred() if way == "downstream" else ()
        )
        proxy, backend = self.proxied(router)
        client = proxy.client()
        client.send(GET)
        server = backend.accept()
        server.receive_request()
        server.send(OK)
        proxy.advance(29.9)
        self.assertEqual(client.received, b"")
        proxy.advance(0.1)
        self.assertEqual(client.receive_response().status, 503)
        self.assertEqual(router.calls[-1][:2], ("terminate", ("error",)))
        server.closed()

    def test_downstream_raises(self) -> None:
        """additional_headers("downstream") fails: nothing of the response is out, so the page is a 503."""
        for form, wrapped in FORMS.items():
            with self.subTest(form=form):
                broken = wrapped([("a", "b\n")])

                def answer(way: str, *rest: Any, broken: Any = broken) -> Any:
                    if way == "upstream":
                        return ()
                    return broken(way, *rest) if callable(broken) else broken

                router = router_to(BACKEND, additional_headers=answer)
                proxy, backend = self.proxied(router)
                client = proxy.client()
                client.send(GET)
                server = backend.accept()
                server.receive_request()
                server.send(OK)
                self.assertEqual(client.receive_response().status, 503)
                self.assertEqual(router.calls[-1][:2], ("terminate", ("error",)))
                server.closed()
                self.flushLoggedErrors()

    def test_last_calls_raise(self) -> None:
        """checkin_service and terminate fail, in any form: the client has its response, terminate is still called."""
        for callback in ("checkin_service", "terminate"):
            for form, wrapped in FORMS.items():
                with self.subTest(callback=callback, form=form):
                    router = router_to(BACKEND, **{callback: wrapped(RuntimeError("boom"))})
                    proxy, backend = self.proxied(router)
                    client = proxy.client()
                    for _ in range(2):
                        client.send(GET)
                        server = backend.accept()
                        server.receive_request()
                        server.send(OK)
                        self.assertEqual(client.receive_response().body, b"hi")
                        self.assertEqual(router.calls[-1][:2], ("terminate", ("normal",)))
                    self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)

    def test_client_leaves_while_router_thinks(self) -> None:
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

                router = router_to(BACKEND, **{callback: answer})
                proxy, _ = self.proxied(router)
                client = proxy.client()
                client.send(GET)
                self.successResultOf(asked)
                client.abort()
                self.assertEqual(router.calls[-1][:2], ("terminate", ("error",)))
                self.assertEqual(router.of("checkin_service")[-1].arguments[3], ("upstream", "closed"))
                self.assertEqual(router.count("error_page"), 0)
                self.assertEqual(len(cancelled), 1)


class Forms(InMemory):
    """Plain values, Deferreds and coroutines do the same."""

    def test_all_async(self) -> None:
        """Every callback may return a Deferred or be async def."""
        for form, wrapped in FORMS.items():
            with self.subTest(form=form):
                router = router_to(
                    init=wrapped("state"),
                    lookup_domain_name=wrapped("group"),
                    checkout_service=wrapped("service"),
                    service_backend=wrapped(BACKEND),
                    feature=wrapped(False),
                    additional_headers=wrapped([("X-Router", "yes")]),
                    checkin_service=wrapped(None),
                    terminate=wrapped(None),
                )
                proxy, backend = self.proxied(router)
                client = proxy.client()
                client.send(GET)
                server = backend.accept()
                request = server.receive_request()
                self.assertEqual(request.header("x-router"), "yes")
                server.send(OK)
                response = client.receive_response()
                self.assertEqual((response.status, response.body), (200, b"hi"))
                self.assertEqual(response.header("x-router"), "yes")
                self.assertEqual(router.calls[-1][:2], ("terminate", ("normal",)))
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

    def test_what_the_router_sees(self) -> None:
        """The request's attributes are text, its headers keep order and case; the domain is lower case, portless."""
        seen: list[Any] = []
        router = router_to(BACKEND, terminate=lambda status, request, state: seen.append(request))
        proxy, backend = self.proxied(router)
        client = proxy.client()
        client.send(b"GET /a/b?c=%20d HTTP/1.1\r\nHost: A.Example:81\r\nX-One: 1\r\nx-one: 2\r\n\r\n")
        server = backend.accept()
        server.receive_request()
        server.send(b"HTTP/1.1 201 Made\r\nX-Two: 3\r\nContent-Length: 0\r\n\r\n")
        client.receive_response()
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
        self.assertEqual((request.peer.host, request.peer.port), ("192.0.2.1", 40000))
        self.assertEqual((request.local.host, request.local.port), ("198.51.100.1", 80))
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

    def test_redirect(self) -> None:
        """A Redirect is a 301 to the same scheme, path and query; its checkin has neither group nor service."""
        router = router_to(lookup_domain_name=Redirect("b.example", "moved"))
        proxy, _ = self.proxied(router)
        client = proxy.client()
        client.send(GET)
        response = client.receive_response()
        self.assertEqual((response.status, response.header("location")), (301, "http://b.example/p?q=1"))
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\r\n")
        self.assertEqual(client.receive_response().header("location"), "https://b.example/")
        self.assertEqual(router.calls[-1][:2], ("terminate", ("normal",)))
        self.assertEqual(router.of("checkin_service")[0].arguments, (None, None, "lookup", "normal"))


class Chain(InMemory):
    """Middlewares: a user's own stages."""

    def answered(self, middlewares: list[Any]) -> tuple[Any, RecordingRouter]:
        """The response to one request through this chain."""
        router = router_to()
        proxy, _ = self.proxied(router, middlewares)
        client = proxy.client()
        client.send(GET)
        response = client.receive_response()
        return response, router

    def test_stage_answers(self) -> None:
        """A stage returns a Response, plain or not: nobody else is asked, and the request ends normally."""
        for form, wrapped in FORMS.items():
            with self.subTest(form=form):
                value = wrapped(Response(401, [("WWW-Authenticate", "Token")], b"no"))

                @implementer(IMiddleware)
                class Refuse:
                    def execute(self, request: Any, value: Any = value) -> Any:
                        return value(request) if callable(value) else value

                response, router = self.answered([Refuse(), *default_middlewares()])
                self.assertEqual((response.status, response.body), (401, b"no"))
                self.assertEqual(response.header("www-authenticate"), "Token")
                self.assertEqual(router.names, ["init", "checkin_service", "terminate"])
                self.assertEqual(router.of("terminate")[0].arguments, ("normal",))

    def test_stage_fails(self) -> None:
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

                    response, router = self.answered([stage, *default_middlewares()])
                    self.assertEqual(response.status, status)
                    self.assertEqual(router.of("terminate")[0].arguments, ("error",))
                    self.flushLoggedErrors()

    def test_chain_without_an_end(self) -> None:
        """A chain of which no stage answers ends in an error page."""
        response, _ = self.answered(default_middlewares()[:-2])
        self.assertEqual(response.status, 503)
        self.flushLoggedErrors()

    def test_answer_that_cannot_be_sent(self) -> None:
        """A stage's Response with an impossible header: the router's page for "crashed"."""
        response, router = self.answered([lambda request: Response(200, [("a", "b\r\nc: d")])])
        self.assertEqual(response.status, 503)
        self.assertEqual(router.of("error_page")[0].arguments[0], "crashed")
        self.flushLoggedErrors()

    def test_meta(self) -> None:
        """`meta` carries what a stage found to the router."""
        router = router_to(
            BACKEND, additional_headers=lambda way, log, request, state: [("X-Who", request.meta["who"])]
        )

        def stage(request: Any) -> None:
            request.meta["who"] = "me"

        proxy, backend = self.proxied(router, [stage, *default_middlewares()])
        client = proxy.client()
        client.send(GET)
        server = backend.accept()
        self.assertEqual(server.receive_request().header("x-who"), "me")
        server.send(OK)
        self.assertEqual(client.receive_response().header("x-who"), "me")


class Provided(SynchronousTestCase):
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
