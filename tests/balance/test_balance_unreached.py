"""Retries after failed connects: no replica has had work with the request, so the budget is not theirs to use up."""

from __future__ import annotations

from balancer_case import BalancerCase, file, one_service, url

from vegurtx.testing import ScriptedConnection


class Unreached(BalancerCase):
    """Replicas are dead, and nobody has noticed yet."""

    async def dead(self) -> str:
        """The URL of one."""
        return f"http://127.0.0.1:{(await self.refusing_backend()).port}"

    async def test_beyond_the_budget(self) -> None:
        """Every request is served, although the budget allows no repetition."""
        (alive,) = await self.named("alive")
        dead = await self.dead()
        proxy = await self.serving(
            one_service(dead, url(alive), retries="{attempts: 1, budget: 0, min_per_second: 0}")
        )
        client = await proxy.connect()
        for _ in range(20):
            self.assertEqual((await self.ask(client)).body, b"alive")
        self.assertEqual(self.service().retried, 10)
        await self.even()

    async def test_attempts_count_all_the_same(self) -> None:
        """Free of charge is not without end: after so many attempts the client hears of it."""
        dead = [await self.dead() for _ in range(4)]
        proxy = await self.serving(one_service(*dead, retries="{attempts: 2}"))
        client = await proxy.connect()
        self.assertEqual((await self.ask(client)).status, 503)
        self.assertEqual(self.service().total, 3)
        await self.even()

    async def test_none(self) -> None:
        """``retries: false`` is none at all."""
        dead = await self.dead()
        proxy = await self.serving(one_service(dead, dead, retries="false"))
        client = await proxy.connect()
        self.assertEqual((await self.ask(client)).status, 503)
        self.assertEqual(self.service().total, 1)
        await self.even()

    async def test_a_try_that_was_work(self) -> None:
        """A replica that takes the request and closes has cost something: that is what the budget is for."""

        async def taking(connection: ScriptedConnection) -> None:
            await connection.receive_request()
            connection.close()

        broken = await self.backend(handler=taking)
        proxy = await self.serving(
            one_service(url(broken), url(broken), retries="{budget: 0, min_per_second: 0}")
        )
        client = await proxy.connect()
        self.assertEqual((await self.ask(client)).status, 503)
        self.assertEqual(self.service().retried, 0)
        await self.even()

    async def test_only_weights_of_0_are_left(self) -> None:
        """Who has failed the request before gets it again, when the others are there for nobody."""
        turns = iter(range(9))

        async def failing_first(connection: ScriptedConnection) -> None:
            await connection.receive_request()
            if next(turns):
                connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            connection.close()

        (spare,) = await self.named("spare")
        flaky = await self.backend(handler=failing_first)
        proxy = await self.serving(
            file(f"""
            services:
              - name: web
                matcher: /
                strategy: WeightedRoundRobin
                replicas: [{{url: '{url(flaky)}'}}, {{url: '{url(spare)}', weight: 0}}]
                health_check: false
            """)
        )
        client = await proxy.connect()
        self.assertEqual((await self.ask(client)).status, 204)
        await self.even()
