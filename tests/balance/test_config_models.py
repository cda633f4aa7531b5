"""What the file's values become: one form each, whatever way they were written."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from vegurtx.balance.config import (
    HeadersConfig,
    HealthCheckConfig,
    MatcherConfig,
    PatternConfig,
    QueueConfig,
    ReplicaConfig,
    RetryConfig,
    ServiceConfig,
    StickyConfig,
    StrategyConfig,
    load,
)
from vegurtx.balance.config.replicas import parse_url


def service(text: str = "", matcher: str = "/", replica: str = "{url: 'http://a'}") -> ServiceConfig:
    """The one service of a file."""
    file = f"services:\n  - name: a\n    matcher: {matcher}\n    replicas: [{replica}]\n    {text}\n"
    return load(file, "f.yaml").services[0]


def matcher(text: str) -> MatcherConfig:
    """The one matcher of a service."""
    (found,) = service(matcher=text).matcher
    return found


class Matchers(SynchronousTestCase):
    """``matcher``."""

    def test_text(self) -> None:
        """Text is a path prefix, alone or in a list."""
        self.assertEqual(service(matcher="/api").matcher, (MatcherConfig(prefix="/api"),))
        self.assertEqual(
            service(matcher="[/a, {path: /b}]").matcher,
            (MatcherConfig(prefix="/a"), MatcherConfig(path="/b")),
        )

    def test_lists(self) -> None:
        """One host or method is a list of one; hosts are lower case."""
        found = matcher("{host: EXAMPLE.com, method: GET}")
        self.assertEqual((found.host, found.method), (("example.com",), ("GET",)))
        found = matcher("{host: ['*.A.b', '[::1]'], method: [GET, PURGE]}")
        self.assertEqual((found.host, found.method), (("*.a.b", "[::1]"), ("GET", "PURGE")))

    def test_conditions(self) -> None:
        """A value, any value, or a pattern; numbers are text as they are written."""
        found = matcher("{header: {A: 1, B: true, C: {regex: x+}, D: 1.10}, query: {a b: on}}")
        self.assertEqual(found.header, {"A": "1", "B": True, "C": PatternConfig(regex="x+"), "D": "1.10"})
        self.assertIs(found.header["B"], True)
        self.assertEqual(found.query, {"a b": "on"})


class Replicas(SynchronousTestCase):
    """``replicas``."""

    def test_urls(self) -> None:
        """What a URL is made of."""
        for url, address in {
            "http://a": ("http", "a", 80, None),
            "http://A.example.com:8080/": ("http", "a.example.com", 8080, None),
            "HTTPS://10.0.0.1": ("https", "10.0.0.1", 443, None),
            "http://[::1]:81": ("http", "::1", 81, None),
            "http://[0:0::1]": ("http", "::1", 80, None),
            "http://my_host.": ("http", "my_host.", 80, None),
            "unix:/run/a b.sock": ("unix", "", 0, "/run/a b.sock"),
            "unix:///run/a.sock": ("unix", "", 0, "/run/a.sock"),
        }.items():
            self.assertEqual(tuple(parse_url(url)), address)
            self.assertEqual(ReplicaConfig(url=url).address, address)

    def test_no_urls(self) -> None:
        """What is none."""
        for url in (
            "",
            "a",
            "http://a:0",
            "http://a:65536",
            "http://a:+80",
            "http://a?b",
            "http://a#b",
            "http://u:p@a",
            "http://a\n",
            "http://" + "a" * 64,
            "http://a..b",
            "http://[::1",
            "http://[1]",
            "unix:",
            "unix:a",
            "unix:/a\n",
            "unix:/" + "a" * 107,
            "http://a:\u0661",
        ):
            self.assertRaises(ValueError, parse_url, url)

    def test_weights(self) -> None:
        """In metadata or beside it, as a number or as text; 1 without."""
        for text, weight in {
            "": 1.0,
            ", weight: 3": 3.0,
            ", weight: '3'": 3.0,
            ", weight: 2.50": 2.5,
            ", metadata: {weight: 2}": 2.0,
            ", metadata: {weight: '0.5'}": 0.5,
            ", metadata: {weight: }": 1.0,
            ", weight: 2, metadata: {weight: 2}": 2.0,
            ", metadata: {}, weight: ": 1.0,
        }.items():
            (replica,) = service(replica=f"{{url: 'http://a'{text}}}").replicas
            self.assertEqual(replica.weight, weight, text)

    def test_zero(self) -> None:
        """A weight of 0 beside others is allowed."""
        replicas = service(replica="{url: 'http://a', weight: 0}, {url: 'http://b'}").replicas
        self.assertEqual([replica.weight for replica in replicas], [0.0, 1.0])

    def test_tls(self) -> None:
        """Files that are there, and the defaults."""
        (replica,) = service(
            replica=f"{{url: 'https://a', tls: {{ca: {os.path.abspath(__file__)}}}}}"
        ).replicas
        assert replica.tls is not None
        self.assertEqual((replica.tls.verify, replica.tls.server_name), (True, None))


class Sections(SynchronousTestCase):
    """Sections that have defaults, and those that are off."""

    def test_defaults(self) -> None:
        """What a service has that says nothing."""
        found = service()
        self.assertEqual(found.strategy, StrategyConfig(name="RoundRobin"))
        self.assertEqual(found.health_check, HealthCheckConfig())
        self.assertEqual(found.retries, RetryConfig())
        self.assertIs(found.keepalive, True)
        self.assertEqual(found.panic_threshold, 0.0)
        for off in (
            found.queue,
            found.passive_health,
            found.circuit_breaker,
            found.sticky,
            found.max_connections,
        ):
            self.assertIsNone(off)

    def test_switches(self) -> None:
        """``true`` is the defaults, ``false`` is off, nothing is as if the key were not there."""
        for key, on in {
            "queue": QueueConfig(),
            "sticky": StickyConfig(),
            "health_check": HealthCheckConfig(),
        }.items():
            self.assertEqual(getattr(service(f"{key}: true"), key), on)
            self.assertIsNone(getattr(service(f"{key}: false"), key))
            self.assertEqual(getattr(service(f"{key}:"), key), getattr(service(), key))
        self.assertIsNone(service("retries: false").retries)

    def test_health(self) -> None:
        """A probe is HTTP where it says so, or where it has a key of HTTP's."""
        for text, kind in {
            "{rise: 1}": "tcp",
            "{path: /h}": "http",
            "{expect: {body: ok}}": "http",
            "{type: http}": "http",
        }.items():
            found = service(f"health_check: {text}").health_check
            assert found is not None
            self.assertEqual((found.type, found.method), (kind, "GET"))

    def test_statuses(self) -> None:
        """One form for a status, a range and lists of them."""
        for text, status in {
            "200": ((200, 200),),
            "200-399": ((200, 399),),
            "'200, 204-206'": ((200, 200), (204, 206)),
            "[200, 300-302]": ((200, 200), (300, 302)),
        }.items():
            found = service(f"health_check: {{expect: {{status: {text}}}}}").health_check
            assert found is not None
            self.assertEqual(found.expect.status, status)

    def test_headers(self) -> None:
        """Values are text; what is added is a list."""
        found = service("headers: {request: {set: {A: 5}, add: {B: b, C: [c, 1]}, remove: D}}").headers
        assert found is not None
        self.assertEqual(found.request.set, {"A": "5"})
        self.assertEqual(found.request.add, {"B": ("b",), "C": ("c", "1")})
        self.assertEqual(found.request.remove, ("D",))
        self.assertEqual(found.response, HeadersConfig().response)

    def test_strategy(self) -> None:
        """All keys but the name are options, with their values as they are."""
        found = service("strategy: {name: ConsistentHash, on: 'header:X', bounded_load: 1.25}").strategy
        self.assertEqual(
            found, StrategyConfig(name="ConsistentHash", options={"on": "header:X", "bounded_load": 1.25})
        )

    def test_settings(self) -> None:
        """They stay as the file has them, for the command line to merge."""
        config = load(
            "settings: {idle_timeout: 5, trusted_proxies: [10.0.0.0/8], timeout: }",
            "f",
            services_required=False,
        )
        self.assertEqual(config.settings, {"idle_timeout": 5, "trusted_proxies": ["10.0.0.0/8"]})
        self.assertEqual(config.services, ())

    def test_anchors(self) -> None:
        """A section that is written once and merged."""
        text = (
            "services:\n"
            "  - &one\n    name: a\n    matcher: /a\n    replicas: &r [{url: 'http://a'}]\n    queue: {length: 7}\n"
            "  - <<: *one\n    name: b\n    matcher: /b\n"
        )
        first, second = load(text, "f").services
        self.assertEqual((second.name, second.replicas, second.queue), ("b", first.replicas, first.queue))
