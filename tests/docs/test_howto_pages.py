"""The how-to guides: their Python and their YAML runs, and does what the page says."""

from __future__ import annotations

import os
import subprocess
import tempfile
import textwrap
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tests.docs.fresh_checkout import ROOT
from vegurtx import BackendTLS, Headers, default_middlewares
from vegurtx.balance.config import load
from vegurtx.balance.router import Balancer
from vegurtx.testing import MemoryProxy, answering, response_bytes

PAGES = ROOT / "docs/howto"


def code_of(page: str, language: str) -> list[str]:
    """The blocks of a page in this language."""
    parts = (PAGES / page).read_text("utf-8").split(f"```{language}\n")[1:]
    return [part.split("```")[0] for part in parts]


def module_of(page: str) -> dict[str, Any]:
    """The names that the page's Python defines."""
    names: dict[str, Any] = {"__name__": "a_page"}
    for block in code_of(page, "python"):
        exec(compile(block, page, "exec"), names)
    return names


class HowToCase(SynchronousTestCase):
    """A proxy in memory with a page's router."""

    def proxy(self, router: Any, **more: Any) -> MemoryProxy:
        """It, with back-ends on 8081 and 8082 that say which one they are."""
        proxy = MemoryProxy(router, **more)
        self.addCleanup(proxy.stop)
        for port, name in ((8081, b"first"), (8082, b"second")):
            proxy.backend("127.0.0.1", port, answering(response_bytes(200, name)))
        return proxy


class Routers(HowToCase):
    """The pages' routers."""

    def test_quarantine(self) -> None:
        """Only the one who is in it is answered by the proxy."""
        client = self.proxy(module_of("quarantine.md")["Quarantine"]()).client()
        self.assertEqual(client.ask("GET", "http://quiet.example/").body, b"first")
        refused = client.ask("GET", "http://noisy.example/")
        self.assertEqual((refused.status, refused.header("Retry-After")), (503, "600"))

    def test_canary(self) -> None:
        """The header decides, or a share of the clients, each of whom stays where he is."""
        proxy = self.proxy(module_of("canary.md")["Canary"]())
        client = proxy.client()
        self.assertEqual(client.ask("GET", "http://x/", [("X-Canary", "yes")]).body, b"second")
        answers: Counter[bytes] = Counter()
        for number in range(400):
            user = [("Authorization", f"Bearer {number}")]
            first, again = (client.ask("GET", "http://x/", user).body for _ in range(2))
            self.assertEqual(first, again)
            answers[first] += 1
        self.assertTrue(5 < answers[b"second"] < 40, answers)

    def test_maintenance(self) -> None:
        """Its visitors get the page, and we get in."""
        proxy = self.proxy(module_of("maintenance.md")["Maintenance"]())
        stranger = proxy.client(peer=("198.51.100.1", 40000))
        closed = stranger.ask("GET", "http://shop.example/")
        self.assertEqual((closed.status, closed.header("Retry-After")), (503, "300"))
        self.assertEqual(stranger.ask("GET", "http://open.example/").body, b"first")
        self.assertEqual(
            proxy.client(peer=("203.0.113.7", 40000)).ask("GET", "http://shop.example/").body, b"first"
        )

    def test_websockets(self) -> None:
        """An upgrade is refused, anything else is not."""
        client = self.proxy(module_of("websockets.md")["NoWebSockets"]()).client()
        asking = [("Connection", "Upgrade"), ("Upgrade", "websocket")]
        self.assertEqual(client.ask("GET", "http://x/", asking).status, 403)
        self.assertEqual(client.ask("GET", "http://x/").status, 200)

    def test_sticky(self) -> None:
        """The cookie leads back; what it does not know it does not believe."""
        client = self.proxy(module_of("sticky-sessions.md")["Sticky"]()).client()
        first = client.ask("GET", "http://x/")
        cookie = (first.header("Set-Cookie") or "").split(";")[0]
        for _ in range(10):
            again = client.ask("GET", "http://x/", [("Cookie", f"a=b; {cookie}")])
            self.assertEqual((again.body, again.header("Set-Cookie")), (first.body, None))
        self.assertIsNotNone(client.ask("GET", "http://x/", [("Cookie", "at=c")]).header("Set-Cookie"))

    def test_embedding(self) -> None:
        """The service listens, and stops."""
        names = module_of("embedding.md")
        reactor = MemoryReactorClock()
        services = names["application"](reactor)
        services.startService()
        self.assertEqual([port for port, *_ in reactor.tcpServers], [8080])
        services.stopService()


class Middlewares(HowToCase):
    """The pages' stages."""

    def test_rate_limit(self) -> None:
        """The burst, then nobody, then those of a second."""
        clock = Clock()
        limit = module_of("rate-limit.md")["RateLimit"](clock.seconds)
        router = module_of("quarantine.md")["Quarantine"]()
        client = self.proxy(router, middlewares=[limit, *default_middlewares()]).client()

        def served(count: int) -> int:
            return [client.ask("GET", "http://x/").status for _ in range(count)].count(200)

        self.assertEqual(served(120), 100)
        clock.advance(1)
        self.assertEqual(served(120), 50)
        self.assertEqual(client.ask("GET", "http://y/").status, 200)

    def test_buckets_are_bounded(self) -> None:
        """Hosts can be made up."""
        limit = module_of("rate-limit.md")["RateLimit"]()
        for number in range(20_001):
            limit.execute(SimpleNamespace(host=str(number)))
        self.assertLessEqual(len(limit.buckets), 10_000)

    def test_guard(self) -> None:
        """What is internal is not there, and a key is needed; in the page's own chain, too."""
        names = module_of("middleware.md")
        router = module_of("quarantine.md")["Quarantine"]()
        for chain in (
            [default_middlewares()[0], names["Guard"](), *default_middlewares()[1:]],
            names["chain"](),
        ):
            client = self.proxy(router, middlewares=chain).client()
            key = [("X-Api-Key", "abcdef")]
            asked = [
                client.ask("GET", f"http://x{path}", keys)
                for path, keys in (("/internal", key), ("/", []), ("/", key))
            ]
            self.assertEqual([response.status for response in asked], [404, 401, 200])

    def test_client_of(self) -> None:
        """From the right, past our own; claims behind those count for nothing."""
        client_of = module_of("behind-another-proxy.md")["client_of"]
        for forwarded, client in (
            ("6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
            ("203.0.113.9, rubbish", "192.168.1.7"),
            ("", "192.168.1.7"),
        ):
            request = SimpleNamespace(
                headers=Headers([(b"X-Forwarded-For", forwarded.encode())]),
                peer=SimpleNamespace(host="192.168.1.7"),
            )
            self.assertEqual(client_of(request), client)


class Files(HowToCase):
    """The pages' YAML, and the certificates that one of them makes."""

    def balancer(self, text: str) -> Balancer:
        """A balancer with this file."""
        return Balancer(load(text, "config.yaml"), reactor=Clock())

    def test_canary(self) -> None:
        """The header decides before the split does."""
        (text,) = code_of("canary.md", "yaml")
        client = self.proxy(self.balancer(text)).client()
        answers = Counter(client.ask("GET", "http://x/").body for _ in range(200))
        self.assertTrue(0 < answers[b"second"] < 40, answers)
        for _ in range(20):
            self.assertEqual(client.ask("GET", "http://x/", [("X-Canary", "yes")]).body, b"second")

    def test_sticky(self) -> None:
        """The cookie leads back."""
        (text,) = code_of("sticky-sessions.md", "yaml")
        client = self.proxy(self.balancer(text)).client()
        first = client.ask("GET", "http://x/")
        cookie = (first.header("Set-Cookie") or "").split(";")[0]
        self.assertTrue(cookie.startswith("session_at="))
        for _ in range(10):
            self.assertEqual(client.ask("GET", "http://x/", [("Cookie", cookie)]).body, first.body)

    def test_mutual_tls(self) -> None:
        """The page's commands make files that the page's router and file can be used with."""
        text = (PAGES / "mutual-tls.md").read_text("utf-8")
        commands = textwrap.dedent(text.split("two certificates:\n\n")[1].split("\n\nIn a router")[0])
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["bash", "-ec", commands], cwd=folder, check=True, capture_output=True, timeout=60)
            self.addCleanup(os.chdir, Path.cwd())
            os.chdir(folder)
            subprocess.run(
                ["openssl", "verify", "-CAfile", "ca.pem", "proxy.pem"], check=True, capture_output=True
            )
            (yaml,) = code_of("mutual-tls.md", "yaml")
            self.balancer(yaml)
        self.assertIsInstance(module_of("mutual-tls.md")["INTERNAL"], BackendTLS)


class Pages(SynchronousTestCase):
    """All of them."""

    def test_every_page_with_code_is_played(self) -> None:
        """A new page needs a test here."""
        played = Path(__file__).read_text("utf-8")
        for page in PAGES.glob("*.md"):
            if "```" in page.read_text("utf-8"):
                self.assertIn(f'"{page.name}"', played)
