"""One file with every way to choose a service and a replica, asked from outside."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from acceptance_case import AcceptanceCase

from vegurtx.testing import BlockingClient, ProxyProcess, Response

FILE = """
services:
  - {name: exact, matcher: {host: shop.example.com}, replicas: [{url: A}]}
  - {name: wild, matcher: {host: "*.example.com"}, replicas: [{url: B}]}
  - {name: regex, matcher: {regex: "/v[0-9]+/items/.*"}, replicas: [{url: C}]}
  - {name: method, matcher: {path: /m, method: [PUT, DELETE]}, replicas: [{url: A}]}
  - {name: header, matcher: {prefix: /h, header: {X-Beta: {regex: "^y"}}}, replicas: [{url: B}]}
  - {name: query, matcher: {prefix: /q, query: {debug: true}}, replicas: [{url: C}]}
  - {name: first, matcher: {prefix: /v1/items/9, priority: 5}, replicas: [{url: B}]}
  - name: rewritten
    matcher: /strip
    rewrite: {strip_prefix: true, add_prefix: /in}
    headers:
      request: {set: {X-Service: s}, add: {X-Tag: new}, remove: [Cookie]}
      response: {set: {X-Out: "1"}, remove: [Content-Type]}
    replicas: [{url: A}]
  - {name: old, replicas: [{url: A}]}
  - {name: new, replicas: [{url: B}]}
  - {name: old-too, replicas: [{url: A}]}
  - {name: new-too, replicas: [{url: B}]}
  - {name: rr, strategy: RoundRobin, matcher: /RoundRobin, replicas: &all [{url: A}, {url: B}, {url: C}]}
  - {name: lc, strategy: LeastConnections, matcher: /LeastConnections, replicas: *all}
  - {name: p2, strategy: PowerOfTwo, matcher: /PowerOfTwo, replicas: *all}
  - {name: random, strategy: Random, matcher: /Random, replicas: *all}
  - {name: hash, strategy: {name: ConsistentHash, on: "header:X-User"}, matcher: /ConsistentHash, replicas: *all}
  - {name: address, strategy: IPHash, matcher: /IPHash, replicas: *all}
  - {name: own, strategy: {name: nearest.Nearest, at: 1}, matcher: /own, replicas: *all}
  - {name: sticky, sticky: {cookie: stick, secret: sixteen characters}, matcher: /sticky, replicas: *all}
  - {name: named, matcher: /named, replicas: [{url: NAMED}]}
  - {name: nowhere, matcher: /nowhere, retries: false, replicas: [{url: "http://does-not-exist.invalid"}]}
splits:
  - {name: canary, matcher: /canary, services: {old: 90, new: 10}}
  - {name: kept, matcher: /kept, on: "cookie:user", services: {old-too: 50, new-too: 50}}
"""
NEAREST = """
class Nearest:
    def __init__(self, options):
        self.at = options["at"]

    def choose(self, replicas, request, now):
        return replicas[self.at]
"""


class Features(AcceptanceCase):
    """What each request gets, by the name of the back-end."""

    proxy: ProxyProcess

    def setUp(self) -> None:
        """Three back-ends before which the program runs."""
        super().setUp()
        (self.folder / "nearest.py").write_text(NEAREST, "utf-8")
        backends = self.backends("A", "B", "C")
        self.text = FILE.replace("NAMED", f"http://localhost:{backends[0].port}")
        for backend in backends:
            self.text = self.text.replace(f"url: {backend.name}}}", f'url: "{backend.url}"}}')
        self.proxy = self.start(self.text)
        self.client = self.connected(self.proxy)

    def connected(self, proxy: ProxyProcess) -> BlockingClient:
        """A client of the program."""
        client = BlockingClient(proxy.port)
        self.addCleanup(client.close)
        return client

    def ask(self, target: str, *fields: tuple[str, str], method: str = "GET", host: str = "x") -> Response:
        """One request."""
        return self.client.request(method, target, [("Host", host), *fields])

    def who(self, target: str, *fields: tuple[str, str], **options: Any) -> str | int:
        """The back-end that has answered, or the status."""
        response = self.ask(target, *fields, **options)
        return json.loads(response.body)["backend"] if response.status == 200 else response.status

    def test_matching(self) -> None:
        """Each condition holds, and does not hold."""
        self.assertEqual(
            [self.who("/", host=host) for host in ("SHOP.example.com:80", "a.b.example.com")], ["A", "B"]
        )
        self.assertEqual(self.who("/", host="example.com"), 404)
        self.assertEqual(
            [self.who("/v7/items/3"), self.who("/v7/item/3"), self.who("/v1/items/9")], ["C", 404, "B"]
        )
        self.assertEqual([self.who("/m", method="PUT"), self.who("/m")], ["A", 404])
        self.assertEqual(
            [self.who("/h/x", ("X-Beta", "yes")), self.who("/h/x", ("X-Beta", "no"))], ["B", 404]
        )
        self.assertEqual(
            [self.who("/q?debug=0"), self.who("/q?x=debug"), self.who("/strips")], ["C", 404, 404]
        )

    def test_rewriting(self) -> None:
        """Path and fields, both ways."""
        response = self.ask("/strip/a/b?c=d", ("X-Tag", "old"), ("Cookie", "a=b"))
        told = json.loads(response.body)
        self.assertEqual(told["target"], "/in/a/b?c=d")
        names = ("X-Tag", "X-Service", "Cookie")
        fields = [(name, value) for name, value in told["headers"] if name in names]
        self.assertEqual(sorted(fields), [("X-Service", "s"), ("X-Tag", "new"), ("X-Tag", "old")])
        self.assertEqual((response.header("X-Out"), response.header("Content-Type")), ("1", None))
        self.assertEqual([self.who(f"/strip{rest}") for rest in ("/..%2fx", "/%zz")], [404, 404])

    def test_splits(self) -> None:
        """Nine of ten, evenly; with ``on``, each user the same one again and again."""
        self.assertEqual(Counter(self.who("/canary") for _ in range(40)), {"A": 36, "B": 4})
        users = [[self.who("/kept", ("Cookie", f"user={user}")) for _ in range(4)] for user in range(32)]
        self.assertEqual({len(set(answers)) for answers in users}, {1})
        self.assertEqual({answers[0] for answers in users}, {"A", "B"})

    def test_strategies(self) -> None:
        """Each of them by its name in the file, one's own too."""
        for name in ("RoundRobin", "LeastConnections"):
            self.assertEqual(Counter(self.who(f"/{name}") for _ in range(9)), {"A": 3, "B": 3, "C": 3}, name)
        for name in ("PowerOfTwo", "Random"):
            self.assertEqual({self.who(f"/{name}") for _ in range(90)}, {"A", "B", "C"}, name)
        users = [{self.who("/ConsistentHash", ("X-User", str(user))) for _ in range(3)} for user in range(32)]
        self.assertEqual({len(answers) for answers in users}, {1})
        self.assertEqual(set.union(*users), {"A", "B", "C"})
        self.assertEqual(len({self.who("/IPHash") for _ in range(6)}), 1)
        self.assertEqual({self.who("/own") for _ in range(6)}, {"B"})

    def test_sticky(self) -> None:
        """A cookie is good after a restart; one that was tampered with is none."""
        response = self.ask("/sticky")
        value = (response.header("Set-Cookie") or "").partition(";")[0]
        home = json.loads(response.body)["backend"]
        self.assertEqual({self.who("/sticky", ("Cookie", f"a=b; {value}; c")) for _ in range(6)}, {home})
        self.client = self.connected(self.start(self.text))
        self.assertEqual({self.who("/sticky", ("Cookie", value)) for _ in range(6)}, {home})
        forged = value[:-1] + ("0" if value[-1] != "0" else "1")
        for bad in (forged, "stick=", "stick=" + "x" * 8000, "stick=\xff\xfe", 'stick="'):
            self.assertEqual({self.who("/sticky", ("Cookie", bad)) for _ in range(3)}, {"A", "B", "C"})

    def test_names(self) -> None:
        """A name leads somewhere, or nowhere: that is a failed connect."""
        self.assertEqual(self.who("/named"), "A")
        self.assertEqual(self.who("/nowhere"), 503)
        self.proxy.wait_for("does-not-exist.invalid cannot be resolved")
