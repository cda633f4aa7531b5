"""Python clients on keep-alive connections: the standard library's, and treq on Twisted's own pool."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator
from typing import Any

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from tests.peers.peer_case import KINDS, PeerCase, on_each_reactor
from vegurtx.testing.pattern import pattern

PIECES = [b"a", b"bc" * 5000, b"d" * 70000]
WHOLE = b"".join(PIECES)


class HttpClient(PeerCase):
    """``http.client``: one connection, which it would silently open again if it were closed."""

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is open."""
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=20)
        self.addCleanup(connection.close)
        connection.connect()
        return connection

    def ask(
        self, connection: http.client.HTTPConnection, kind: str, method: str, target: str, body: Any = None
    ) -> tuple[int, bytes]:
        """Send a request on `connection` and read its answer; it must be the same connection after it."""
        before = connection.sock
        headers = {"Host": f"{kind}.test"}
        connection.request(method, target, body, headers, encode_chunked=isinstance(body, Iterator))
        response = connection.getresponse()
        content = response.read()
        self.assertIsNotNone(before)
        self.assertIs(connection.sock, before)
        return response.status, content

    def test_keep_alive(self) -> None:
        """Every kind of request and answer in turn, ten rounds on one connection."""
        for kind in KINDS:
            connection = self.connect()
            for number in range(10):
                status, content = self.ask(connection, kind, "GET", f"/{number}?q")
                self.assertEqual((status, json.loads(content)["target"]), (200, f"/{number}?q"))
                status, content = self.ask(connection, kind, "POST", "/", WHOLE)
                self.assertEqual(json.loads(content)["body"].encode("latin-1"), WHOLE)
                self.assertEqual(self.ask(connection, kind, "HEAD", "/bytes/100"), (200, b""))
                status, content = self.ask(connection, kind, "PUT", "/sink", iter(PIECES))
                self.assertEqual(json.loads(content)["sha256"], hashlib.sha256(WHOLE).hexdigest())
                self.assertEqual(self.ask(connection, kind, "DELETE", "/status/204"), (204, b""))
                status, content = self.ask(connection, kind, "GET", "/chunked/90000")
                self.assertEqual(content, pattern(0, 90000).tobytes())

    def test_large(self) -> None:
        """Megabytes both ways on the same connection."""
        size = 1_000_000
        content = pattern(0, size).tobytes()
        for kind in KINDS:
            connection = self.connect()
            for _ in range(5):
                self.assertEqual(self.ask(connection, kind, "GET", f"/bytes/{size}"), (200, content))
                status, answer = self.ask(connection, kind, "POST", "/sink", content)
                self.assertEqual((status, json.loads(answer)["matches"]), (200, True))


class Treq(PeerCase, TestCase):
    """treq: a pool of the client's own, and many requests at once."""

    def setUp(self) -> None:
        """A pool that is gone after the test."""
        super().setUp()
        self.pool = HTTPConnectionPool(reactor, persistent=True)
        self.pool.maxPersistentPerHost = 8
        # Its own repetition of a request would hide a connection that the proxy has broken off.
        self.pool.retryAutomatically = False
        self.addCleanup(self.pool.closeCachedConnections)
        self.agent = Agent(reactor, pool=self.pool)

    async def ask(self, kind: str, method: str, target: str, **options: Any) -> bytes:
        """One request; returns the answer's body."""
        url = f"http://127.0.0.1:{self.proxy.port}{target}"
        headers = {"Host": f"{kind}.test"}
        response = await treq.request(method, url, agent=self.agent, headers=headers, timeout=20, **options)
        self.assertEqual(response.code, 200)
        content: bytes = await response.content()
        return content

    async def test_in_turn(self) -> None:
        """One request after the other: the client needs one connection, the pooled back-end too."""
        for kind, expected in (("single", 20), ("pooled", 1)):
            ports, connections = set(), set()
            for number in range(20):
                echo = json.loads(await self.ask(kind, "POST", f"/{number}", data=WHOLE))
                self.assertEqual((echo["target"], echo["body"].encode("latin-1")), (f"/{number}", WHOLE))
                connections.add(echo["connection"])
                ports.add(dict(echo["headers"])["X-Forwarded-Peer-Port"])
            self.assertEqual((len(ports), len(connections)), (1, expected))

    async def test_at_once(self) -> None:
        """Forty requests at once, each with its own answer."""
        for kind in KINDS:
            asked = [
                Deferred.fromCoroutine(self.ask(kind, "PUT", f"/{number}", json={"number": number}))
                for number in range(40)
            ]
            for number, content in enumerate(await gatherResults(asked)):
                echo = json.loads(content)
                self.assertEqual(
                    (echo["target"], json.loads(echo["body"])), (f"/{number}", {"number": number})
                )

    async def test_chunked_answer(self) -> None:
        """A chunked answer is read to its end."""
        for kind in KINDS:
            self.assertEqual(await self.ask(kind, "GET", "/chunked/500000"), pattern(0, 500000).tobytes())


globals().update(on_each_reactor(HttpClient) | on_each_reactor(Treq))
