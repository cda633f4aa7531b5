"""The default stages, and own ones at each place of the chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyClass, verifyObject

from vegurtx import Backend, ErrorPage, IMiddleware, Response, RouteError, Router, default_middlewares
from vegurtx.middleware import Continue, LookupDomain, LookupService, Proxy, Upgrade, ValidateHeaders
from vegurtx.testing import MemoryProxy, RecordingRouter, answering
from vegurtx.testing.memory.connection import MemoryClient

GET = b"GET /private HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

#: where a stage may stand: how far a request has got there, its phase, and the callbacks that were asked before
PLACES = (
    ("before validate headers", "lookup", ["init"]),
    ("before lookup domain", "lookup", ["init"]),
    ("before continue", "checkout", ["init", "lookup_domain_name"]),
    ("before upgrade", "checkout", ["init", "lookup_domain_name"]),
    ("before lookup service", "checkout", ["init", "lookup_domain_name"]),
    (
        "before proxy",
        "connected",
        ["init", "lookup_domain_name", "checkout_service", "service_backend"],
    ),
)


class Stage:
    """A stage from a function; the plainest object that provides `IMiddleware`."""

    def __init__(self, execute: Callable[[Any], Any]) -> None:
        self._execute = execute
        self.seen: list[Any] = []

    def execute(self, request: Any) -> Any:
        """See `IMiddleware`."""
        self.seen.append(request)
        return self._execute(request)


def raising(error: BaseException) -> Any:
    """Raise it: for a ``lambda``."""
    raise error


async def later(value: Any) -> Any:
    """`value`, or raise it: a stage that is ``async def``."""
    if isinstance(value, Exception):
        raise value
    return value


#: the forms in which a stage says `value`, or raises it
FORMS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda value: raising(value) if isinstance(value, Exception) else value,
    "Deferred": lambda value: fail(value) if isinstance(value, Exception) else succeed(value),
    "async def": later,
}


class Chain(SynchronousTestCase):
    """A proxy in memory with a chain of its own."""

    def stage(self, chain: list[Any], *, keepalive: Any = None, **settings: Any) -> None:
        """Start it before a back-end that answers."""
        self.router = RecordingRouter([Backend("10.0.0.1", 80, keepalive=keepalive)])
        self.proxy = MemoryProxy(self.router, settings, chain)
        self.back = self.proxy.backend("10.0.0.1", 80, answering(OK))
        self.addCleanup(self.proxy.stop)

    def ask(self, request: bytes = GET) -> tuple[Any, MemoryClient]:
        """The response to `request`, and the client."""
        client = self.proxy.client()
        client.send(request)
        return client.receive_response(request.partition(b" ")[0]), client

    def endings(self) -> list[tuple[Any, ...]]:
        """The final check-ins' phase and state, and the statuses of ``terminate``."""
        finals = [call.arguments[2:] for call in self.router.of("checkin_service")]
        return [*finals, *(call.arguments for call in self.router.of("terminate"))]


class Defaults(SynchronousTestCase):
    """What `default_middlewares` returns."""

    def test_order(self) -> None:
        """vegur's order; each call returns a new list of new stages."""
        stages = default_middlewares()
        self.assertEqual(
            [type(stage) for stage in stages],
            [ValidateHeaders, LookupDomain, Continue, Upgrade, LookupService, Proxy],
        )
        self.assertIsNot(stages, default_middlewares())
        stages.clear()
        self.assertEqual(len(default_middlewares()), len(PLACES))

    def test_interface(self) -> None:
        """Each provides `IMiddleware`."""
        for stage in default_middlewares():
            self.assertTrue(verifyObject(IMiddleware, stage))
            self.assertTrue(verifyClass(IMiddleware, type(stage)))


class Places(Chain):
    """A stage of one's own, at each place of the chain."""

    def test_goes_on(self) -> None:
        """One that returns ``None``, in any form: the request goes its way, and every stage sees the same one."""
        for form, said in FORMS.items():
            with self.subTest(form):
                stages = [Stage(lambda _, said=said: said(None)) for _ in PLACES]
                chain = [each for pair in zip(stages, default_middlewares(), strict=True) for each in pair]
                self.stage(chain)
                response, _ = self.ask()
                self.assertEqual(response.body, b"hi")
                self.assertEqual([stage.seen for stage in stages], [[self.router.requests[0]]] * len(PLACES))
                self.assertEqual(self.endings(), [("connected", "normal"), ("normal",)])

    def test_answers(self) -> None:
        """One that returns a `Response`: nobody is asked after it, and what was checked out is given back."""
        for place, (name, phase, asked) in enumerate(PLACES):
            for form, said in FORMS.items():
                with self.subTest(name, form=form):
                    chain = default_middlewares()
                    answer = Response(403, [("X-Why", "because")], b"no")
                    chain.insert(place, Stage(lambda _, said=said, answer=answer: said(answer)))
                    self.stage(chain, keepalive="default")
                    response, client = self.ask()
                    self.assertEqual((response.status, response.body), (403, b"no"))
                    self.assertEqual(response.header("X-Why"), "because")
                    self.assertEqual(self.router.names, [*asked, "checkin_service", "terminate"])
                    self.assertEqual(self.endings(), [(phase, "normal"), ("normal",)])
                    request = self.router.requests[0]
                    self.assertEqual((request.response_code, request.bytes_sent), (403, 0))
                    self.assertEqual(self.proxy.pooled, int(phase == "connected"))  # it was not used
                    client.close()
                    self.proxy.idle(pooled=self.proxy.pooled)

    def test_refuses(self) -> None:
        """One that raises: a `RouteError`'s reason, or "crashed", reaches ``error_page`` and the final check-in."""
        for place, (name, phase, asked) in enumerate(PLACES):
            for form, said in FORMS.items():
                for error, reason in ((RouteError(("mine", 7)), ("mine", 7)), (KeyError("boom"), "crashed")):
                    with self.subTest(name, form=form, reason=reason):
                        chain = default_middlewares()
                        chain.insert(place, Stage(lambda _, said=said, error=error: said(error)))
                        self.stage(chain, keepalive="default")
                        response, client = self.ask()
                        self.assertEqual(response.status, 503)
                        self.assertEqual(
                            self.router.names, [*asked, "error_page", "checkin_service", "terminate"]
                        )
                        self.assertEqual(self.router.of("error_page")[0].arguments[0], reason)
                        self.assertEqual(self.endings(), [(phase, reason), ("error",)])
                        client.close()
                        self.proxy.idle()
                        self.assertEqual(len(self.flushLoggedErrors(KeyError)), int(reason == "crashed"))

    def test_rubbish(self) -> None:
        """What is none of these three is "crashed", and logged."""
        for rubbish in ("no", 403, False, (403, (), b""), ErrorPage(403), object):
            for form, said in FORMS.items():
                with self.subTest(rubbish, form=form):
                    self.stage([lambda _, said=said, rubbish=rubbish: said(rubbish), *default_middlewares()])
                    response, _ = self.ask()
                    self.assertEqual(response.status, 503)
                    self.assertEqual(self.endings(), [("lookup", "crashed"), ("error",)])
                    self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_never_answers(self) -> None:
        """After ``router_timeout`` it is cancelled, and the request fails with ``router_timeout``."""
        for place, (name, phase, _) in enumerate(PLACES):
            with self.subTest(name):
                cancelled: list[Any] = []
                chain = default_middlewares()
                chain.insert(place, lambda _, cancelled=cancelled: Deferred(cancelled.append))
                self.stage(chain, router_timeout=2000)
                client = self.proxy.client()
                client.send(GET)
                self.proxy.advance(1.9)
                self.assertEqual((client.received, cancelled), (b"", []))
                self.proxy.advance(0.1)
                self.assertEqual((client.receive_response().status, len(cancelled)), (503, 1))
                self.assertEqual(self.endings(), [(phase, ("undefined", "router_timeout")), ("error",)])

    def test_client_leaves(self) -> None:
        """Nobody waits for a stage whose client has left."""
        cancelled: list[Any] = []
        self.stage([lambda _: Deferred(cancelled.append), *default_middlewares()])
        client = self.proxy.client()
        client.send(GET)
        client.abort()
        self.assertEqual(self.endings(), [("lookup", ("upstream", "closed")), ("error",)])
        self.assertEqual(len(cancelled), 1)
        self.proxy.idle()

    def test_behind_the_last(self) -> None:
        """Behind the proxy there is nothing: a stage there is never asked."""
        late = Stage(lambda _: raising(AssertionError()))
        self.stage([*default_middlewares(), late])
        self.assertEqual(self.ask()[0].body, b"hi")
        self.assertEqual(late.seen, [])

    def test_no_end(self) -> None:
        """A chain that nobody ends is "crashed"."""
        for chain in ([], default_middlewares()[:-1]):
            self.stage(chain)
            self.assertEqual(self.ask()[0].status, 503)
            self.assertEqual(self.endings()[0][1], "crashed")
            self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)


class Answers(Chain):
    """How a stage's answer goes home."""

    def answered(self, answer: Response, request: bytes = GET) -> tuple[Any, MemoryClient]:
        """The response, where the first stage says `answer`."""
        self.stage([lambda _: answer, *default_middlewares()])
        return self.ask(request)

    def test_keep_alive(self) -> None:
        """The connection goes on behind it, where the request is whole."""
        response, client = self.answered(Response(401, (), b"who are you?"))
        self.assertEqual(response.header("Connection"), "keep-alive")
        for _ in range(2):
            client.send(GET)
            self.assertEqual(client.receive_response().body, b"who are you?")
        self.assertEqual(self.router.count("terminate"), 3)
        client.send(GET * 3)  # pipelined
        self.assertEqual([client.receive_response().status for _ in range(3)], [401] * 3)

    def test_body_behind(self) -> None:
        """A request's body that is here is skipped, and the connection goes on; one that is not closes it."""
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
        response, client = self.answered(Response(401), head + b"body")
        self.assertEqual(response.header("Connection"), "keep-alive")
        client.send(GET)
        self.assertEqual(client.receive_response().status, 401)
        response, client = self.answered(Response(401), head + b"bo")
        self.assertEqual(response.header("Connection"), "close")
        self.assertEqual(client.arrival.value, "clean")

    def test_head(self) -> None:
        """HEAD: the length, and no body."""
        response, client = self.answered(Response(200, (), b"hello"), GET.replace(b"GET", b"HEAD"))
        self.assertEqual((response.header("Content-Length"), response.body, client.unread), ("5", b"", b""))

    def test_without_a_body(self) -> None:
        """204 and 304 have neither body nor length, whatever the stage says."""
        for code in (204, 304):
            response, client = self.answered(Response(code, (), b"hello"))
            self.assertEqual((response.header("Content-Length"), client.unread), (None, b""))

    def test_text(self) -> None:
        """A body that is text goes out as UTF-8; headers may be text or bytes."""
        response, _ = self.answered(Response(200, [(b"X-A", "1"), ("X-B", b"2")], "h\u00e9"))
        self.assertEqual((response.body, response.header("Content-Length")), (b"h\xc3\xa9", "3"))
        self.assertEqual((response.header("X-A"), response.header("X-B")), ("1", "2"))

    def test_old_client(self) -> None:
        """HTTP/1.0: closed behind it, unless it asked for keep-alive."""
        old = GET.replace(b"1.1", b"1.0")
        response, client = self.answered(Response(200, (), b"hello"), old)
        self.assertEqual((response.header("Connection"), client.arrival.value), ("close", "clean"))
        response, client = self.answered(
            Response(200, (), b"hello"), old[:-2] + b"Connection: keep-alive\r\n\r\n"
        )
        self.assertEqual((response.header("Connection"), client.arrival.value), ("keep-alive", "open"))

    def test_cannot_be_sent(self) -> None:
        """An impossible answer is "crashed": the router's page, and nothing of the answer."""
        for answer in (
            Response(99),
            Response("200"),  # type: ignore[arg-type]
            Response(200, [("a", "b\r\nc: d")]),
            Response(200, [("Content-Length", "7")]),
            Response(200, (), 7),  # type: ignore[arg-type]
        ):
            with self.subTest(answer):
                response, _ = self.answered(answer)
                self.assertEqual((response.status, response.header("c")), (503, None))
                self.assertEqual(self.endings(), [("lookup", "crashed"), ("error",)])
                self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_status_of_a_refusal(self) -> None:
        """``RouteError(reason, code)``: the default page has that status; a router of its own may see it."""
        for error, status in (
            (RouteError("bad_token", 401), 401),
            (RouteError("not_found"), 404),
            (RouteError("not_found", 410), 410),
            (RouteError("mine"), 503),
        ):
            for form, said in FORMS.items():
                with self.subTest(error, form=form):
                    self.stage([lambda _, said=said, error=error: said(error), *default_middlewares()])
                    self.assertEqual(self.ask()[0].status, status)
                    self.assertEqual(self.router.requests[0].suggested_code, error.code)
        self.router.on(error_page=lambda *_: ErrorPage(418))
        self.assertEqual(self.ask()[0].status, 418)


class Refusals(Chain):
    """What a refusal means to those who come next on the connection."""

    def test_next_request(self) -> None:
        """A refusal is the router's, not the message's: the connection goes on."""
        fates: list[Exception | None] = [RouteError("mine"), KeyError("boom"), None]

        def execute(_: Any) -> None:
            fate = fates.pop(0)
            if fate is not None:
                raise fate

        self.stage([execute, *default_middlewares()])
        client = self.proxy.client()
        client.send(GET * 3)
        self.assertEqual([client.receive_response().status for _ in range(3)], [503, 503, 200])
        self.flushLoggedErrors(KeyError)


#: as in vegur's documentation: a secret that opens the door (which is not how it is done)
TOKEN = "abcdef"


@implementer(IMiddleware)
class ValidateCustomAuth:
    """vegur's example of a middleware: requests without the token end in the router's error page."""

    def execute(self, request: Any) -> None:
        """Raise `RouteError` unless the request carries the token."""
        if request.headers.get("my-token") != TOKEN:
            raise RouteError("bad_token")


class TokenRouter(Router):
    """Says how the refusal looks."""

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Any:
        """One service."""
        return "service"

    def service_backend(self, service: Any, request: Any, state: Any) -> Any:
        """One back-end."""
        return Backend("10.0.0.1", 80)

    def error_page(self, reason: Any, domain_group: Any, request: Any, state: Any) -> Any:
        """A page for ``bad_token``; the others are the default ones."""
        if reason == "bad_token":
            return ErrorPage(401, [("WWW-Authenticate", "Token")], b"a token, please")
        return super().error_page(reason, domain_group, request, state)


class TokenCheck(SynchronousTestCase):
    """The example of vegur's documentation, and of ours."""

    def test_token(self) -> None:
        """With the token through to the back-end, without it the router's page, and no lookup."""
        for place in range(6):
            chain = default_middlewares()
            chain.insert(place, ValidateCustomAuth())
            proxy = MemoryProxy(TokenRouter(), middlewares=chain)
            self.addCleanup(proxy.stop)
            proxy.backend("10.0.0.1", 80, answering(OK))
            client = proxy.client()
            self.assertEqual(client.ask("GET", "http://x/", [("My-Token", TOKEN)]).body, b"hi")
            for headers in ([], [("My-Token", "guess")], [("My-Token", "")]):
                response = client.ask("GET", "http://x/", headers)
                self.assertEqual((response.status, response.body), (401, b"a token, please"))
                self.assertEqual(response.header("WWW-Authenticate"), "Token")
            self.assertEqual(proxy.of("checkin_service")[-1].arguments[3], "bad_token")
            self.assertEqual(client.ask("GET", "http://x/", [("my-token", TOKEN)]).body, b"hi")
