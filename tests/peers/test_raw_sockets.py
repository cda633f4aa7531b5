"""A bare socket before the running program: the same methods and framings as with curl, to the byte."""

from __future__ import annotations

import json
from typing import Any

from tests.peers.peer_case import KINDS, MEGABYTE, PeerCase, on_each_reactor
from vegurtx.testing import BlockingClient
from vegurtx.testing.pattern import pattern

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW")


class RawSockets(PeerCase):
    """Every conversation stays on one client connection."""

    def connect(self) -> BlockingClient:
        """A client of the proxy."""
        client = BlockingClient(self.proxy.port)
        self.addCleanup(client.close)
        return client

    def echo(self, client: BlockingClient) -> dict[str, Any]:
        """What the back-end says it has received."""
        response = client.receive_response()
        self.assertEqual(response.status, 200)
        echo: dict[str, Any] = json.loads(response.body)
        return echo

    def test_methods(self) -> None:
        """Each method without a body, with a length, and chunked, one after the other."""
        for kind in KINDS:
            client = self.connect()
            for method in METHODS:
                start = f"{method} /p?q=1 HTTP/1.1\r\nHost: {kind}.test\r\n".encode()
                client.send(start + b"\r\n")
                self.assertEqual((seen := self.echo(client))["method"], method)
                self.assertEqual((seen["target"], seen["body"]), ("/p?q=1", ""))
                client.send(start + b"Content-Length: 4\r\n\r\nbody")
                self.assertEqual(self.echo(client)["body"], "body")
                client.send(start + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2;x=y\r\ndy\r\n0\r\n\r\n")
                self.assertEqual(self.echo(client)["body"], "body")
            self.assertEqual(client.unread, b"")

    def test_head(self) -> None:
        """HEAD has no body, whatever its headers say; the next answer is the next request's."""
        for kind in KINDS:
            client = self.connect()
            for target, status in (("/bytes/9999", 200), ("/chunked/9999", 200), ("/status/404", 404)):
                response = client.request("HEAD", target, [("Host", f"{kind}.test")])
                self.assertEqual((response.status, response.body), (status, b""))
                answer = client.request("GET", "/bytes/10", [("Host", f"{kind}.test")])
                self.assertEqual(answer.body, pattern(0, 10).tobytes())

    def test_pipelined(self) -> None:
        """A hundred requests sent at once are answered in order, with bodies between them."""
        for kind in KINDS:
            client = self.connect()
            start = f"Host: {kind}.test\r\n".encode()
            for number in range(50):
                client.send(b"GET /%d HTTP/1.1\r\n%b\r\n" % (number, start))
                client.send(b"POST /%d HTTP/1.1\r\n%bContent-Length: 3\r\n\r\nabc" % (number, start))
            for number in range(50):
                for method, body in (("GET", ""), ("POST", "abc")):
                    seen = self.echo(client)
                    self.assertEqual(
                        (seen["method"], seen["target"], seen["body"]), (method, f"/{number}", body)
                    )

    def test_byte_by_byte(self) -> None:
        """A request that comes a byte at a time arrives as one that came at once."""
        for kind in KINDS:
            client = self.connect()
            head = f"POST /x HTTP/1.1\r\nHost: {kind}.test\r\nTransfer-Encoding: chunked\r\n\r\n"
            for byte in head.encode() + b"3\r\nabc\r\n0\r\n\r\n":
                client.send(bytes([byte]))
            seen = self.echo(client)
            self.assertEqual((seen["target"], seen["body"]), ("/x", "abc"))

    def test_megabytes(self) -> None:
        """Thirty megabytes each way, in every framing, on one connection."""
        size = 30 * MEGABYTE + 7
        for kind in KINDS:
            client = self.connect()
            host = f"{kind}.test"
            self.assertEqual(client.download(f"/bytes/{size}", host=host), size)
            for chunked in (False, True):
                answer = json.loads(client.upload("/sink", size, chunked=chunked, host=host).body)
                self.assertEqual((answer["bytes"], answer["matches"]), (size, True))
            self.assertEqual(client.download(f"/bytes/{size}", host=host), size)

    def test_connections(self) -> None:
        """Requests of several clients in turn share one pooled connection."""
        before = self.backend.connections
        seen = set()
        for _ in range(10):
            client = self.connect()
            seen.add(json.loads(client.request("GET", "/", [("Host", "pooled.test")]).body)["connection"])
        self.assertEqual(len(seen), 1)
        self.assertLessEqual(self.used_connections(before), 1)

    def test_back_end_drops_idle_connections(self) -> None:
        """Pooled connections that the back-end has closed are not used: no request fails."""
        for _ in range(10):
            with BlockingClient(self.proxy.port) as client:
                for _ in range(3):
                    self.assertEqual(client.request("GET", "/", [("Host", "pooled.test")]).status, 200)
                self.backend.drop_connections()
                self.assertEqual(client.request("GET", "/", [("Host", "pooled.test")]).status, 200)


globals().update(on_each_reactor(RawSockets))
