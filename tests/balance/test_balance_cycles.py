"""A balanced request leaves no reference cycles: it is gone without the garbage collector, however it ended."""

from __future__ import annotations

from typing import Any

from balancer_case import one_service, url

from tests.behaviour.conversation import GET, OK
from tests.behaviour.uncollected import WithoutCollector
from vegurtx.balance.router import Balancer
from vegurtx.testing import ScriptedConnection, answering


class NoCycles(WithoutCollector):
    """Served, refused, repeated, waiting in vain."""

    async def closing(self, connection: ScriptedConnection) -> None:
        """A back-end that takes a request, and goes."""
        await connection.receive_request()
        connection.close()

    async def ended(self, config: Any, status: int) -> None:
        """A request is answered with `status`, and nothing of it stays."""
        balancer = Balancer(config, reactor=self.reactor)
        proxy = await self.proxy(balancer)
        client = await proxy.connect()
        client.send(GET)
        client.half_close()
        self.assertEqual((await client.receive_response()).status, status)
        await client.closed()
        await self.until(lambda: not proxy.factory.connections)
        proxy.factory.stop()
        balancer.stop()
        await self.turns()
        self.assertEqual(balancer.services["web"].in_flight, 0)
        self.assert_gone()

    async def test_endings(self) -> None:
        """Each ending."""
        backend = await self.backend(handler=answering(OK))
        closing = await self.backend(handler=self.closing)
        refusing = await self.refusing_backend()
        good, bad, gone = url(backend), url(closing), url(refusing)
        waiting = {"queue": "{timeout: 0.01}", "strategy": "{name: test_balance_cycles.Nobody}"}
        for name, config, status in [
            ("served", one_service(good, circuit_breaker="true", passive_health="true", sticky="true"), 200),
            ("refused", one_service(gone, retries="false"), 503),
            ("repeated", one_service(gone, good), 200),
            ("repeated behind the connect", one_service(bad, good), 200),
            ("repeated in vain", one_service(bad, gone), 503),
            ("nobody", one_service(good, strategy="{name: test_balance_cycles.Nobody}"), 503),
            ("waiting in vain", one_service(good, **waiting), 503),
        ]:
            with self.row(name):
                await self.ended(config, status)


class Nobody:
    """A strategy that finds nobody fit."""

    def __init__(self, options: Any) -> None:
        pass

    def choose(self, replicas: Any, request: Any, now: float) -> Any:
        """See `vegurtx.balance.strategies.base`."""
        return None
