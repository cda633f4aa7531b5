"""The queue behind real sockets: who waits, who is served, and what is left."""

from __future__ import annotations

from typing import Any

from balancer_case import GET, BalancerCase, get, one_service, saying, url

from vegurtx.testing import RunningProxy, ScriptedConnection, ScriptedServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class Waiting(BalancerCase):
    """A service that takes one request at a time."""

    async def busy(self, **sections: Any) -> tuple[RunningProxy, ScriptedServer, ScriptedConnection]:
        """The one slot is taken; what comes back is the proxy, the back-end, and the request there."""
        backend = await self.backend()
        sections = {"queue": "{length: 2, timeout: 20}", "max_connections": 1, **sections}
        proxy = await self.serving(one_service(url(backend), **sections))
        client = await proxy.connect()
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        return proxy, backend, server

    async def waiting(self, proxy: RunningProxy, count: int) -> ScriptedConnection:
        """One more client, so that `count` wait."""
        client = await proxy.connect()
        client.send(get(f"/{count}"))
        await self.until(lambda: len(self.service().queue) == count, f"{count} in the queue")
        return client

    async def test_served_in_order(self) -> None:
        """A slot that comes free goes to the first who waits."""
        proxy, _, server = await self.busy()
        clients = [await self.waiting(proxy, count) for count in (1, 2)]
        for target in ("/1", "/2"):
            server.send(OK)
            self.assertEqual((await server.receive_request()).target, target)
        server.send(OK)
        for client in clients:
            self.assertEqual((await client.receive_response()).body, b"hi")
        await self.even()

    async def test_too_many(self) -> None:
        """One more than the queue takes gets 503 at once."""
        proxy, _, server = await self.busy()
        for count in (1, 2):
            await self.waiting(proxy, count)
        response = await self.ask(await proxy.connect())
        self.assertEqual(response.status, 503)
        self.assertEqual(response.body, b"The service has all the requests that it can take.\n")
        self.assertEqual(self.balancer.status()["services"][0]["waiting"], 2)
        server.close()

    async def test_in_vain(self) -> None:
        """A wait has an end: 503."""
        proxy, _, _ = await self.busy(queue="{length: 2, timeout: 0.02}")
        response = await self.ask(await proxy.connect())
        self.assertEqual(response.status, 503)
        self.assertEqual(response.body, b"No replica of the service became free in time.\n")

    async def test_client_leaves(self) -> None:
        """A client that leaves the queue is not waited for."""
        proxy, _, server = await self.busy()
        gone = await self.waiting(proxy, 1)
        stays = await self.waiting(proxy, 2)
        gone.abort()
        await self.until(lambda: len(self.service().queue) == 1)
        server.send(OK)
        self.assertEqual((await server.receive_request()).target, "/2")
        server.send(OK)
        self.assertEqual((await stays.receive_response()).body, b"hi")
        await self.even()

    async def test_replicas_own_limit(self) -> None:
        """A replica's own ``max_connections`` holds across clients; the other replica is used meanwhile."""
        first, second = await self.backend(), await self.backend(handler=saying("second"))
        config = one_service(url(first), url(second))
        proxy = await self.serving(config)
        self.service().replicas[0].max_connections = 1
        busy = await proxy.connect()
        busy.send(GET)
        await (await first.accept()).receive_request()
        client = await proxy.connect()
        self.assertEqual({(await self.ask(client)).body for _ in range(4)}, {b"second"})

    async def test_nobody_up_yet(self) -> None:
        """Requests that come while all are down are served by whoever comes up first."""
        (backend,) = await self.named("up")
        proxy = await self.serving(one_service(url(backend), queue="true"))
        self.service().replicas[0].healthy = False
        self.balancer.changed(self.service())
        client = await self.waiting(proxy, 1)
        self.service().replicas[0].healthy = True
        self.balancer.changed(self.service())
        self.assertEqual((await client.receive_response()).body, b"up")
        await self.even()

    async def test_replica_gone_when_served(self) -> None:
        """A request that has waited for a replica which then refuses tries on, and waits no second time for it."""
        proxy, backend, server = await self.busy(keepalive="false")
        client = await self.waiting(proxy, 1)
        backend.stop()
        server.send(OK)
        server.close()
        self.assertEqual((await client.receive_response()).status, 503)
        await self.even()
        self.assertEqual(self.service().errors, {"econnrefused": 3})

    async def test_stop(self) -> None:
        """When the balancer stops, those who wait are told, and no timer is left."""
        proxy, _, server = await self.busy()
        client = await self.waiting(proxy, 1)
        self.balancer.stop()
        self.assertEqual((await client.receive_response()).status, 503)
        server.send(OK)
        await self.even()
