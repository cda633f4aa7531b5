"""Whole files: Vestri's work unchanged, the examples load, and what is generated from the models is current."""

from __future__ import annotations

import json
import re
from pathlib import Path

from jsonschema import Draft202012Validator
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.balance.config import Config, json_schema, load
from vegurtx.balance.config.fields import Section
from vegurtx.balance.config.reference import reference_page
from vegurtx.balance.config.source import Source

ROOT = Path(__file__).resolve().parents[2]


#: plain names and URLs, no metadata; as Vestri's first example has it
PLAIN = """\
# two services
services:
  - name: first
    strategy: RoundRobin
    matcher: "/a/v1"
    replicas:
      - url: http://127.0.0.1:9001
      - url: http://127.0.0.1:9002
  - name: second
    strategy: WeightedRoundRobin
    matcher: "/a/v2"
    replicas:
      - url: http://127.0.0.1:9003
      - url: http://127.0.0.1:9004
"""
#: weights in metadata, on a service whose strategy ignores them too; as its second one
WEIGHTED = """\
services:
  - name: "first"
    strategy: "WeightedRoundRobin"
    matcher: "/a/v1"
    replicas:
      - url: "http://127.0.0.1:9001"
        metadata:
          weight: 10
      - url: "http://127.0.0.1:9002"
        metadata:
          weight: "5"
  - name: "second one"
    strategy: "RoundRobin"
    matcher: "/a/v2"
    replicas:
      - url: "http://127.0.0.1:9003"
        metadata:
          weight: 10
"""
#: the default strategy at the end, lists that are not indented
DEFAULTED = """\
services:
- name: "test service"
  matcher: "/api/v1"
  replicas:
  - url: http://localhost:9001
    metadata: {weight: 3, colour: blue}
strategy: WeightedRoundRobin
"""


def example(name: str) -> str:
    return (ROOT / "examples" / name).read_text("utf-8")


class Vestri(SynchronousTestCase):
    """Files that were written for Vestri."""

    def test_document(self) -> None:
        """The file of its document."""
        config = load(example("config.yaml"), "config.yaml")
        (service,) = config.services
        self.assertEqual((service.name, service.matcher[0].prefix), ("service1", "/api/v1"))
        self.assertEqual(service.strategy and service.strategy.name, "WeightedRoundRobin")
        self.assertEqual(
            [(replica.url, replica.weight) for replica in service.replicas],
            [("http://127.0.0.1:8081", 2.0), ("http://127.0.0.1:8082", 4.0)],
        )

    def test_plain(self) -> None:
        """Without quotes and weights: each weight is 1, each replica is probed by a connect every 10 seconds."""
        config = load(PLAIN, "config.yaml")
        self.assertEqual([service.name for service in config.services], ["first", "second"])
        for service in config.services:
            self.assertEqual([replica.weight for replica in service.replicas], [1.0, 1.0])
            assert service.health_check is not None
            self.assertEqual((service.health_check.type, service.health_check.interval), ("tcp", 10.0))

    def test_weighted(self) -> None:
        """Weights are numbers or text that is one; a name may have spaces."""
        config = load(WEIGHTED, "config.yaml")
        self.assertEqual([replica.weight for replica in config.services[0].replicas], [10.0, 5.0])
        self.assertEqual(config.services[1].name, "second one")

    def test_default_strategy(self) -> None:
        """The file's own strategy is that of services without one; metadata is kept as it is."""
        config = load(DEFAULTED, "config.yaml")
        strategy = config.services[0].strategy
        self.assertEqual(strategy and strategy.name, "WeightedRoundRobin")
        self.assertEqual(config.services[0].replicas[0].metadata, {"weight": 3, "colour": "blue"})


class Examples(SynchronousTestCase):
    """``examples/`` and ``docs/``."""

    def test_full(self) -> None:
        """The full example loads."""
        config = load(example("full-config.yaml"), "full-config.yaml")
        self.assertEqual([service.name for service in config.services], ["api", "shop", "shop-next"])
        self.assertEqual(config.splits[0].services, {"shop": 95.0, "shop-next": 5.0})
        self.assertEqual(config.settings["trusted_proxies"], ["10.0.0.0/8"])

    def test_full_is_full(self) -> None:
        """Every key of every section is in it, those that need a file in a comment."""
        text = example("full-config.yaml")
        for section in Section.__subclasses__():
            if not section.__module__.startswith("vegurtx."):
                continue
            for key in set(section.model_fields) - {"options"}:
                self.assertTrue(
                    re.search(rf"(?m)(?:^[ #-]*|[{{,] ?){key}:", text), f"{section.__name__}.{key}"
                )

    def test_reference(self) -> None:
        """``docs/config.md`` is what the models say."""
        self.assertEqual((ROOT / "docs/config.md").read_text("utf-8"), reference_page())

    def test_reference_has_the_example(self) -> None:
        """The small file in it is the one in ``examples/``."""
        self.assertIn(f"```yaml\n{example('config.yaml')}```", reference_page())

    def test_schema(self) -> None:
        """``docs/config.schema.json`` is what the models say."""
        self.assertEqual(json.loads((ROOT / "docs/config.schema.json").read_text("utf-8")), json_schema())


class Schema(SynchronousTestCase):
    """The JSON Schema that editors use."""

    def setUp(self) -> None:
        self.validator = Draft202012Validator(json_schema())

    def errors(self, text: str) -> list[str]:
        return [error.message for error in self.validator.iter_errors(Source(text, "f").data)]

    def test_valid(self) -> None:
        """It is a schema of its draft."""
        Draft202012Validator.check_schema(json_schema())
        self.assertEqual(json_schema()["$schema"], "https://json-schema.org/draft/2020-12/schema")

    def test_accepts(self) -> None:
        """What loads, it takes."""
        files = [example("config.yaml"), example("full-config.yaml"), PLAIN, WEIGHTED, DEFAULTED]
        for text in [*files, "settings: {idle_timeout: 5}\n"]:
            self.assertEqual(self.errors(text), [])

    def test_rejects(self) -> None:
        """Typical mistakes."""
        service = "services:\n  - name: a\n    matcher: /\n    replicas: [{url: 'http://a'}]\n"
        self.assertEqual(self.errors(service), [])
        for wrong in (
            "services: 5",
            "servces: []",
            "services: [{name: a, matcher: /}]",
            "services: [{matcher: /, replicas: [{url: 'http://a'}]}]",
            "services: [{name: a, matcher: /, replicas: []}]",
            service.replace("matcher: /", "matcher: api"),
            service.replace("matcher: /", "matcher: {pfix: /}"),
            service.replace("http://a", "ftp://a"),
            service.replace("http://a", "http://a/path"),
            service.replace("'}", "', wieght: 2}"),
            service.replace("'}", "', weight: -1}"),
            service.replace("'}", "', weight: two}"),
            service + "    queue: {timeout: 0}\n",
            service + "    queue: soon\n",
            service + "    health_check: {type: htpp}\n",
            service + "    health_check: {interval: 10s}\n",
            service + "    retries: {attempts: 1.5}\n",
            service + "    sticky: {secret: short}\n",
            service + "    sticky: {same_site: lax}\n",
            service + "    headers: {request: {set: {bad name: x}}}\n",
            service + "    strategy: {on: path}\n",
            service + "splits: [{name: s, matcher: /, services: {}}]\n",
            service + "settings: {idle_timout: 5}\n",
            service + "settings: {idle_timeout: -5}\n",
        ):
            self.assertTrue(self.errors(wrong), wrong)


class Frozen(SynchronousTestCase):
    """A loaded configuration."""

    def test_immutable(self) -> None:
        """Nobody changes it under a running balancer."""
        config = load(example("config.yaml"), "config.yaml")
        with self.assertRaises(ValueError):
            config.services[0].name = "other"  # type: ignore[misc]

    def test_equal(self) -> None:
        """Two readings of one file are equal, so that a reload sees what has changed."""
        first, second = (load(example("full-config.yaml"), "full-config.yaml") for _ in "12")
        self.assertEqual(first, second)
        self.assertIsInstance(first, Config)

    def test_secret(self) -> None:
        """A secret is not in what a log would show of it."""
        config = load(example("full-config.yaml"), "full-config.yaml")
        sticky = config.services[0].sticky
        assert sticky is not None and sticky.secret is not None
        self.assertNotIn(sticky.secret, repr(config))
