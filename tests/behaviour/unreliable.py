"""Actors that fail at every step: a router, a stage of the chain, and what peers say. Chance is a tape of numbers.

``test_accounting`` lets them play against the proxy in memory; 0 on the tape, and its end, stand for "all goes well",
so that a plan which finds a fault shrinks to the steps that matter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from zope.interface import implementer

from vegurtx import Backend, ErrorPage, IMiddleware, Redirect, Response, RouteError, Router

_T = TypeVar("_T")

#: a domain whose requests must come through whatever happens to the others
CALM = "calm.example"


class Tape:
    """The numbers that decide, one after the other; when there are no more, 0.

    :param numbers: non-negative.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = iter(numbers)

    def number(self) -> int:
        """The next one, 0 to 63."""
        return next(self._numbers, 0) % 64

    def pick(self, options: Sequence[_T]) -> _T:
        """One of `options`, the first for 0."""
        return options[self.number() % len(options)]


class Boom(Exception):
    """What unreliable callbacks raise."""


class Unreliable(Router):
    """A router each of whose answers may be right, late, wrong, an error, or never come.

    :param tape: decides.
    :param late: gets what each Deferred that waits for the plan is to be fired with.
    """

    #: how an answer is given
    FORMS = (
        *(
            "at once",
            "succeeded",
            "async",
            "late",
            "late coroutine",
            "failed",
            "raised",
            "refused",
            "refused later",
        ),
        *("never", "stubborn", "stubborn coroutine", "rubbish", "late rubbish", "late failure"),
    )
    RUBBISH: dict[str, tuple[Any, ...]] = {
        "lookup_domain_name": (Redirect("other.example"), Redirect("a\r\nb: c"), Redirect("")),
        "service_backend": (None, 7, "127.0.0.1:80"),
        "feature": (None, 1, "yes"),
        "additional_headers": (7, [("a",)], [("a", "b\n")], [("Content-Length", "7")]),
        "error_page": (None, 404, ErrorPage(99), ErrorPage(200, [("a", "\r")]), ErrorPage(200, (), 7)),
    }

    def __init__(self, tape: Tape, late: list[Callable[[], None]]) -> None:
        self.tape = tape
        self.late = late
        self.services = 0
        #: of 64 answers so many are right, and come at once
        self.reliable = tape.pick([60, 48, 63, 32, 56])

    def answer(self, name: str, good: Any, request: Any) -> Any:
        """`good`, in some form, or something else."""
        if request.host == CALM or self.tape.number() < self.reliable:
            return good
        form = self.tape.pick(self.FORMS)
        if "rubbish" in form:
            good = self.tape.pick(self.RUBBISH.get(name, (good,)))
        if form == "raised":
            raise Boom(name)
        if form == "refused":
            raise RouteError(self.tape.pick(["mine", ("mine", 7), "not_found"]))
        if form == "failed":
            return fail(Boom(name))
        if form == "refused later":
            return self._waiting(lambda: RouteError("mine"))
        if form == "late failure":
            return self._waiting(lambda: Boom(name))
        if form == "succeeded":
            return succeed(good)
        if form == "async":
            return self._async(succeed(None), good)
        if form in ("late", "late rubbish"):
            return self._waiting(lambda: good)
        if form == "late coroutine":
            return self._async(self._waiting(lambda: None), good)
        if form == "never":
            return Deferred()
        if form == "stubborn":  # it answers all the same when it is cancelled
            return Deferred(lambda waiting: waiting.callback(good))
        if form == "stubborn coroutine":
            return self._stubborn(good)
        return good

    def _waiting(self, outcome: Callable[[], Any]) -> Deferred[Any]:
        waiting: Deferred[Any] = Deferred()

        def fire() -> None:
            if not waiting.called:
                waiting.callback(None)

        def use(_: Any) -> Any:
            value = outcome()
            if isinstance(value, Exception):
                raise value
            return value

        self.late.append(fire)
        return waiting.addCallback(use)

    async def _async(self, waiting: Deferred[Any], good: Any) -> Any:
        await waiting
        return good

    async def _stubborn(self, good: Any) -> Any:
        with contextlib.suppress(CancelledError):
            await Deferred()
        return good

    # -- the contract ---------------------------------------------------------------------------------------------

    def init(self, accepted_at: float, request: Any) -> Any:
        """A state of its own for each request."""
        return self.answer("init", object(), request)

    def lookup_domain_name(self, domain: str, request: Any, state: Any) -> Any:
        """Every domain is a group."""
        return self.answer("lookup_domain_name", domain, request)

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Any:
        """A service of its own for each checkout, so that each can be counted."""
        self.services += 1
        return self.answer("checkout_service", f"service {self.services}", request)

    def service_backend(self, service: Any, request: Any, state: Any) -> Any:
        """The one whose back-end is calm, or one of two others."""
        if request.host == CALM:
            return Backend("10.0.0.9", 80, keepalive="default")
        host = self.tape.pick(["10.0.0.1", "10.0.0.2"])
        backend = Backend(host, 80, keepalive=self.tape.pick([None, *("default",) * 4, "new"]))
        return self.answer("service_backend", backend, request)

    def checkin_service(
        self, domain_group: Any, service: Any, phase: str, service_state: Any, request: Any, state: Any
    ) -> Any:
        """Whatever it says, nobody is interested."""
        return self.answer("checkin_service", None, request)

    def feature(self, name: str, request: Any, state: Any) -> Any:
        """On or off."""
        return self.answer("feature", request.host != CALM and self.tape.pick([False, False, True]), request)

    def additional_headers(self, direction: str, log: Any, request: Any, state: Any) -> Any:
        """One, which says what the log knows."""
        return self.answer("additional_headers", [(f"X-{direction}", str(len(log.linear_report())))], request)

    def error_page(self, reason: Any, domain_group: Any, request: Any, state: Any) -> Any:
        """A page with a body."""
        return self.answer("error_page", ErrorPage(503, [("X-Page", "yes")], b"sorry"), request)

    def terminate(self, status: str, request: Any, state: Any) -> Any:
        """Whatever it says, nobody is interested."""
        return self.answer("terminate", None, request)


@implementer(IMiddleware)
class UnreliableStage:
    """A stage that lets a request go on, answers it, or fails.

    :param router: has the tape.
    """

    ANSWERS = (
        None,
        None,
        None,
        None,
        Response(204),
        Response(401, [("A", "b")], b"no"),
        "rubbish",
        Response(7),
    )

    def __init__(self, router: Unreliable) -> None:
        self._router = router

    def execute(self, request: Any) -> Any:
        """See `IMiddleware`."""
        if request.host == CALM:
            return None
        return self._router.answer("stage", self._router.tape.pick(self.ANSWERS), request)


HOST = b"Host: wild.example\r\n"
REQUESTS = (
    b"GET / HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\n\r\nabcdef",
    b"PUT / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: chat\r\n\r\nbytes for the pipe",
    b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 6\r\n\r\nabcdef",
    b"PUT / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 200000\r\n\r\n" + b"u" * 200_000,
    b"nonsense\r\n\r\n",
)
RESPONSES = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil it closes",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nbytes for the pipe",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcnonsense",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nsurplus",
    b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"d" * 200_000,
    b"nonsense\r\n\r\n",
)
