"""Who a service's members are: names with their addresses, splits between services, TLS."""

from __future__ import annotations

from typing import Any

from balance_fakes import FakeRequest
from balancer_case import BalancerCase, file, get, one_service, saying, url
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from vegurtx.balance.addresses import members
from vegurtx.balance.router import Balancer
from vegurtx.message import BackendTLS
from vegurtx.testing import answering, self_signed, server_context


@implementer(IHostnameResolver)
class Resolver:
    """Knows what a test lets it know, and answers at once."""

    def __init__(self, **names: list[str]) -> None:
        self.names = {name.replace("_", "."): addresses for name, addresses in names.items()}
        self.asked: list[str] = []

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0, *_: Any, **__: Any) -> Any:
        """See `IHostnameResolver`."""
        self.asked.append(name)
        receiver.resolutionBegan(None)
        for host in self.names.get(name, []):
            receiver.addressResolved(IPv4Address("TCP", host, portNumber))
        receiver.resolutionComplete()


class Naming(SynchronousTestCase):
    """What members are called, and where they are reached."""

    def named(self, config: Any, **addresses: list[str]) -> dict[str, Any]:
        """The back-ends of the first service, by key."""
        known = {name.replace("_", "."): several for name, several in addresses.items()}
        return {one.key: one.backend for one in members(config.services[0], lambda name: known.get(name, ()))}

    def service(self, replica: str, rest: str = "") -> Any:
        """A service with one replica."""
        return file(f"services: [{{name: web, matcher: /, replicas: [{{{replica}}}]{rest}}}]")

    def test_urls(self) -> None:
        """Each kind of URL, with its default port and its options."""
        rest = ", keepalive: false, connect_timeout: 1, try_timeout: 2"
        rows = [
            ("http://127.0.0.1:81", "127.0.0.1", 81, None),
            ("http://Example.com", "example.com", 80, None),
            ("http://[::1]:81", "::1", 81, None),
            ("https://example.com", "example.com", 443, BackendTLS(server_name="example.com")),
            ("https://127.0.0.1", "127.0.0.1", 443, BackendTLS()),
        ]
        for address, host, port, tls in rows:
            (backend,) = self.named(self.service(f"url: '{address}'", rest)).values()
            self.assertEqual((backend.host, backend.port, backend.tls), (host, port, tls), address)
            self.assertEqual(
                (backend.keepalive, backend.connect_timeout, backend.response_timeout), (None, 1.0, 2.0)
            )
        (backend,) = self.named(self.service("url: unix:/run/web")).values()
        self.assertEqual((backend.path, backend.keepalive), ("/run/web", "default"))

    def test_resolve_one(self) -> None:
        """A name is one member; where it leads is a matter of its back-end."""
        config = self.service("url: 'https://web.example'")
        (unknown,) = self.named(config).items()
        (known,) = self.named(config, web_example=["10.0.0.1"]).items()
        self.assertEqual((unknown[0], known[0]), ("https://web.example", "https://web.example"))
        self.assertEqual((unknown[1].host, known[1].host), ("web.example", "10.0.0.1"))
        self.assertEqual(known[1].tls.server_name, "web.example")
        self.assertNotEqual(unknown[1].key, known[1].key)

    def test_resolve_all(self) -> None:
        """Each address is a member of its own, and TLS asks all of them for the name."""
        config = self.service("url: 'https://web.example', resolve: all, tls: {verify: false}")
        found = self.named(config, web_example=["10.0.0.2", "10.0.0.1"])
        self.assertEqual(list(found), ["https://web.example#10.0.0.1", "https://web.example#10.0.0.2"])
        for backend in found.values():
            self.assertEqual(backend.tls, BackendTLS(verify=False, server_name="web.example"))
        self.assertEqual(list(self.named(config)), ["https://web.example"])

    def test_server_name(self) -> None:
        """The file's own server name goes first."""
        config = self.service("url: 'https://10.0.0.1', tls: {server_name: web.example}")
        (backend,) = self.named(config).values()
        self.assertEqual(backend.tls, BackendTLS(server_name="web.example"))


class Resolving(SynchronousTestCase):
    """Names that lead elsewhere while the balancer runs."""

    def setUp(self) -> None:
        """A reactor with a resolver of its own."""
        self.clock: Any = Clock()
        self.resolver = self.clock.nameResolver = Resolver(web_example=["10.0.0.1"])

    def balancer(self, config: Any) -> Balancer:
        """A balancer that has looked its names up."""
        balancer = Balancer(config, reactor=self.clock)
        balancer.start()
        self.addCleanup(balancer.stop)
        self.clock.advance(0)
        return balancer

    def config(self, resolve: str, **sections: Any) -> Any:
        """One service at one name."""
        lines = "".join(f", {key}: {value}" for key, value in {"health_check": "false", **sections}.items())
        return file(
            "services: [{name: web, matcher: /,"
            f" replicas: [{{url: 'http://web.example', resolve: {resolve}, weight: 3}}]{lines}}}]"
        )

    def hosts(self, balancer: Balancer) -> list[str]:
        """Where the available replicas are."""
        return [one.backend.host for one in balancer.services["web"].available]

    def test_all(self) -> None:
        """With ``resolve: all`` members come and go with the name's addresses, and who stays is who it was."""
        self.resolver.names["web.example"] = ["10.0.0.1", "10.0.0.2"]
        balancer = self.balancer(self.config("all", health_check="true"))
        self.assertEqual(self.hosts(balancer), ["10.0.0.1", "10.0.0.2"])
        stays = balancer.services["web"].replicas[1]
        stays.total = 7
        self.resolver.names["web.example"] = ["10.0.0.2", "10.0.0.3"]
        self.clock.advance(40)
        self.assertEqual(self.hosts(balancer), ["10.0.0.2", "10.0.0.3"])
        self.assertIs(balancer.services["web"].replicas[0], stays)
        self.assertEqual([one.weight for one in balancer.services["web"].replicas], [3.0, 3.0])
        probed = [one["key"] for one in balancer.status()["services"][0]["replicas"] if one["probes"]]
        self.assertEqual(probed, ["http://web.example#10.0.0.2", "http://web.example#10.0.0.3"])

    def test_one(self) -> None:
        """With ``resolve: one`` it stays one replica, which moves."""
        balancer = self.balancer(self.config("one"))
        (replica,) = balancer.services["web"].replicas
        self.assertEqual(self.hosts(balancer), ["10.0.0.1"])
        self.resolver.names["web.example"] = ["10.0.0.9"]
        self.clock.advance(40)
        self.assertEqual(self.hosts(balancer), ["10.0.0.9"])
        self.assertEqual(balancer.services["web"].replicas, [replica])
        self.assertEqual((replica.host, replica.key), ("web.example", "http://web.example"))

    def test_after_a_failed_connect(self) -> None:
        """A failed connect has the name looked up again, long before its time."""
        balancer = self.balancer(self.config("one"))
        self.clock.advance(5)
        asked = len(self.resolver.asked)
        self.resolver.names["web.example"] = ["10.0.0.9"]
        self.assertEqual(len(self.resolver.asked), asked)
        request = FakeRequest()
        state = balancer.init(0.0, request)
        group = balancer.lookup_domain_name("x", request, state)
        replica = balancer.checkout_service(group, request, state)
        balancer.checkin_service(group, replica, "connecting", "etimedout", request, state)
        self.clock.advance(0)
        self.assertEqual(self.hosts(balancer), ["10.0.0.9"])

    def test_reload(self) -> None:
        """After a reload those names are looked up that are configured; what is known of them is known at once."""
        balancer = self.balancer(self.config("all"))
        balancer.reload(self.config("all", retries="false"))
        self.assertEqual(self.hosts(balancer), ["10.0.0.1"])
        self.assertEqual([one["host"] for one in balancer.status()["names"]], ["web.example"])
        balancer.reload(one_service("http://127.0.0.1:1"))
        self.assertEqual(balancer.status()["names"], [])


class Splits(BalancerCase):
    """Weighted groups of services."""

    async def test_canary(self) -> None:
        """A split's matcher leads to its services by their weights, each with its own rules."""
        old, new = await self.named("old", "new")
        proxy = await self.serving(
            file(f"""
            services:
              - {{name: old, replicas: [{{url: '{url(old)}'}}]}}
              - {{name: new, replicas: [{{url: '{url(new)}'}}], headers: {{response: {{set: {{X-New: '1'}}}}}}}}
            splits:
              - {{name: canary, matcher: /, services: {{old: 4, new: 1}}}}
            """)
        )
        client = await proxy.connect()
        answers = [await self.ask(client) for _ in range(10)]
        self.assertEqual(sum(one.body == b"new" for one in answers), 2)
        for one in answers:
            self.assertEqual(one.header("X-New"), "1" if one.body == b"new" else None)
        await self.even()

    async def test_stripped(self) -> None:
        """``strip_prefix: true`` takes the prefix away by which the request came, a split's as well."""
        backend = await self.backend(handler=answering(self.told))
        proxy = await self.serving(
            file(f"""
            services:
              - name: web
                matcher: [/a, /a/b]
                replicas: [{{url: '{url(backend)}'}}]
                rewrite: {{strip_prefix: true, add_prefix: /v1}}
            splits:
              - {{name: part, matcher: /c, services: {{web: 1}}}}
            """)
        )
        client = await proxy.connect()
        for target, rewritten in [
            ("/a/x?q=/a", "/v1/x?q=/a"),
            ("/a/b/x", "/v1/x"),
            ("/c/%41?", "/v1/%41?"),
            ("http://example.org/a/x", "/v1/x"),
        ]:
            self.assertEqual((await self.ask(client, get(target))).body.decode(), rewritten, target)

    async def test_options_of_the_server(self) -> None:
        """``OPTIONS *`` has no path to rewrite."""
        backend = await self.backend(handler=answering(self.told))
        client = await (await self.serving(one_service(url(backend), rewrite="{add_prefix: /v1}"))).connect()
        response = await self.ask(client, get("*", method="OPTIONS"))
        self.assertEqual((response.status, response.body), (200, b"*"))

    @staticmethod
    def told(request: Any) -> bytes:
        """The response that says which target came."""
        body = request.target.encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Secure(BalancerCase):
    """Replicas behind TLS."""

    async def test_https(self) -> None:
        """An https replica is verified by its own authority and name, and by nobody else's."""
        certificate = self_signed("web.example")
        folder = self.folder()
        chain, _ = certificate.save(folder)
        backend = await self.backend(tls=server_context(certificate, folder), handler=saying("secret"))
        for tls, status in [
            (f"{{ca: '{chain}', server_name: web.example}}", 200),
            ("{verify: false}", 200),
            (f"{{ca: '{chain}', server_name: other.example}}", 503),
            ("{}", 503),
        ]:
            config = file(f"""
                services:
                  - name: web
                    matcher: /
                    retries: false
                    health_check: false
                    replicas: [{{url: 'https://127.0.0.1:{backend.port}', tls: {tls}}}]
                """)
            client = await (await self.serving(config)).connect()
            self.assertEqual((await self.ask(client)).status, status, tls)
            await self.even()
            errors = self.service().errors
            self.assertEqual(errors, {} if status == 200 else {"tls_unverified": 1}, tls)
        backend.failures.clear()  # of the handshakes that our side has refused

    async def test_probes(self) -> None:
        """Probes of an https replica verify as requests do."""
        certificate = self_signed("web.example")
        folder = self.folder()
        chain, _ = certificate.save(folder)
        backend = await self.backend(tls=server_context(certificate, folder), handler=saying("well"))
        check = "{path: /, interval: 0.02, fall: 1, rise: 1}"
        config = file(f"""
            services:
              - name: web
                matcher: /
                health_check: {check}
                replicas:
                  - {{url: 'https://127.0.0.1:{backend.port}', tls: {{ca: '{chain}', server_name: web.example}}}}
                  - {{url: 'https://127.0.0.1:{backend.port}', tls: {{ca: '{chain}', server_name: x.example}}}}
            """)
        self.balance(config)
        self.balancer.start()

        def results() -> list[Any]:
            replicas = self.balancer.status()["services"][0]["replicas"]
            return [[probe["last_ok"] for probe in one["probes"].values()] for one in replicas]

        await self.until(lambda: results() == [[True], [False]], "one good, one bad")
        stopped = self.balancer.stop()
        if stopped is not None:
            await stopped
        await self.turns()
        backend.failures.clear()
