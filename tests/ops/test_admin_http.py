"""The admin API over sockets: HTTP as it comes, its bounds, a UNIX socket, and the whole program behind it."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.balance.balancer_case import BalancerCase, one_service, saying, url
from tests.ops.admin_case import TOKEN, Program
from vegurtx.ops.admin import Access, AdminApi, AdminService, LocalProgram, bind_admin
from vegurtx.ops.admin.http_server import LONGEST_BODY, MOST_CONNECTIONS
from vegurtx.ops.admin.program import HIDDEN, without_secrets
from vegurtx.ops.metrics import Metrics, Traffic
from vegurtx.testing import ProxyTestCase, Response, ScriptedConnection


class Serving(ProxyTestCase):
    """An `AdminService`."""

    async def served(self, program: Any, token: bytes | None = None, path: str | None = None) -> AdminService:
        """The API of `program`, listening."""
        service = AdminService(
            AdminApi(program, Access(token)), bind_admin("127.0.0.1", 0, path), self.reactor
        )
        service.startService()
        self.addCleanup(service.stopService)
        await self.until(lambda: service.port is not None, "the admin API")
        return service

    async def visitor(self, service: AdminService) -> ScriptedConnection:
        """A connection to it."""
        return await self.connect(("127.0.0.1", service.port.getHost().port))

    async def ask(self, client: ScriptedConnection, line: str, *fields: str, body: bytes = b"") -> Response:
        """One request, and its response."""
        lines = [f"{line} HTTP/1.1", "Host: 127.0.0.1", *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        client.send("".join(f"{each}\r\n" for each in [*lines, ""]).encode("latin-1") + body)
        return await client.receive_response(line.partition(" ")[0].encode())


class Http(Serving):
    """As a client sees it."""

    async def test_one_connection(self) -> None:
        """Several requests, one after the other; every answer says that it is not to be sniffed or kept."""
        client = await self.visitor(await self.served(Program()))
        for line, status in (
            ("GET /healthz", 200),
            ("HEAD /metrics", 200),
            ("GET /nothing?x=1", 404),
            ("DELETE /api/config", 405),
            ("GET /api/config", 200),
        ):
            response = await self.ask(client, line)
            self.assertEqual(response.status, status, line)
            self.assertEqual(response.header("X-Content-Type-Options"), "nosniff")
            self.assertEqual(response.header("Cache-Control"), "no-store")
            self.assertNotIn(b"<", response.body)
            self.assertIsNone(response.header("Server"))
        body = b'{"state": "drain"}'
        line = "POST /api/services/web/replicas/a%2Fb/state"
        response = await self.ask(client, line, "Content-Type: application/json", body=body)
        self.assertEqual(json.loads(response.body)["replica"], "a/b")

    async def test_token(self) -> None:
        """In the field that it belongs into."""
        client = await self.visitor(await self.served(Program(), TOKEN))
        self.assertEqual((await self.ask(client, "GET /api/process")).status, 401)
        good = f"Authorization: Bearer {TOKEN.decode()}"
        self.assertEqual((await self.ask(client, "GET /api/process", good)).status, 200)
        self.assertEqual((await self.ask(client, "GET /api/process", good, good)).status, 401)

    async def test_long_bodies(self) -> None:
        """A long body is not kept; the client gets to read why. One that does not end is cut off."""
        service = await self.served(Program())
        client = await self.visitor(service)
        response = await self.ask(client, "POST /api/reload", body=b"x" * (LONGEST_BODY + 1))
        self.assertEqual(response.status, 413)
        client = await self.visitor(service)
        client.send(b"POST /api/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(40):
            client.send(b"8000\r\n" + b"x" * 32768 + b"\r\n")
        await client.closed()

    async def test_no_http(self) -> None:
        """Twisted answers it, without HTML."""
        client = await self.visitor(await self.served(Program()))
        client.send(b"nonsense\r\n\r\n")
        self.assertNotIn(b"<", await client.receive_all())

    async def test_many_connections(self) -> None:
        """There is a bound; beyond it, the oldest one goes that waits for no answer."""
        service = await self.served(Program())
        clients = [await self.visitor(service) for _ in range(MOST_CONNECTIONS)]
        self.assertEqual((await self.ask(clients[-1], "GET /healthz")).status, 200)
        for client in clients[:-1]:
            self.assertEqual((await self.ask(client, "GET /healthz")).status, 200)
        self.assertEqual((await self.ask(await self.visitor(service), "GET /healthz")).status, 200)
        await clients[0].closed()
        self.assertEqual((await self.ask(clients[1], "GET /healthz")).status, 200)
        self.assertEqual(len(service._factory.connections), MOST_CONNECTIONS)

    async def test_client_that_leaves(self) -> None:
        """Nobody waits for the answer; nothing goes wrong."""
        from twisted.internet.defer import Deferred

        program = Program()
        waiting: Deferred[Any] = Deferred()
        asked: list[int] = []

        def process() -> Any:
            asked.append(1)
            return waiting

        program.process = process
        service = await self.served(program)
        client = await self.visitor(service)
        client.send(b"GET /api/process HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await self.until(lambda: asked)
        client.abort()
        await self.until(lambda: not service._factory.connections)
        waiting.callback({})
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_unix_socket(self) -> None:
        """Its owner's alone; removed in the end."""
        path = str(self.folder() / "admin.sock")
        service = await self.served(Program(), path=path)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        client = await self.connect(path)
        self.assertEqual((await self.ask(client, "GET /healthz")).status, 200)
        await service.stopService()
        self.assertFalse(os.path.exists(path))

    async def test_stop(self) -> None:
        """All connections end with it."""
        service = await self.served(Program())
        client = await self.visitor(service)
        await self.ask(client, "GET /healthz")
        await service.stopService()
        await client.closed()
        await self.until(lambda: not service._factory.connections)


class Whole(BalancerCase, Serving):
    """A balancer's program."""

    async def test_program(self) -> None:
        """Services, a drain by hand, counts, settings, a reload; each as it is."""
        one, two = [await self.backend(handler=saying(name)) for name in ("one", "two")]
        config = one_service(
            url(one),
            url(two),
            sticky="{secret: 0123456789abcdefghi}",
            headers="{request: {set: {Authorization: Basic eA==, X-A: b}}}",
        )
        proxy = await self.serving(config, idle_timeout=12)
        traffic = proxy.factory.observer = Traffic()
        metrics = Metrics(proxy.factory, traffic, balancer=self.balancer)
        program = LocalProgram(proxy.factory, metrics, balancer=self.balancer, reload=lambda: ["bad"])
        admin = await self.visitor(await self.served(program))
        client = await proxy.connect()

        async def get(path: str) -> Any:
            return json.loads((await Serving.ask(self, admin, f"GET {path}")).body)

        key = url(two).replace(":", "%3A").replace("/", "%2F")
        response = await Serving.ask(
            self,
            admin,
            f"POST /api/services/web/replicas/{key}/state",
            "Content-Type: application/json",
            body=b'{"state": "maint"}',
        )
        self.assertEqual(response.status, 200, response.body)
        for _ in range(4):
            self.assertEqual((await BalancerCase.ask(self, client)).body, b"one")
        (service,) = (await get("/api/services"))["services"]
        self.assertEqual([each["state"] for each in service["replicas"]], ["up", "maint"])
        self.assertEqual([each["total"] for each in service["replicas"]], [4, 0])

        process = await get("/api/process")
        self.assertEqual((process["requests_total"], process["connections"], process["idle"]), (4, 1, 1))
        self.assertEqual(process["settings"]["idle_timeout"], 12)
        shown = await get("/api/config")
        (service,) = shown["file"]["services"]
        self.assertEqual(service["sticky"]["secret"], HIDDEN)
        self.assertEqual(service["headers"]["request"]["set"], {"Authorization": HIDDEN, "X-A": "b"})
        self.assertNotIn("0123456789abcdefghi", json.dumps(shown))
        self.assertEqual((await Serving.ask(self, admin, "POST /api/reload")).status, 422)

        unknown = key.replace("127", "126")
        for path in (f"/api/services/web/replicas/{unknown}/state", f"/api/services/x/replicas/{key}/state"):
            response = await Serving.ask(
                self, admin, f"POST {path}", "Content-Type: application/json", body=b'{"state": "ready"}'
            )
            self.assertEqual(response.status, 404)
        text = (await Serving.ask(self, admin, "GET /metrics")).body.decode()
        self.assertIn('vegurtx_requests_total{code_class="2xx",listener="http",method="GET"} 4.0', text)
        self.assertIn(f'vegurtx_replica_up{{replica="{url(two)}",service="web"}} 0.0', text)

        self.assertEqual(await get("/readyz"), {"ready": True})
        proxy.factory.draining = True
        self.assertEqual((await get("/readyz"))["reason"], "draining")

    async def test_without_a_balancer(self) -> None:
        """A router of one's own has no services, and nothing to read again."""
        from vegurtx.testing import router_to

        proxy = await self.proxy(router_to())
        listening = False
        metrics = Metrics(proxy.factory, Traffic())
        program = LocalProgram(proxy.factory, metrics, listening=lambda: listening)
        admin = await self.visitor(await self.served(program))
        response = await Serving.ask(self, admin, "GET /api/services")
        self.assertEqual(json.loads(response.body), {"services": [], "names": []})
        self.assertEqual((await Serving.ask(self, admin, "POST /api/reload")).status, 409)
        self.assertEqual((await Serving.ask(self, admin, "GET /readyz")).status, 503)
        listening = True
        self.assertEqual((await Serving.ask(self, admin, "GET /readyz")).status, 200)
        response = await Serving.ask(
            self,
            admin,
            "POST /api/services/a/replicas/b/state",
            "Content-Type: application/json",
            body=b'{"state": "ready"}',
        )
        self.assertEqual(response.status, 404)


class Secrets(ProxyTestCase):
    """What is not shown."""

    def test_nested(self) -> None:
        """Under a secret's name nothing is shown, wherever it stands; what is not set stays so."""
        value = {
            "a": [{"Secret": "x", "b": 1}],
            "X-Api-Key": ["y"],
            "token_limit": None,
            "password": {"c": "z"},
        }
        expected = {
            "a": [{"Secret": HIDDEN, "b": 1}],
            "X-Api-Key": HIDDEN,
            "token_limit": None,
            "password": HIDDEN,
        }
        self.assertEqual(without_secrets(value), expected)
