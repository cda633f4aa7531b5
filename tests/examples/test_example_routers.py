"""The routers that users see first: the examples, and those of the README."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from examples.toy_router import SERVERS, ToyRouter
from vegurtx import IRouter, RouteError
from vegurtx.testing import ProxyTestCase, ScriptedServer, answering

ROOT = Path(__file__).resolve().parent.parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
GET = b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n"


def hello(name: bytes) -> bytes:
    """A response that says who answered."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(name), name)


class Toy(SynchronousTestCase):
    """The toy router by itself."""

    def test_contract(self) -> None:
        """It is a router, and knows the demo's two back-ends."""
        self.assertTrue(verifyObject(IRouter, ToyRouter()))
        self.assertEqual(list(ToyRouter().servers), SERVERS)
        self.assertEqual(SERVERS, [("127.0.0.1", 8081), ("127.0.0.1", 8082)])

    def test_remembers_what_it_tried(self) -> None:
        """Each server once a request, in an order that varies; then it gives up. The next request begins anew."""
        router, orders = ToyRouter(), set()
        for _ in range(200):
            state = router.init(0.0, None)
            servers = router.lookup_domain_name("any", None, state)
            tried = [router.checkout_service(servers, None, state) for _ in SERVERS]
            self.assertEqual(sorted(tried), SERVERS)
            error = self.assertRaises(RouteError, router.checkout_service, servers, None, state)
            self.assertEqual(error.reason, "all_blocked")
            orders.add(tuple(tried))
        self.assertEqual(len(orders), 2)

    def test_error_pages(self) -> None:
        """Its own reason is 502; the proxy's have their statuses."""
        codes = [
            ToyRouter().error_page(reason, None, None, []).code for reason in ("all_blocked", "empty_host")
        ]
        self.assertEqual(codes, [502, 400])


class Proxied(ProxyTestCase):
    """The same routers in a proxy."""

    async def ask(self, proxy: Any, host: bytes = b"x") -> tuple[int, bytes]:
        """One request on a connection of its own."""
        client = await proxy.connect()
        client.send(GET % host)
        response = await client.receive_response()
        client.close()
        return response.status, response.body

    async def named_backend(self, name: bytes) -> ScriptedServer:
        """A back-end that says its name."""
        return await self.backend(handler=answering(hello(name)))

    async def test_toy(self) -> None:
        """Both answer; with one gone the other does; with both gone it is 502."""
        servers = [await self.named_backend(name) for name in (b"one", b"two")]
        dead = [await self.refusing_backend() for _ in range(2)]
        alive = [(server.host, server.port) for server in servers]
        gone = [(server.host, server.port) for server in dead]
        proxy = await self.proxy(ToyRouter(alive))
        answers = {await self.ask(proxy) for _ in range(40)}
        self.assertEqual(answers, {(200, b"one"), (200, b"two")})
        proxy = await self.proxy(ToyRouter([alive[0], gone[0]]))
        self.assertEqual({await self.ask(proxy) for _ in range(20)}, {(200, b"one")})
        proxy = await self.proxy(ToyRouter(gone))
        self.assertEqual(await self.ask(proxy), (502, b""))

    async def test_readme(self) -> None:
        """The README's ten lines do what it says."""
        names: dict[str, Any] = {}
        exec(BLOCKS[0], names)
        backends = [await self.named_backend(name) for name in (b"blue", b"green")]
        for tenant, backend in zip(sorted(names["TENANTS"]), backends, strict=True):
            names["TENANTS"][tenant] = backend.port
        proxy = await self.proxy(names["ByTenant"]())
        self.assertEqual(await self.ask(proxy, b"blue.localhost"), (200, b"blue"))
        self.assertEqual(await self.ask(proxy, b"green.localhost"), (200, b"green"))
        self.assertEqual(await self.ask(proxy, b"red.localhost"), (404, b""))


class Readme(SynchronousTestCase):
    """The README's other blocks."""

    def test_toy_router(self) -> None:
        """It shows the example as it is."""
        self.assertIn((ROOT / "examples/toy_router.py").read_text("utf-8"), BLOCKS)

    def test_blocks_are_python(self) -> None:
        """All of them."""
        self.assertEqual(len(BLOCKS), 3)
        for block in BLOCKS:
            compile(block, "README.md", "exec")

    def test_links(self) -> None:
        """What it links to is there; so for the documents' index."""
        for page in (ROOT / "README.md", ROOT / "docs/README.md"):
            for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")
