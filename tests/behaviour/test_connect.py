"""Rule 22: connecting to a back-end, and what the router hears of each try."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHostnameResolver
from zope.interface import implementer

from tests.behaviour.conversation import GET, GOOD, OK, Conversation, post
from vegurtx import Backend, ErrorPage, RouteError
from vegurtx.testing import RecordingRouter, ScriptedConnection, answering, in_turn, router_to


@implementer(IHostnameResolver)
class Names:
    """A resolver that knows these names, and asks no network."""

    def __init__(self, names: dict[str, list[str]]) -> None:
        self._names = names

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0, *_: Any, **__: Any) -> Any:
        """See `IHostnameResolver`."""
        receiver.resolutionBegan(None)
        for host in self._names.get(name, []):
            receiver.addressResolved(IPv4Address("TCP", host, portNumber))
        receiver.resolutionComplete()


class Asking(Conversation):
    """A client that asks, and what the router was told."""

    async def asked(
        self, router: RecordingRouter, request: bytes = GET, **settings: Any
    ) -> ScriptedConnection:
        """A client before a new proxy has asked."""
        self.running_proxy = await self.proxy(router, **settings)
        client = await self.running_proxy.connect()
        client.send(request)
        return client

    def checkins(self, router: RecordingRouter) -> list[tuple[Any, ...]]:
        """The arguments of all check-ins."""
        return [call.arguments for call in router.of("checkin_service")]

    def resolve(self, names: dict[str, list[str]]) -> None:
        """During this test `names` are all that resolve."""
        self.addCleanup(self.reactor.installNameResolver, self.reactor.installNameResolver(Names(names)))


class FailedConnects(Asking):
    """Rule 22."""

    async def test_next_one(self) -> None:
        """Rule 22: a failed connect is checked in with its bare word, and the router asked for another service."""
        refusing = await self.refusing_backend()
        backend = await self.backend(handler=answering(OK))
        router = router_to(refusing, refusing, backend, init="state")
        client = await self.asked(router)
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(router), GOOD)
        bad, good = refusing.as_backend(), backend.as_backend()
        failed = ("example.org", bad, "connecting", "econnrefused")
        self.assertEqual(
            self.checkins(router), [failed, failed, ("example.org", good, "connected", "normal")]
        )
        tries = ["checkout_service", "service_backend", "checkin_service"]
        self.assertEqual(
            router.names,
            ["init", "lookup_domain_name", *tries * 2, *tries[:2], "feature"]
            + ["additional_headers"] * 2
            + ["checkin_service", "terminate"],
        )
        self.assertEqual({call.state for call in router.calls[1:]}, {"state"})
        self.assertEqual(len({id(call.request) for call in router.calls}), 1)

    async def test_router_gives_up(self) -> None:
        """Rule 22: it goes on until the router gives up; then its reason counts, and its page is sent."""
        refusing = await self.refusing_backend()
        for reason, status in (
            ("all_blocked", 503),
            ("not_found", 404),
            (("downstream", "econnrefused"), 503),
        ):
            with self.row(reason):
                router = RecordingRouter([refusing, refusing], exhausted=reason)
                client = await self.asked(router)
                response = await client.receive_response()
                self.assertEqual((response.status, response.header("Connection")), (status, "keep-alive"))
                await self.assert_ends(router, "checkout", reason, "error")
                failed = ("example.org", refusing.as_backend(), "connecting", "econnrefused")
                self.assertEqual(
                    self.checkins(router), [failed, failed, ("example.org", None, "checkout", reason)]
                )
                self.assertEqual(router.of("error_page")[0].arguments, (reason, "example.org"))

    async def test_client_may_try_again(self) -> None:
        """Rules 19, 22: behind such a page the client's connection is as good as before."""
        refusing = await self.refusing_backend()
        backend = await self.backend(handler=answering(OK))
        router = router_to(refusing)
        client = await self.asked(router, post(5) + b"hello")
        self.assertEqual((await client.receive_response()).status, 503)
        await self.ending(router)
        router.backends[:] = [backend.as_backend()]
        client.send(post(5) + b"hello")
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(router), GOOD)

    async def test_timeout(self) -> None:
        """Rules 22, 24: a connect that takes longer than ``downstream_connect_timeout`` is ``etimedout``."""
        silent = await self.silent_backend()
        backend = await self.backend(handler=answering(OK))
        router = router_to(silent, backend)
        client = await self.asked(router, downstream_connect_timeout=30)
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(self.checkins(router)[0][1:], (silent.as_backend(), "connecting", "etimedout"))
        self.assertEqual(await self.ending(router), GOOD)

    async def test_every_kind_of_failure(self) -> None:
        """Rule 22: the word says what was wrong: no such socket, no such address, nothing that could be a name."""
        for backend, word in [
            (Backend.unix(str(self.folder() / "nobody")), "enoent"),
            (Backend.unix("/" + "x" * 300), None),
            (Backend("255.255.255.255", 80), None),
            (Backend("x" * 64 + ".invalid", 80), "nxdomain"),
            (Backend("..", 80), "nxdomain"),
            (Backend("a..b", 80, tls=True), None),
        ]:
            with self.row(backend):
                router = router_to(backend)
                client = await self.asked(router)
                self.assertEqual((await client.receive_response()).status, 503)
                await self.assert_ends(router, "checkout", "all_blocked", "error")
                _, service, phase, state = self.checkins(router)[0]
                self.assertEqual((service, phase), (backend, "connecting"))
                self.assertTrue(isinstance(state, str) and state.isalpha(), state)
                if word is not None:
                    self.assertEqual(state, word)

    async def test_name(self) -> None:
        """Rule 22: a name is connected to at the first of its addresses that answers."""
        backend = await self.backend(handler=answering(OK))
        self.resolve({"two.example": ["127.0.0.2", "127.0.0.1"]})
        router = router_to(Backend("two.example", backend.port))
        client = await self.asked(router)
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(router), GOOD)

    async def test_unknown_name(self) -> None:
        """Rule 22: one that does not resolve is ``nxdomain``; one whose addresses all refuse, ``econnrefused``."""
        refusing = await self.refusing_backend()
        self.resolve({"two.example": ["127.0.0.2", "127.0.0.1"]})
        for name, word in (("nobody.example", "nxdomain"), ("two.example", "econnrefused")):
            with self.row(name):
                router = router_to(Backend(name, refusing.port))
                client = await self.asked(router)
                self.assertEqual((await client.receive_response()).status, 503)
                await self.assert_ends(router, "checkout", "all_blocked", "error")
                self.assertEqual(self.checkins(router)[0][2:], ("connecting", word))

    async def test_unix_socket(self) -> None:
        """Rule 22: a UNIX socket is a back-end as any other."""
        backend = await self.backend(path=str(self.folder() / "socket"), handler=answering(OK))
        router = router_to(backend)
        client = await self.asked(router)
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(router), GOOD)

    async def test_cap(self) -> None:
        """Rule 22, settled: a router that never gives up is stopped after 10 tries, or ``max_connect_tries``."""
        refusing = await self.refusing_backend()
        for settings, tries in (({}, 10), ({"max_connect_tries": 3}, 3), ({"max_connect_tries": 1}, 1)):
            with self.row(settings):
                router = router_to(checkout_service=lambda *_: refusing.as_backend())
                client = await self.asked(router, **settings)
                self.assertEqual((await client.receive_response()).status, 503)
                await self.assert_ends(router, "checkout", ("downstream", "connect_tries"), "error")
                self.assertEqual(router.count("checkout_service"), tries)
                self.assertEqual(
                    [checkin[2] for checkin in self.checkins(router)], ["connecting"] * tries + ["checkout"]
                )

    async def test_last_try_succeeds(self) -> None:
        """Rule 22: the last try allowed is a try."""
        refusing = await self.refusing_backend()
        backend = await self.backend(handler=answering(OK))
        router = router_to(refusing, refusing, backend)
        client = await self.asked(router, max_connect_tries=3)
        self.assertEqual((await client.receive_response()).body, b"hi")

    async def test_body_waits(self) -> None:
        """Rule 22: a failed connect has taken nothing of the request: the next back-end gets all of it."""
        refusing = await self.refusing_backend()
        for request in (post(5) + b"hello", b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        b"5\r\nhello\r\n0\r\n\r\n"):  # fmt: skip
            with self.row(request):
                backend = await self.backend()
                router = router_to(refusing, refusing, backend)
                client = await self.asked(router, request)
                server = await backend.accept()
                self.assertEqual((await server.receive_request()).body, b"hello")
                server.send(OK)
                self.assertEqual((await client.receive_response()).body, b"hi")

    async def test_body_comes_during_the_connect(self) -> None:
        """Rule 22: what the client sends meanwhile waits, within a bound, and none of it is lost."""
        silent = await self.silent_backend()
        backend = await self.backend()
        router = router_to(silent, backend)
        size = 3_000_000
        client = await self.asked(router, post(size), downstream_connect_timeout=30)
        client.send(b"x" * size)
        server = await backend.accept()
        self.assertEqual(len((await server.receive_request()).body), size)
        server.send(OK)
        self.assertEqual((await client.receive_response()).body, b"hi")


class Routers(Asking):
    """Rule 22 with routers that take their time, or break."""

    async def test_async_router(self) -> None:
        """Rule 22: each of the callbacks may be a Deferred or ``async``; the next is asked when it has answered."""
        refusing = await self.refusing_backend()
        backend = await self.backend(handler=answering(OK))
        pending: Deferred[Any] = Deferred()

        async def served(service: Backend, request: Any, state: Any) -> Backend:
            return service

        router = router_to(
            checkout_service=in_turn(refusing.as_backend(), lambda *_: pending),
            service_backend=served,
            checkin_service=in_turn(lambda *_: checked_in, None),
        )
        checked_in: Deferred[None] = Deferred()
        client = await self.asked(router)
        await self.until(lambda: router.count("checkin_service") == 1)
        await self.turns()
        self.assertEqual(router.count("checkout_service"), 1)
        checked_in.callback(None)
        await self.until(lambda: router.count("checkout_service") == 2)
        self.assertEqual(router.count("service_backend"), 1)
        pending.callback(backend.as_backend())
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(router), GOOD)

    async def test_failing_callbacks(self) -> None:
        """Rule 22: a callback that fails while connects fail ends the request once, without another try."""
        refusing = await self.refusing_backend()

        async def failing(*_: Any) -> Any:
            raise ValueError("in the router")

        async def refusing_to_route(*_: Any) -> Any:
            raise RouteError("no_route_id")

        for wrong, reason, logged in [
            (ValueError("in the router"), "crashed", 1),
            (failing, "crashed", 1),
            (RouteError("no_route_id"), "no_route_id", 0),
            (refusing_to_route, "no_route_id", 0),
        ]:
            for callback in ("checkin_service", "checkout_service", "service_backend"):
                with self.row(wrong, callback):
                    router = router_to(refusing, refusing)
                    usual = getattr(
                        RecordingRouter, {"checkout_service": "_next_backend"}.get(callback, "_same")
                    )
                    first = None if callback == "checkin_service" else lambda *a, r=router, u=usual: u(r, *a)
                    answers = (wrong, None) if callback == "checkin_service" else (first, wrong)
                    router.on(**{callback: in_turn(*answers)})
                    client = await self.asked(router)
                    self.assertIn((await client.receive_response()).status, (502, 503))
                    await self.assert_ends(router, "checkout", reason, "error")
                    self.assertEqual(self.checkins(router)[0][2:], ("connecting", "econnrefused"))
                    self.assertEqual(router.count("checkin_service"), 2)
                    self.assertEqual(len(self.flushLoggedErrors(ValueError)), logged)

    async def test_no_backend(self) -> None:
        """Rule 22: what is no `Backend` crashes the request, and only that."""
        for wrong in (None, ("127.0.0.1", 80), "127.0.0.1:80", 80):
            with self.row(wrong):
                router = router_to(checkout_service=1, service_backend=lambda *_, w=wrong: w)
                client = await self.asked(router)
                self.assertEqual((await client.receive_response()).status, 503)
                await self.assert_ends(router, "checkout", "crashed", "error")
                self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    async def test_slow_error_page(self) -> None:
        """Rule 22: the page of a router that gave up may take its time too."""
        page: Deferred[ErrorPage] = Deferred()
        router = router_to(error_page=lambda *_: page)
        client = await self.asked(router)
        await self.until(lambda: router.count("error_page"))
        page.callback(ErrorPage(599, [], b"late"))
        response = await client.receive_response()
        self.assertEqual((response.status, response.body), (599, b"late"))
        await self.assert_ends(router, "checkout", "all_blocked", "error")

    async def test_times(self) -> None:
        """Rule 22: the durations are those of the last connect; without any connection they are ``None``."""
        refusing = await self.refusing_backend()
        backend = await self.backend(handler=answering(OK))
        router = router_to(refusing, backend)
        client = await self.asked(router)
        await client.receive_response()
        await self.ending(router)
        request = router.requests[0]
        for name in ("route_duration", "connect_duration", "service_duration", "total_duration"):
            self.assertIsInstance(getattr(request, name), int, name)
        router = router_to(lookup_domain_name=RouteError("not_found"))
        client = await self.asked(router)
        await client.receive_response()
        await self.ending(router)
        request = router.requests[0]
        for name in ("route_duration", "connect_duration", "service_duration"):
            self.assertIsNone(getattr(request, name), name)
        self.assertIsInstance(request.total_duration, int)
