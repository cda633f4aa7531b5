"""Sticky sessions behind the proxy."""

from __future__ import annotations

from typing import Any

from balancer_case import BalancerCase, get, one_service, url

from vegurtx.testing import Response, ScriptedServer, parse_response_head

UPGRADE = ("Connection: upgrade", "Upgrade: websocket")


class Sessions(BalancerCase):
    """The cookie, set and followed."""

    async def web(self, count: int = 3, **options: Any) -> list[ScriptedServer]:
        """Back-ends named by numbers, and a proxy before them."""
        backends = await self.named(*map(str, range(count)))
        secret = options.pop("secret", "a secret that nobody can guess")
        self.config = one_service(*map(url, backends), sticky=f"{{secret: '{secret}'}}", **options)
        self.proxy_ = await self.serving(self.config)
        return backends

    def cookie(self, response: Response) -> str:
        """What a browser sends back."""
        value = response.header("Set-Cookie")
        assert value is not None
        return "Cookie: " + value.partition(";")[0]

    async def test_stays(self) -> None:
        """Who brings the cookie back stays with the replica, and is not given it again."""
        await self.web()
        client = await self.proxy_.connect()
        for _ in range(3):
            first = await self.ask(client)
            cookie = self.cookie(first)
            for _ in range(4):
                again = await self.ask(client, get("/", cookie))
                self.assertEqual((again.body, again.header("Set-Cookie")), (first.body, None))
        await self.even()

    async def test_beside_the_back_ends_own(self) -> None:
        """The back-end's own cookies stay."""
        backend = await self.backend()
        client = await (await self.serving(one_service(url(backend), sticky="true"))).connect()
        client.send(get())
        server = await backend.accept()
        await server.receive_request()
        server.send(b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n")
        values = (await client.receive_response()).all("Set-Cookie")
        self.assertEqual(values[:2], ["a=1", "b=2"])
        self.assertEqual(len(values), 3)

    async def test_replica_down(self) -> None:
        """When its replica is down a session goes to another one, and is told so."""
        await self.web()
        client = await self.proxy_.connect()
        first = await self.ask(client)
        replica = self.service().replicas[int(first.body)]
        replica.healthy = False
        self.balancer.changed(self.service())
        moved = await self.ask(client, get("/", self.cookie(first)))
        self.assertNotEqual(moved.body, first.body)
        replica.healthy = True
        self.balancer.changed(self.service())
        self.assertEqual((await self.ask(client, get("/", self.cookie(moved)))).body, moved.body)

    async def test_refused(self) -> None:
        """When its replica refuses, the session moves to the one that answers, and the cookie names that one."""
        backends = await self.web(2)
        client = await self.proxy_.connect()
        first = await self.ask(client)
        backends[int(first.body)].stop()
        for one in backends[int(first.body)].connections:
            one.close()
        moved = await self.ask(client, get("/", self.cookie(first)))
        self.assertNotEqual(moved.body, first.body)
        self.assertEqual((await self.ask(client, get("/", self.cookie(moved)))).body, moved.body)

    async def test_drain(self) -> None:
        """A replica that drains keeps its sessions; new ones go elsewhere. In maintenance it gets nothing."""
        await self.web(2)
        client = await self.proxy_.connect()
        first = await self.ask(client)
        key = self.service().replicas[int(first.body)].key
        self.balancer.set_replica_state("web", key, "drain")
        self.assertEqual((await self.ask(client, get("/", self.cookie(first)))).body, first.body)
        self.assertEqual({(await self.ask(client)).body for _ in range(4)} & {first.body}, set())
        self.balancer.set_replica_state("web", key, "maint")
        self.assertNotEqual((await self.ask(client, get("/", self.cookie(first)))).body, first.body)

    async def test_restart_and_reload(self) -> None:
        """With a secret in the file, cookies outlive reloads and restarts."""
        await self.web()
        first = await self.ask(await self.proxy_.connect())
        self.balancer.reload(self.config)
        again = await self.ask(await self.proxy_.connect(), get("/", self.cookie(first)))
        self.assertEqual(again.body, first.body)
        restarted = await self.serving(self.config)
        again = await self.ask(await restarted.connect(), get("/", self.cookie(first)))
        self.assertEqual((again.body, again.header("Set-Cookie")), (first.body, None))

    async def test_without_secret(self) -> None:
        """Without one a reload changes nothing, and another process has another one."""
        backends = await self.named("0", "1")
        config = one_service(*map(url, backends), sticky="true")
        client = await (await self.serving(config)).connect()
        cookie = self.cookie(await self.ask(client))
        self.balancer.reload(config)
        self.assertIsNone((await self.ask(client, get("/", cookie))).header("Set-Cookie"))
        other = await (await self.serving(config)).connect()
        self.assertIsNotNone((await self.ask(other, get("/", cookie))).header("Set-Cookie"))

    async def test_websocket(self) -> None:
        """A WebSocket's 101 has the cookie, and one that brings it goes to its replica."""
        backends = [await self.backend() for _ in range(3)]
        config = one_service(*map(url, backends), sticky="true")
        proxy = await self.serving(config)
        client = await proxy.connect()
        client.send(get("/", *UPGRADE))
        await self.until(lambda: any(one.connections for one in backends))
        chosen = next(one for one in backends if one.connections)
        server = await chosen.accept()
        await server.receive_request()
        server.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        response = parse_response_head(await client.receive_head())
        self.assertEqual(response.status, 101)
        cookie = self.cookie(response)
        self.assertEqual(self.service().in_flight, 1)
        for _ in range(2):
            other = await proxy.connect()
            other.send(get("/", *UPGRADE, cookie))
            await (await chosen.accept()).receive_request()
            other.abort()
        client.abort()
        server.close()
        await self.even()
        self.assertEqual(self.service().errors, {})
