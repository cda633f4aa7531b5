"""The end in order: nobody listens any more, running requests end, and who stays for too long is cut off.

The proxy's clock is turned by hand, but for what the transports time themselves.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.behaviour.conversation import GET, GOOD, OK, Conversation, HandTurned, Scene
from tests.behaviour.test_upgrade import SWITCHING, asking
from vegurtx import ProxyFactory, Response
from vegurtx.cli.program import Program
from vegurtx.cli.run import stop_on_signals
from vegurtx.net.endpoints import tcp_server
from vegurtx.proxy.factory import DRAIN_REST
from vegurtx.service import ProxyService
from vegurtx.testing import RunningProxy, ScriptedServer, router_to


class Parts:
    """The balancer, as far as the program knows it."""

    def __init__(self, said: list[str]) -> None:
        self._said = said

    def start(self) -> None:
        """It has begun."""

    def stop(self) -> None:
        """It is over."""
        self._said.append("balancer stops")


class Drain(Conversation):
    """`Program.stopService`."""

    async def begin(self, stage: Any = None, **settings: Any) -> tuple[RunningProxy, ScriptedServer]:
        """A program that runs, and its back-end."""
        backend = await self.backend()
        self.clock = HandTurned(self.reactor)
        self.router = router_to(backend)
        chain = None if stage is None else [stage]
        factory = ProxyFactory(self.router, settings, chain, reactor=self.clock)
        service = ProxyService(factory, [tcp_server(self.clock, 0, "127.0.0.1")])
        self.said: list[str] = []
        self.program = Program(service, self.clock, balancer=Parts(self.said))
        self.patch(signal, "signal", lambda *_: None)
        self.program.startService()
        return self.running(service.ports[0], router=self.router, factory=factory), backend

    def stop(self) -> Deferred[Any]:
        """Tell it to stop."""
        return self.program.stopService().addCallback(lambda _: self.said.append("stopped"))

    async def on_its_way(self, **options: Any) -> Scene:
        """A request that is at the back-end when the program is told to stop."""
        proxy, backend = await self.begin(**options)
        return await self.scene(proxy=proxy, backend=backend)

    async def test_running_request(self) -> None:
        """It ends as ever, as the last one of its connection; only then the balancer stops. New clients are refused."""
        scene = await self.on_its_way()
        stopped = self.stop()
        with self.assertRaises(OSError):
            await self.connect((scene.proxy.host, scene.proxy.port))
        self.clock.advance(29.0)
        self.assertEqual(self.said, [])
        scene.server.send(OK)
        response = await scene.client.receive_response()
        self.assertEqual((response.body, response.header("Connection")), (b"hi", "close"))
        self.assertEqual(await scene.client.closed(), "clean")
        await stopped
        self.assertEqual(self.said, ["balancer stops", "stopped"])
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_idle_for_long(self) -> None:
        """A connection that rests is closed at once, and nothing is waited for any longer."""
        proxy, _ = await self.begin()
        client = await proxy.connect()
        await self.until(lambda: proxy.factory.connections)
        self.clock.advance(DRAIN_REST)
        stopped = self.stop()
        self.assertEqual(await client.closed(), "clean")
        await stopped

    async def test_just_answered(self) -> None:
        """Who has just been answered may have sent the next request: it is served, as the last one."""
        scene = await self.on_its_way()
        scene.server.send(OK)
        await scene.client.receive_response()
        stopped = self.stop()
        self.clock.advance(DRAIN_REST / 2)
        scene.client.send(GET)
        server = await scene.backend.accept()
        await server.receive_request()
        server.send(OK)
        self.assertEqual((await scene.client.receive_response()).header("Connection"), "close")
        self.assertEqual(await scene.client.closed(), "clean")
        await stopped

    async def test_just_answered_and_silent(self) -> None:
        """But not for long."""
        scene = await self.on_its_way()
        scene.server.send(OK)
        await scene.client.receive_response()
        stopped = self.stop()
        self.clock.advance(DRAIN_REST - 0.1)
        await self.turns()
        self.assertEqual((scene.client.arrival.value, self.said), ("open", []))
        self.clock.advance(0.1)
        self.assertEqual(await scene.client.closed(), "clean")
        await stopped

    async def test_answered_while_it_drains(self) -> None:
        """A head that was on its way said keep-alive: the connection rests for a moment only."""
        scene = await self.on_its_way()
        scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await scene.client.receive_head()
        stopped = self.stop()
        scene.server.send(b"hi")
        await scene.client.expect(b"hi")
        await self.until(lambda: scene.router.count("terminate"))
        self.clock.advance(DRAIN_REST)
        self.assertEqual(await scene.client.closed(), "clean")
        await stopped

    async def test_slow_reader(self) -> None:
        """An answer that is still going out has the usual time, not the moment that a resting connection has."""
        answer: Deferred[Any] = Deferred()
        asked: list[Any] = []
        proxy, _ = await self.begin(stage=lambda request: asked.append(request) or answer)
        client = await self.connect((proxy.host, proxy.port), receive_buffer=4096)
        client.send(GET)
        await self.until(lambda: asked)
        client.pause()
        stopped = self.stop()
        size = 16 << 20
        answer.callback(Response(200, (), bytes(size)))
        await self.until(lambda: self.router.count("terminate"))
        self.clock.advance(10 * DRAIN_REST)
        await self.turns()
        client.resume()
        self.assertEqual(len((await client.receive_response()).body), size)
        self.assertEqual(await client.closed(), "clean")
        await stopped

    async def test_accepted_and_not_heard(self) -> None:
        """A client that was accepted is waited for, though its connection does not stand yet."""
        proxy, _ = await self.begin()
        proxy.factory.accepted()
        stopped = self.stop()
        await self.turns()
        self.assertEqual(self.said, [])
        proxy.factory.closed(None)
        await stopped

    async def test_hard_stop(self) -> None:
        """Who is still being served when `hard_stop_after` is over is cut off."""
        scene = await self.on_its_way(hard_stop_after=7.0)
        stopped = self.stop()
        self.clock.advance(6.9)
        await self.turns()
        self.assertEqual((scene.client.arrival.value, self.said), ("open", []))
        self.clock.advance(0.1)
        await stopped
        self.assertEqual(await scene.client.closed(), "reset")
        self.assertEqual((await self.ending(scene.router)).status, "error")

    async def test_tunnel(self) -> None:
        """A tunnel goes on, in both directions, until the hard stop."""
        proxy, backend = await self.begin(hard_stop_after=20.0)
        scene = await self.scene(asking(), proxy=proxy, backend=backend)
        scene.server.send(SWITCHING)
        await scene.client.receive_response()
        stopped = self.stop()
        self.clock.advance(19.0)
        scene.client.send(b"ping")
        await scene.server.expect(b"ping")
        scene.server.send(b"pong")
        await scene.client.expect(b"pong")
        self.clock.advance(1.0)
        await stopped
        self.assertEqual(await scene.client.closed(), "reset")

    async def test_last_tunnel(self) -> None:
        """The request that became the last tunnel has ended by then: its line is in the access log."""
        proxy, backend = await self.begin()
        scene = await self.scene(asking(), proxy=proxy, backend=backend)
        scene.server.send(SWITCHING)
        await scene.client.receive_response()
        ended: list[int] = []
        stopped = self.stop().addCallback(lambda _: ended.append(self.router.count("terminate")))
        scene.server.half_close()
        self.assertEqual(await scene.client.closed(), "clean")
        scene.client.close()
        await stopped
        self.assertEqual(ended, [1])

    async def test_at_once(self) -> None:
        """A second signal waits for nobody."""
        scene = await self.on_its_way()
        stopped = self.stop()
        self.program.at_once()
        await stopped
        self.assertEqual(await scene.client.closed(), "reset")

    async def test_at_once_before(self) -> None:
        """As does one that comes before it has begun to stop."""
        await self.on_its_way()
        self.program.at_once()
        self.assertEqual(self.said, [])
        await self.stop()

    async def test_nobody_there(self) -> None:
        """Without clients it is over at once."""
        await self.begin()
        await self.stop()
        self.assertEqual(self.said, ["balancer stops", "stopped"])

    async def test_back_ends_files(self) -> None:
        """SIGHUP reads the files of TLS to back-ends, too; what cannot be used is logged."""
        proxy, _ = await self.begin()
        asked: list[str] = []
        self.patch(
            proxy.factory.client, "reload_tls", lambda: asked.append("read") or ["x.pem: no such file"]
        )
        self.program.reload()
        self.assertEqual(asked, ["read"])
        await self.stop()


class Signals(SynchronousTestCase):
    """`stop_on_signals`, with a reactor that is none."""

    def setUp(self) -> None:
        """Handlers that are put back."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.said: list[str] = []
        self.clock = Clock()
        self.clock.stop = lambda: self.said.append("stop")  # type: ignore[attr-defined]
        self.clock.callFromThread = lambda function: function()  # type: ignore[attr-defined]
        stop_on_signals(self.clock, lambda: self.said.append("at once"))

    def test_twice(self) -> None:
        """The echo of a signal is none; a later one is meant."""
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        self.assertEqual(self.said, ["stop"])
        self.clock.advance(1.1)
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertEqual(self.said, ["stop", "at once"])
