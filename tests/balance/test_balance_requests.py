"""The balancer behind the proxy: who gets a request, and what the client hears when nobody does."""

from __future__ import annotations

from collections import Counter
from typing import Any

from balancer_case import GET, BalancerCase, file, get, one_service, saying, url
from zope.interface.verify import verifyObject

from vegurtx import IRouter
from vegurtx.testing import ScriptedConnection


class Routing(BalancerCase):
    """From the request to a replica."""

    async def test_turns(self) -> None:
        """The default strategy gives each replica its turn."""
        one, two = await self.named("one", "two")
        proxy = await self.serving(one_service(url(one), url(two)))
        client = await proxy.connect()
        bodies = Counter([(await self.ask(client)).body for _ in range(6)])
        self.assertEqual(bodies, {b"one": 3, b"two": 3})
        await self.even()
        self.assertEqual([one.total for one in self.service().replicas], [3, 3])

    async def test_is_a_router(self) -> None:
        """It provides `IRouter`, and nothing else is asked of it."""
        self.assertTrue(verifyObject(IRouter, self.balance(one_service("http://127.0.0.1:1"))))

    async def test_services_by_path(self) -> None:
        """Vestri's string matcher is a prefix on segment boundaries; what matches nothing gets a 404 in plain text."""
        one, two = await self.named("one", "two")
        proxy = await self.serving(
            file(f"""
            services:
              - {{name: a, matcher: /api, replicas: [{{url: '{url(one)}'}}]}}
              - {{name: b, matcher: /api/v2, replicas: [{{url: '{url(two)}'}}]}}
            """)
        )
        client = await proxy.connect()
        for target, body in [
            ("/api", b"one"),
            ("/api/v1", b"one"),
            ("/api/v2/x", b"two"),
            ("/api?x", b"one"),
        ]:
            self.assertEqual((await self.ask(client, get(target))).body, body, target)
        for target in ("/", "/apis"):
            response = await self.ask(client, get(target))
            self.assertEqual(response.status, 404, target)
            self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")
            self.assertEqual(response.body, b"No service is configured for this request.\n")
        await self.even()

    async def test_unix_socket(self) -> None:
        """A replica may be a UNIX socket."""
        backend = await self.backend(path=str(self.folder() / "web"), handler=saying("unix"))
        client = await (await self.serving(one_service(url(backend)))).connect()
        self.assertEqual((await self.ask(client)).body, b"unix")

    async def test_rewriting_and_headers(self) -> None:
        """The replica gets the rewritten target and the file's fields; the client the response's."""
        backend = await self.backend()
        proxy = await self.serving(
            one_service(
                url(backend),
                rewrite="{add_prefix: /v1}",
                headers="{request: {set: {X-Set: a}, add: {X-Add: b}, remove: [Cookie]},"
                " response: {set: {Server: ours}, remove: [X-Secret]}}",
            )
        )
        client = await proxy.connect()
        client.send(get("/x?y=1", "X-Add: a", "Cookie: c=d"))
        server = await backend.accept()
        request = await server.receive_request()
        self.assertEqual(request.target, "/v1/x?y=1")
        self.assertEqual(request.all("X-Set"), ["a"])
        self.assertEqual(request.all("X-Add"), ["a", "b"])
        self.assertEqual(request.all("Cookie"), [])
        server.send(b"HTTP/1.1 204 No Content\r\nServer: theirs\r\nX-Secret: s\r\n\r\n")
        response = await client.receive_response()
        self.assertEqual((response.header("Server"), response.header("X-Secret")), ("ours", None))

    async def test_keepalive(self) -> None:
        """Connections to replicas are kept, unless the file says no."""
        for keepalive, connections in (("true", 1), ("false", 3)):
            (backend,) = await self.named("one")
            client = await (await self.serving(one_service(url(backend), keepalive=keepalive))).connect()
            for _ in range(3):
                self.assertEqual((await self.ask(client)).body, b"one")
                await self.even()
            self.assertEqual(len(backend.connections), connections)


class NobodyThere(BalancerCase):
    """Replicas that fail."""

    async def test_another_one(self) -> None:
        """A replica that refuses costs the client nothing, and is charged for it alone."""
        refusing = await self.refusing_backend()
        (good,) = await self.named("good")
        proxy = await self.serving(one_service(url(refusing), url(good)))
        client = await proxy.connect()
        for _ in range(4):
            self.assertEqual((await self.ask(client)).body, b"good")
        await self.even()
        bad, well = self.service().replicas
        self.assertEqual(bad.errors, {"econnrefused": bad.total})
        self.assertEqual((well.errors, well.total), ({}, 4))
        self.assertEqual(self.service().retried, bad.total)

    async def test_last_real_error(self) -> None:
        """When all tries fail the client hears why the last one did."""
        refusing = [await self.refusing_backend() for _ in range(3)]
        proxy = await self.serving(one_service(*map(url, refusing), retries="{attempts: 1}"))
        client = await proxy.connect()
        response = await self.ask(client)
        self.assertEqual(response.status, 503)
        self.assertEqual(response.body, b"Service Unavailable.\n")
        await self.even()
        self.assertEqual((self.service().total, self.service().errors), (2, {"econnrefused": 2}))

    async def test_no_retries(self) -> None:
        """``retries: false``: one try."""
        refusing = await self.refusing_backend()
        (good,) = await self.named("good")
        client = await (await self.serving(one_service(url(refusing), url(good), retries="false"))).connect()
        answers = Counter([(await self.ask(client)).status for _ in range(4)])
        self.assertEqual(answers, {503: 2, 200: 2})

    async def test_all_down(self) -> None:
        """No live replica: 503, and a line of text."""
        (backend,) = await self.named("one")
        client = await (await self.serving(one_service(url(backend)))).connect()
        self.service().replicas[0].healthy = False
        self.balancer.changed(self.service())
        response = await self.ask(client)
        self.assertEqual(
            (response.status, response.body), (503, b"No replica of the service is available.\n")
        )
        self.assertEqual(self.service().rejected, {"no_replica": 1})

    async def test_one_down(self) -> None:
        """Who is down gets nothing."""
        one, two = await self.named("one", "two")
        client = await (await self.serving(one_service(url(one), url(two)))).connect()
        self.service().replicas[0].healthy = False
        self.balancer.changed(self.service())
        self.assertEqual({(await self.ask(client)).body for _ in range(4)}, {b"two"})

    async def test_status_counts(self) -> None:
        """A replica that answers 502, 503 or 504 goes through to the client, and is charged."""
        backend = await self.backend(handler=saying("no", "503 Service Unavailable"))
        client = await (await self.serving(one_service(url(backend)))).connect()
        self.assertEqual((await self.ask(client)).body, b"no")
        await self.even()
        self.assertEqual(self.service().replicas[0].errors, {"status_503": 1})

    async def test_client_leaves(self) -> None:
        """A client that leaves is nobody's error, and gives back what it held."""
        backend = await self.backend()
        client = await (await self.serving(one_service(url(backend)))).connect()
        client.send(GET)
        await (await backend.accept()).receive_request()
        self.assertEqual(self.service().in_flight, 1)
        client.abort()
        await self.even()
        self.assertEqual(self.service().replicas[0].errors, {})


class Repeating(BalancerCase):
    """Tries that fail behind their connect."""

    async def closing(self, connection: ScriptedConnection) -> None:
        """Takes a request, and goes."""
        await connection.receive_request()
        connection.close()

    async def proxied(self, **sections: Any) -> ScriptedConnection:
        """A client before a service whose first replica takes requests and closes."""
        bad = await self.backend(handler=self.closing)
        (good,) = await self.named("good")
        return await (await self.serving(one_service(url(bad), url(good), **sections))).connect()

    async def test_repeated(self) -> None:
        """What can be repeated is, elsewhere."""
        client = await self.proxied()
        for _ in range(4):
            self.assertEqual((await self.ask(client)).body, b"good")
        await self.even()
        bad, good = self.service().replicas
        self.assertEqual((bad.errors, good.errors, good.total), ({"closed": bad.total}, {}, 4))

    async def test_post(self) -> None:
        """A POST that may have been carried out is not repeated."""
        client = await self.proxied()
        answers = []
        for _ in range(2):
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
            answers.append((await client.receive_response()).status)
        self.assertEqual(sorted(answers), [200, 503])
        await self.even()
        self.assertEqual(self.service().total, 2)

    async def test_attempts(self) -> None:
        """Tries are bounded, whatever they fail of; the client hears of the last."""
        bad = [await self.backend(handler=self.closing) for _ in range(5)]
        config = one_service(*map(url, bad), retries="{attempts: 3}")
        client = await (await self.serving(config)).connect()
        self.assertEqual((await self.ask(client)).status, 503)
        await self.even()
        self.assertEqual((self.service().total, self.service().errors), (4, {"closed": 4}))

    async def test_budget(self) -> None:
        """When the budget is empty failures go through to the clients."""
        client = await self.proxied(retries="{attempts: 2, budget: 0, min_per_second: 0}")
        answers = Counter([(await self.ask(client)).status for _ in range(4)])
        self.assertEqual(answers, {503: 2, 200: 2})

    async def test_try_timeout(self) -> None:
        """A replica that does not answer in ``try_timeout`` is charged, and another one asked."""
        slow = await self.backend()
        (good,) = await self.named("good")
        client = await (await self.serving(one_service(url(slow), url(good), try_timeout=0.05))).connect()
        for _ in range(2):
            self.assertEqual((await self.ask(client)).body, b"good")
        await self.even()
        late = self.service().replicas[0]
        self.assertEqual(late.errors, {"timeout": late.total})
        self.assertGreaterEqual(late.total, 1)


class Circuit(BalancerCase):
    """The circuit breaker."""

    async def test_opens(self) -> None:
        """After enough errors the service is left alone: 503 at once, no try."""
        refusing = await self.refusing_backend()
        config = one_service(url(refusing), retries="false", circuit_breaker="{errors: 3, open_for: 1000}")
        client = await (await self.serving(config)).connect()
        bodies = [(await self.ask(client)).body for _ in range(5)]
        open_text = b"The service has failed too often, and gets no requests for a while.\n"
        self.assertEqual(bodies, [b"Service Unavailable.\n"] * 3 + [open_text] * 2)
        self.assertEqual(self.service().total, 3)
        self.assertEqual(self.balancer.status()["services"][0]["circuit"], "open")


class Passive(BalancerCase):
    """Passive health."""

    async def test_ejected(self) -> None:
        """A replica that fails in a row is ejected, and gets nothing for a while."""
        bad = await self.backend(handler=saying("bad", "503 No"))
        (good,) = await self.named("good")
        config = one_service(
            url(bad),
            url(good),
            passive_health="{consecutive_errors: 2, ejection_time: 1000, max_ejection_time: 1000}",
        )
        client = await (await self.serving(config)).connect()
        for _ in range(10):
            await self.ask(client)
        await self.even()
        first, second = self.service().replicas
        self.assertEqual((first.total, first.state, second.total), (2, "ejected", 8))

    async def test_own_faults(self) -> None:
        """What clients do to themselves ejects nobody."""
        backend, other = await self.backend(), await self.backend()
        config = one_service(url(backend), url(other), passive_health="{consecutive_errors: 1}")
        proxy = await self.serving(config)
        for _ in range(4):
            client = await proxy.connect()
            client.send(GET)
            await self.until(lambda: self.service().in_flight == 1)
            client.abort()
            await self.even()
        self.assertEqual([one.state for one in self.service().replicas], ["up", "up"])
