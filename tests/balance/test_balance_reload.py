"""A reload: what is new for new requests, and what stays for everybody."""

from __future__ import annotations

import json
from typing import Any

from balancer_case import GET, BalancerCase, file, get, one_service, saying, url
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.balance.router import Balancer
from vegurtx.testing import parse_response_head

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
A, B, C = (f"http://127.0.0.1:{port}" for port in (1, 2, 3))


class Kept(SynchronousTestCase):
    """What a reload does to services and replicas, without any traffic."""

    def balancer(self, config: Any) -> Balancer:
        """A balancer on a turned clock."""
        self.clock = Clock()
        return Balancer(config, reactor=self.clock)

    def test_replicas(self) -> None:
        """A replica of the same service and key is the same object, with all that it has; others are new or gone."""
        balancer = self.balancer(one_service(A, B))
        web = balancer.services["web"]
        first, second = web.replicas
        second.in_flight, second.total, second.healthy, second.admin = 3, 9, False, "drain"
        balancer.reload(one_service(B, C))
        self.assertIs(balancer.services["web"], web)
        self.assertIs(web.replicas[0], second)
        self.assertEqual((second.in_flight, second.total, second.state), (3, 9, "drain"))
        self.assertEqual([one.key for one in web.available], [C])
        self.assertNotIn(first, web.replicas)

    def test_what_the_file_says_of_them(self) -> None:
        """Weight, limits and timeouts are the new file's; strategies get a new list to see it by."""
        balancer = self.balancer(one_service(A))
        web = balancer.services["web"]
        before = web.available
        balancer.reload(
            file(f"""
            services:
              - {{name: web, matcher: /, connect_timeout: 3, replicas:
                   [{{url: '{A}', weight: 7, max_connections: 5}}]}}
            """)
        )
        (one,) = web.replicas
        self.assertEqual((one.weight, one.max_connections, one.backend.connect_timeout), (7.0, 5, 3.0))
        self.assertIsNot(web.available, before)

    def test_strategy(self) -> None:
        """A strategy lives as long as the file says the same of it."""
        balancer = self.balancer(one_service(A, B))
        web = balancer.services["web"]
        strategy = web.strategy
        balancer.reload(one_service(A, C))
        self.assertIs(web.strategy, strategy)
        balancer.reload(one_service(A, C, strategy="Random"))
        self.assertIsNot(web.strategy, strategy)

    def test_circuit_and_budget(self) -> None:
        """So do the circuit breaker and the budget; each can be turned on and off."""
        balancer = self.balancer(one_service(A, circuit_breaker="{errors: 2}"))
        web = balancer.services["web"]
        breaker, budget = web.breaker, web.budget
        balancer.reload(one_service(A, B, circuit_breaker="{errors: 2}"))
        self.assertIs(web.breaker, breaker)
        self.assertIs(web.budget, budget)
        balancer.reload(one_service(A, B, circuit_breaker="{errors: 3}", retries="{budget: 0.5}"))
        self.assertIsNot(web.breaker, breaker)
        self.assertIsNot(web.budget, budget)
        balancer.reload(one_service(A, retries="false"))
        self.assertEqual((web.breaker, web.budget), (None, None))

    def test_ejections(self) -> None:
        """Who is ejected stays so; without passive health nobody is."""
        balancer = self.balancer(one_service(A, B, passive_health="{consecutive_errors: 1}"))
        web = balancer.services["web"]
        web.passive.failed(web, web.replicas[0], "closed", 0.0)
        self.assertEqual([one.state for one in web.replicas], ["ejected", "up"])
        balancer.reload(one_service(A, B, C, passive_health="{consecutive_errors: 1}"))
        self.assertEqual([one.state for one in web.replicas], ["ejected", "up", "up"])
        balancer.reload(one_service(A, B))
        self.assertEqual([one.state for one in web.replicas], ["up", "up"])
        self.assertEqual(web.available, web.replicas)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_ejection_ends(self) -> None:
        """An ejection that ends makes the replica available again."""
        balancer = self.balancer(
            one_service(A, B, passive_health="{consecutive_errors: 1, ejection_time: 10}")
        )
        web = balancer.services["web"]
        web.passive.failed(web, web.replicas[0], "closed", 0.0)
        self.assertEqual(len(web.available), 1)
        self.clock.advance(10)
        self.assertEqual(len(web.available), 2)

    def test_two_replicas_of_one_url(self) -> None:
        """One URL twice is two replicas, each with its own account."""
        balancer = self.balancer(one_service(A, A))
        self.assertEqual([one.key for one in balancer.services["web"].replicas], [A, f"{A} (2)"])

    def test_nothing_is_left(self) -> None:
        """When it has stopped, no delayed call is left, whatever it was doing."""
        sections = {
            "health_check": "{type: tcp}",
            "passive_health": "{consecutive_errors: 1}",
            "queue": "true",
        }
        balancer = self.balancer(one_service(A, B, **sections))
        balancer.start()
        balancer.start()
        web = balancer.services["web"]
        web.passive.failed(web, web.replicas[0], "closed", 0.0)
        self.assertNotEqual(self.clock.getDelayedCalls(), [])
        balancer.reload(one_service(C, **sections))
        balancer.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_probes_follow(self) -> None:
        """After a reload those are probed who are configured, and what was known of the others stays known."""
        balancer = self.balancer(one_service(A, B, health_check="true"))
        balancer.start()
        self.addCleanup(balancer.stop)

        def probed() -> list[str]:
            services = balancer.status()["services"]
            return [one["key"] for service in services for one in service["replicas"] if one["probes"]]

        self.assertEqual(probed(), [A, B])
        balancer.reload(one_service(B, C, health_check="true"))
        self.assertEqual(probed(), [B, C])
        balancer.reload(one_service(B, C))
        self.assertEqual(probed(), [])

    def test_health_without_probes(self) -> None:
        """A replica that was down is up when the file turns its probes off: nobody would find out otherwise."""
        balancer = self.balancer(one_service(A, health_check="true"))
        balancer.start()
        self.addCleanup(balancer.stop)
        web = balancer.services["web"]
        web.replicas[0].healthy = False
        balancer.changed(web)
        balancer.reload(one_service(A))
        self.assertEqual(web.available, web.replicas)

    def test_status(self) -> None:
        """The status is plain values, as JSON takes them."""
        sections = {
            "health_check": "true",
            "passive_health": "true",
            "circuit_breaker": "true",
            "queue": "true",
        }
        balancer = self.balancer(one_service(A, "unix:/tmp/x", **sections))
        balancer.start()
        self.addCleanup(balancer.stop)
        (service,) = json.loads(json.dumps(balancer.status()))["services"]
        self.assertEqual((service["name"], service["circuit"], service["available"]), ("web", "closed", 2))
        self.assertEqual([one["address"] for one in service["replicas"]], ["127.0.0.1:1", "/tmp/x"])

    def test_states_by_hand(self) -> None:
        """An operator's word; unknown services, replicas and states are errors."""
        balancer = self.balancer(one_service(A, B))
        web = balancer.services["web"]
        balancer.set_replica_state("web", A, "maint")
        self.assertEqual([one.key for one in web.available], [B])
        balancer.set_replica_state("web", A, "ready")
        self.assertEqual([one.key for one in web.available], [A, B])
        for service, key, state, error in [
            ("x", A, "ready", KeyError),
            ("web", C, "ready", KeyError),
            ("web", A, "off", ValueError),
        ]:
            with self.assertRaises(error):
                balancer.set_replica_state(service, key, state)  # type: ignore[arg-type]


class Broken:
    """A strategy that cannot be made twice."""

    made = 0

    def __init__(self, options: Any) -> None:
        type(self).made += 1
        if options.get("broken") and self.made > 2:
            raise ValueError("this one cannot be used")

    def choose(self, replicas: Any, request: Any, now: float) -> Any:
        """See `vegurtx.balance.strategies.base`."""
        return replicas[-1]


class Whole(SynchronousTestCase):
    """A reload is done whole or not at all."""

    def test_failure(self) -> None:
        """A configuration that turns out to be of no use leaves everything as it was."""
        balancer = Balancer(one_service(A, B), reactor=Clock())
        before, web = balancer.config, balancer.services["web"]
        strategy = f"{{name: {Broken.__module__}.Broken, broken: true}}"
        Broken.made = 0
        bad = file(f"""
            services:
              - {{name: web, matcher: /, replicas: [{{url: '{C}'}}]}}
              - {{name: other, matcher: /x, replicas: [{{url: '{C}'}}], strategy: {strategy}}}
            """)
        Broken.made = 2
        self.assertRaises(ValueError, balancer.reload, bad)
        self.assertIs(balancer.config, before)
        self.assertEqual([one.key for one in web.replicas], [A, B])


class Running(BalancerCase):
    """Requests that are on their way when the table changes."""

    async def test_in_flight(self) -> None:
        """A request that is with a replica ends there; the next ones are the new table's."""
        old = await self.backend()
        (new,) = await self.named("new")
        proxy = await self.serving(one_service(url(old)))
        client = await proxy.connect()
        client.send(GET)
        server = await old.accept()
        await server.receive_request()
        gone = self.service().replicas[0]
        self.balancer.reload(one_service(url(new)))
        other = await proxy.connect()
        self.assertEqual((await self.ask(other)).body, b"new")
        self.assertEqual((gone.in_flight, self.service().in_flight), (1, 1))
        server.send(OK)
        self.assertEqual((await client.receive_response()).body, b"hi")
        await self.even()
        self.assertEqual(gone.in_flight, 0)
        self.assertEqual((await self.ask(client)).body, b"new")

    async def test_routes_of_its_own(self) -> None:
        """A request keeps the rewriting of the table that it has matched, also in its response."""
        backend = await self.backend()
        rules = "{response: {set: {X-Table: '1'}}}"
        client = await (await self.serving(one_service(url(backend), headers=rules))).connect()
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        self.balancer.reload(one_service(url(backend), headers=rules.replace("1", "2")))
        for table in ("1", "2"):
            server.send(OK)
            self.assertEqual((await client.receive_response()).header("X-Table"), table)
            if table == "1":
                client.send(GET)
                await server.receive_request()

    async def test_tunnel(self) -> None:
        """A WebSocket goes on, also when its service is gone."""
        backend = await self.backend()
        (new,) = await self.named("new")
        proxy = await self.serving(one_service(url(backend)))
        client = await proxy.connect()
        client.send(get("/", "Connection: upgrade", "Upgrade: websocket"))
        server = await backend.accept()
        await server.receive_request()
        server.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual(parse_response_head(await client.receive_head()).status, 101)
        web = self.service()
        self.balancer.reload(file(f"services: [{{name: n, matcher: /, replicas: [{{url: '{url(new)}'}}]}}]"))
        self.assertEqual((await self.ask(await proxy.connect())).body, b"new")
        client.send(b"still")
        await server.expect(b"still")
        server.send(b"here")
        await client.expect(b"here")
        self.assertEqual(web.in_flight, 1)
        client.close()
        server.close()
        await self.until(lambda: not web.in_flight, "the tunnel's end")

    async def test_waiting(self) -> None:
        """Those who wait get the new table's replicas, and its higher limit."""
        busy = await self.backend()
        (new,) = await self.named("new")
        sections = {"queue": "{timeout: 20}"}
        proxy = await self.serving(one_service(url(busy), max_connections=1, **sections))
        first = await proxy.connect()
        first.send(GET)
        await (await busy.accept()).receive_request()
        client = await proxy.connect()
        client.send(GET)
        await self.until(lambda: len(self.service().queue) == 1)
        self.balancer.reload(one_service(url(new), max_connections=2, **sections))
        self.assertEqual((await client.receive_response()).body, b"new")
        first.abort()
        await self.even()

    async def test_waiting_for_a_service_that_goes(self) -> None:
        """Who waits for a service that the new table does not have is served by the old one's replicas still."""
        busy = await self.backend()
        config = one_service(url(busy), queue="{timeout: 20}", max_connections=1)
        proxy = await self.serving(config)
        first, client = await proxy.connect(), await proxy.connect()
        first.send(GET)
        server = await busy.accept()
        await server.receive_request()
        client.send(GET)
        web = self.service()
        await self.until(lambda: len(web.queue) == 1)
        self.balancer.reload(
            file("services: [{name: n, matcher: /, replicas: [{url: 'http://127.0.0.1:1'}]}]")
        )
        for one in (first, client):
            server.send(OK)
            self.assertEqual((await one.receive_response()).body, b"hi")
            if one is first:
                await server.receive_request()
        await self.until(lambda: not web.in_flight)

    async def test_probes(self) -> None:
        """A replica that is down by its probes gets nothing; the state is told, and a reload does not forget it."""
        refusing = await self.refusing_backend()
        good = await self.backend(handler=saying("good"))
        config = one_service(
            url(refusing), url(good), health_check="{interval: 0.01, fall: 1, rise: 1, jitter: 0}"
        )
        proxy = await self.serving(config)
        self.balancer.start()
        web = self.service()
        await self.until(lambda: len(web.available) == 1, "a replica down")
        self.balancer.reload(config)
        self.assertEqual([one.key for one in web.available], [url(good)])
        client = await proxy.connect()
        self.assertEqual({(await self.ask(client)).body for _ in range(3)}, {b"good"})
        replicas = self.balancer.status()["services"][0]["replicas"]
        self.assertEqual([one["state"] for one in replicas], ["down", "up"])
        (probe,) = replicas[0]["probes"].values()
        self.assertIs(probe["last_ok"], False)
        await self.even()
        stopped = self.balancer.stop()
        if stopped is not None:
            await stopped
