"""Features: what the proxy asks for, when, and what it makes of each form of answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Backend, RouteError, Router
from vegurtx.testing import MemoryProxy, RecordingRouter
from vegurtx.testing.memory.connection import MemoryClient

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CLAIM = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Peer-Port: 1\r\n\r\n"
EXPECT = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def coroutine(value: Any) -> Callable[..., Any]:
    """An ``async def`` that returns `value`, or raises it."""

    async def answer(*_: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    return answer


#: the forms of an answer
FORMS: dict[str, Callable[[Any], Any]] = {
    "plain": lambda value: value,
    "Deferred": lambda value: lambda *_: fail(value) if isinstance(value, Exception) else succeed(value),
    "async def": coroutine,
}
RUBBISH = (None, 0, 1, "yes", "", [], object())


class Features(SynchronousTestCase):
    """A proxy in memory whose router answers ``feature`` in each form."""

    def stage(self, wanted: str, answer: Any) -> None:
        """Start it; `answer` is how the feature `wanted` is answered, all others are off."""

        def feature(name: str, request: Any, state: Any) -> Any:
            if name != wanted:
                return False
            if isinstance(answer, Exception):
                raise answer
            return answer(name, request, state) if callable(answer) else answer

        self.router = RecordingRouter([Backend("10.0.0.1", 80)], feature=feature)
        self.proxy = MemoryProxy(self.router, {"router_timeout": 2000})
        self.back = self.proxy.backend("10.0.0.1", 80)
        self.addCleanup(self.proxy.stop)

    def asked(self, request: bytes) -> MemoryClient:
        """A client that has sent `request`."""
        client = self.proxy.client(peer=("192.0.2.7", 4321))
        client.send(request)
        return client

    def names(self) -> list[str]:
        """The features that were asked for."""
        return [call.arguments[0] for call in self.router.of("feature")]

    def ending(self) -> tuple[Any, ...]:
        """The final check-in's phase and reason, and the status of ``terminate``."""
        (final,) = (call.arguments for call in self.router.of("checkin_service"))
        (last,) = (call.arguments for call in self.router.of("terminate"))
        return (*final[2:], *last)

    def test_peer_port(self) -> None:
        """On: the client's port, in place of what it claims; off: nothing is added, and the claim stays as it came."""
        for form, said in FORMS.items():
            for request, on, expected in (
                (GET, True, ["4321"]),
                (CLAIM, True, ["4321"]),
                (GET, False, []),
                (CLAIM, False, ["1"]),
            ):
                with self.subTest(form, on=on):
                    self.stage("peer_port", said(on))
                    client = self.asked(request)
                    server = self.back.accept()
                    self.assertEqual(server.receive_request().all("X-Forwarded-Peer-Port"), expected)
                    server.send(OK)
                    self.assertEqual(client.receive_response().status, 200)
                    self.assertEqual(self.names(), ["peer_port"])  # nothing else is asked of a plain request

    def test_deep_continue(self) -> None:
        """On: the back-end gets the field, and its 100 goes home; off: the proxy's own 100, and no field."""
        for form, said in FORMS.items():
            for on in (True, False):
                with self.subTest(form, on=on):
                    self.stage("deep_continue", said(on))
                    client = self.asked(EXPECT)
                    server = self.back.accept()
                    head = server.receive_head()
                    self.assertEqual(b"Expect: 100-continue\r\n" in head, on)
                    self.assertEqual(client.received, b"" if on else CONTINUE)
                    if on:
                        server.send(CONTINUE)
                    self.assertEqual(client.received, CONTINUE)
                    client.send(b"hi")
                    server.expect(b"hi")
                    server.send(OK)
                    client.expect(CONTINUE)
                    self.assertEqual(client.receive_response().status, 200)
                    self.assertEqual(self.names(), ["deep_continue", "peer_port"])

    def test_rubbish(self) -> None:
        """Only ``True`` and ``False`` are answers: "crashed", and nothing was sent to a back-end."""
        for name, request, phase in (
            ("peer_port", GET, "connected"),
            ("deep_continue", EXPECT, "checkout"),
        ):
            for rubbish in RUBBISH:
                for form, said in FORMS.items():
                    with self.subTest(name, rubbish=rubbish, form=form):
                        self.stage(name, said(rubbish))
                        client = self.asked(request)
                        self.assertEqual(client.receive_response().status, 503)
                        self.assertEqual(self.ending(), (phase, "crashed", "error"))
                        self.assertEqual(
                            [each.received for each in self.back.connections if each.received], []
                        )
                        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_errors(self) -> None:
        """One that raises: its reason, or "crashed"."""
        for name, request, phase in (
            ("peer_port", GET, "connected"),
            ("deep_continue", EXPECT, "checkout"),
        ):
            for error, reason in ((RouteError("mine"), "mine"), (KeyError("boom"), "crashed")):
                for form, said in FORMS.items():
                    with self.subTest(name, reason=reason, form=form):
                        self.stage(name, said(error))
                        client = self.asked(request)
                        self.assertEqual(client.receive_response().status, 503)
                        self.assertEqual(self.ending(), (phase, reason, "error"))
                        self.assertEqual(len(self.flushLoggedErrors(KeyError)), int(reason == "crashed"))

    def test_never_answers(self) -> None:
        """After ``router_timeout`` the request fails."""
        for name, request, phase in (
            ("peer_port", GET, "connected"),
            ("deep_continue", EXPECT, "checkout"),
        ):
            with self.subTest(name):
                self.stage(name, lambda *_: Deferred())
                client = self.asked(request)
                self.proxy.advance(2)
                self.assertEqual(client.receive_response().status, 503)
                self.assertEqual(self.ending(), (phase, ("undefined", "router_timeout"), "error"))

    def test_unknown_names(self) -> None:
        """`Router` answers every name: off."""
        router: Any = Router()
        for name in ("deep_continue", "peer_port", "retry", "of the future", ""):
            self.assertIs(router.feature(name, None, None), False)
