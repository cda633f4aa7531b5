"""Vestri's files before real replicas: what the balancer began with."""

from __future__ import annotations

import json
from collections import Counter

from acceptance_case import ROOT, AcceptanceCase

from vegurtx.testing import BlockingClient

#: the two example files of Vestri's repository
PLAIN = """
    # Example configuration
    services:
      - name: service01
        strategy: WeightedRoundRobin
        matcher: "/api/v1"
        replicas:
          - url: http://127.0.0.1:8081
          - url: http://127.0.0.1:8082
      - name: service02
        strategy: RoundRobin
        matcher: "/api/v2"
        replicas:
          - url: http://127.0.0.1:8083
          - url: http://127.0.0.1:8084
    """
WEIGHTED = """
    # Example configuration
    services:
      - name: "service1"
        strategy: "WeightedRoundRobin"
        matcher: "/api/v1"
        replicas:
          - url: "http://127.0.0.1:8081"
            metadata:
              weight: 10
          - url: "http://127.0.0.1:8082"
            metadata:
              weight: 5
      - name: "service2"
        strategy: "RoundRobin"
        matcher: "/api/v2"
        replicas:
          - url: "http://127.0.0.1:8083"
            metadata:
              weight: 10
          - url: "http://127.0.0.1:8084"
            metadata:
              weight: 5
    """


class Files(AcceptanceCase):
    """Each of its files as it is; only the ports are the test's."""

    def ask(self, text: str, target: str, count: int) -> list[str]:
        """Who has answered `count` requests, by the last figure of the port that the file has for it."""
        backends = self.backends("1", "2", "3", "4")
        for backend in backends:
            text = text.replace(f":808{backend.name}", f":{backend.port}")
        proxy = self.start(text)
        with BlockingClient(proxy.port) as client:
            answers = [client.request("GET", target) for _ in range(count)]
            self.assertEqual(client.request("GET", "/api").status, 404)
        self.assertEqual({answer.status for answer in answers}, {200})
        return [json.loads(answer.body)["backend"] for answer in answers]

    def test_document(self) -> None:
        """Of 900 requests exactly 300 and 600, and of any three in a row one and two."""
        order = self.ask((ROOT / "examples" / "config.yaml").read_text("utf-8"), "/api/v1/users", 900)
        self.assertEqual(Counter(order), {"1": 300, "2": 600})
        threes = {Counter(order[at : at + 3])["1"] for at in range(len(order) - 2)}
        self.assertEqual(threes, {1})

    def test_plain(self) -> None:
        """Weights that are not given are alike."""
        self.assertEqual(Counter(self.ask(PLAIN, "/api/v1", 20)), {"1": 10, "2": 10})

    def test_weighted(self) -> None:
        """Ten and five; each prefix its service."""
        self.assertEqual(Counter(self.ask(WEIGHTED, "/api/v1/x", 30)), {"1": 20, "2": 10})

    def test_weights_that_do_not_count(self) -> None:
        """Round robin has no weights."""
        self.assertEqual(Counter(self.ask(WEIGHTED, "/api/v2/x", 30)), {"3": 15, "4": 15})

    def test_text_for_numbers(self) -> None:
        """A weight in quotes is a number; the strategy at the top is that of services that name none."""
        text = WEIGHTED.replace("weight: 10", 'weight: "10"').replace('strategy: "RoundRobin"', "")
        self.assertEqual(
            Counter(self.ask(text + "strategy: WeightedRoundRobin", "/api/v2", 3)), {"3": 2, "4": 1}
        )
