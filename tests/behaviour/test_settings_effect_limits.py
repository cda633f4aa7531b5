"""Settings take effect: limits of responses, at the limit and one past it, and timeouts in their phases."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.behaviour.conversation import GET, GOOD, OK, Conversation, Timed, post
from vegurtx.testing import Response, RunningProxy, ScriptedServer, answering, router_to

EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"


class Responses(Conversation):
    """Limits of a back-end's head."""

    async def at_the_limit(self, good: bytes, bad: bytes, what: str, **settings: Any) -> Response:
        """The response with the head `good` comes home, the one with `bad` is a 502 for ``("downstream", what)``."""
        answers = [good, bad]
        backend = await self.backend(handler=answering(lambda request: answers.pop(0)))
        proxy = await self.proxy(router_to(backend), **settings)
        client = await proxy.connect()
        client.send(GET)
        response = await client.receive_response()
        self.assertEqual(response.status, 200)
        self.assertEqual(await self.ending(proxy.router), GOOD)
        client.send(GET)
        self.assertEqual((await client.receive_response()).status, 502)
        await self.assert_ends(proxy.router, "connected", ("downstream", what), "error")
        return response

    async def test_cookie_length(self) -> None:
        """``max_client_cookie_length`` is that of the value of a ``Set-Cookie``; other fields are not judged by it."""
        for settings, limit in (({}, 8192), ({"max_client_cookie_length": 40}, 40)):
            for name in (b"Set-Cookie: ", b"sEt-CoOkIe: "):
                with self.row(settings, name):
                    longest = EMPTY + b"Other: ".ljust(limit + 100, b"o") + b"\r\n" + name + b"c" * limit
                    response = await self.at_the_limit(
                        longest + b"\r\n\r\n", longest + b"c\r\n\r\n", "cookie_length", **settings
                    )
                    self.assertEqual(response.header("Set-Cookie"), "c" * limit)

    async def test_each_cookie(self) -> None:
        """Each cookie has that limit of its own, however many there are."""
        line = b"Set-Cookie: " + b"c" * 40 + b"\r\n"
        response = await self.at_the_limit(
            EMPTY + line * 5 + b"\r\n",
            EMPTY + line * 4 + b"Set-Cookie: " + b"c" * 41 + b"\r\n\r\n",
            "cookie_length",
            max_client_cookie_length=40,
        )
        self.assertEqual(len(response.all("Set-Cookie")), 5)

    async def test_count(self) -> None:
        """``max_response_headers`` counts all of a response's header lines."""
        for settings, limit in (({}, 1000), ({"max_response_headers": 3}, 3)):
            with self.row(settings):
                most = EMPTY + b"A: 1\r\n" * (limit - 1)
                response = await self.at_the_limit(
                    most + b"\r\n", most + b"A: 1\r\n\r\n", "header_length", **settings
                )
                self.assertEqual(len(response.all("A")), limit - 1)


class Timeouts(Timed):
    """The same limit in other phases, and 0 for none."""

    async def test_idle_in_the_response(self) -> None:
        """``idle_timeout`` bounds the time between two bytes of a response, and each byte begins it anew."""
        for settings, limit in (({}, 55.0), ({"idle_timeout": 7}, 7.0)):
            with self.row(settings):
                scene = await self.timed(**settings)
                scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
                await scene.client.receive_head()
                for _ in range(3):
                    await self.assert_alive_for(scene, limit - 0.1)
                    scene.server.send(b"x")
                    await scene.client.expect(b"x")
                self.clock.advance(limit + 0.1)
                await self.assert_broken_off(scene, ("undefined", "timeout"))

    async def test_router(self) -> None:
        """``router_timeout`` 0: a router may take as long as it likes; the client may still leave."""
        late: Deferred[Any] = Deferred()
        backend = await self.backend(handler=answering(OK))
        router = router_to(backend, lookup_domain_name=lambda *_: late)
        proxy, self.clock = await self.timed_proxy(router, router_timeout=0)
        client = await self.asked(proxy, router)
        self.clock.advance(80_000)
        await self.turns()
        self.assertEqual(client.received, b"")
        late.callback("group")
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(router), GOOD)

    async def test_downstream_after_an_upload(self) -> None:
        """``downstream_timeout`` begins when the request is out; while it is on its way, ``idle_timeout`` counts."""
        scene = await self.timed(post(2), whole=False, downstream_timeout=5, idle_timeout=20)
        await self.assert_alive_for(scene, 19.9)
        scene.client.send(b"ab")
        await scene.server.expect(b"ab")
        await self.assert_alive_for(scene, 4.9)
        self.clock.advance(0.2)
        await self.assert_answered(scene, ("downstream", "timeout"), keeps=True)

    async def asked(self, proxy: RunningProxy, router: Any) -> Any:
        """A client whose request has reached the router."""
        client = await proxy.connect()
        client.send(GET)
        await self.until(lambda: router.count("lookup_domain_name"))
        return client


class Linger(Timed):
    """``linger_timeout``, where it is 0."""

    async def test_zero(self) -> None:
        """0: who is still sending when an early answer is out is not read at all."""
        backend: ScriptedServer = await self.backend()
        proxy, self.clock = await self.timed_proxy(router_to(backend), linger_timeout=0)
        scene = await self.scene(post(10), proxy=proxy, backend=backend, whole=False)
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(scene.router), GOOD)
        self.clock.advance(0)
        await scene.client.closed()
        await self.until(lambda: not proxy.factory.connections)
