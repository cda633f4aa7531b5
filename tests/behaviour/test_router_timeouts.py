"""Rule 24: a router, or a stage, that never answers, on a clock that the test turns."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.behaviour.conversation import (
    GET,
    OK,
    Timed,
)
from vegurtx import RouteError
from vegurtx.testing import router_to

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Routers(Timed):
    """Rule 24: a router, or a stage, that never answers."""

    LATE = ("undefined", "router_timeout")

    async def test_each_callback(self) -> None:
        """Rule 24: after ``router_timeout`` it is cancelled, and the client gets a page."""
        for callback, phase in [
            ("init", "lookup"),
            ("lookup_domain_name", "lookup"),
            ("checkout_service", "checkout"),
            ("service_backend", "checkout"),
            ("feature", "connected"),
            ("additional_headers", "connected"),
        ]:
            for settings, limit in (({}, 30.0), ({"router_timeout": 5000}, 5.0)):
                with self.row(callback, settings):
                    cancelled: list[Any] = []
                    backend = await self.backend()
                    router = router_to(backend, **{callback: lambda *_, c=cancelled: Deferred(c.append)})
                    proxy, self.clock = await self.timed_proxy(router, **settings)
                    client = await proxy.connect()
                    client.send(GET)
                    await self.until(lambda r=router, c=callback: r.count(c))
                    self.clock.advance(limit - 0.1)
                    await self.turns()
                    self.assertEqual((client.received, cancelled), (b"", []))
                    self.clock.advance(0.2)
                    response = await client.receive_response()
                    self.assertEqual((response.status, response.header("Connection")), (503, "keep-alive"))
                    await self.assert_ends(router, phase, self.LATE, "error")
                    self.assertEqual(len(cancelled), 1)
                    await self.until(
                        lambda b=backend: all(each.arrival.value != "open" for each in b.connections)
                    )

    async def test_headers_of_the_response(self) -> None:
        """Rule 24: the same where the response waits for ``additional_headers``: nothing of it is out yet."""
        for said in (
            OK,
            OK[:-1],
            CHUNKED + b"5\r\nhel",
            b"HTTP/1.1 200 OK\r\n\r\nhi",
            b"HTTP/1.1 204 No\r\n\r\n",
        ):
            with self.row(said):
                never: Deferred[Any] = Deferred()
                scene = await self.timed()
                scene.router.on(additional_headers=lambda *_, n=never: n)
                scene.server.send(said)
                await self.until(lambda s=scene: s.router.count("additional_headers") == 2)
                self.clock.advance(29.9)
                await self.turns()
                self.assertEqual(scene.client.received, b"")
                self.clock.advance(0.2)
                self.assertEqual((await scene.client.receive_response()).status, 503)
                await self.assert_ends(scene.router, "connected", self.LATE, "error")
                await scene.server.closed()

    async def test_error_page(self) -> None:
        """Rule 24: not even the page: then it is the table's own."""
        router = router_to(lookup_domain_name=RouteError("not_found"), error_page=lambda *_: Deferred())
        proxy, clock = await self.timed_proxy(router)
        client = await proxy.connect()
        client.send(GET)
        await self.until(lambda: router.count("error_page"))
        clock.advance(30.1)
        self.assertEqual((await client.receive_response()).status, 404)
        await self.assert_ends(router, "lookup", "not_found", "error")
        self.flushLoggedErrors()

    async def test_last_calls(self) -> None:
        """Rule 24: nobody waits for ``checkin_service`` and ``terminate``: the response is out, the client goes on."""
        checked_in: Deferred[None] = Deferred()
        scene = await self.timed(keepalive="default")
        scene.router.on(checkin_service=lambda *_: checked_in)
        scene.server.send(OK)
        await scene.client.receive_response()
        scene.router.on(checkin_service=None)
        scene.client.send(GET)
        await scene.server.receive_request()
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        checked_in.callback(None)
        self.assertEqual([await scene.router.finished, await scene.router.finished], ["normal", "normal"])

    async def test_stage(self) -> None:
        """Rule 24: a middleware's Deferred has the same deadline."""
        router = router_to()
        proxy = await self.proxy(router, middlewares=[lambda request: Deferred()], router_timeout=30)
        client = await proxy.connect()
        client.send(GET)
        self.assertEqual((await client.receive_response()).status, 503)
        await self.assert_ends(router, "lookup", self.LATE, "error")
