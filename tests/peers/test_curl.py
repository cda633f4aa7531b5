"""curl before the proxy: methods, bodies in every framing, HTTP/1.0, ``Expect``; keep-alive off and on."""

from __future__ import annotations

import hashlib
import json

from tests.peers.curl import Transfer, curl
from tests.peers.peer_case import KINDS, MEGABYTE, PeerCase, on_each_reactor
from vegurtx.testing.pattern import PERIOD, pattern

EVERY_BYTE = bytes(range(256)) * 300
BIG = (pattern(0, PERIOD).tobytes() * 2)[: 3 * MEGABYTE // 2]
"""More than curl sends without waiting for a 100."""


class Curl(PeerCase):
    """Each conversation with a connection for each request, and with pooled ones."""

    tools = ("curl",)

    def ask(self, kind: str, target: str, *options: str, given: bytes = b"") -> Transfer:
        """One transfer."""
        return curl(self.proxy.port, f"{kind}.test", [target], *options, given=given)[0]

    def test_get(self) -> None:
        """A request arrives with its own headers and ours, and its answer comes back whole."""
        for kind in KINDS:
            got = self.ask(kind, "/a/b", "-H", "X-Case: kept As Is", "-A", "agent/1")
            echo = got.echo()
            self.assertEqual((echo["method"], echo["target"], echo["version"]), ("GET", "/a/b", [1, 1]))
            self.assertEqual(got.received("host"), [f"{kind}.test:{self.proxy.port}"])
            self.assertEqual(
                [got.received("x-case"), got.received("user-agent")], [["kept As Is"], ["agent/1"]]
            )
            self.assertEqual(
                [got.received("via"), got.received("x-forwarded-for")], [["1.1 vegur"], ["127.0.0.1"]]
            )
            self.assertEqual(got.received("connection"), ["keep-alive" if kind == "pooled" else "close"])
            self.assertEqual((got.response.status, got.response.header("via")), (200, "1.1 vegur"))
            self.assertEqual(got.facts["http_version"], "1.1")

    def test_targets(self) -> None:
        """Paths and queries reach the back-end byte for byte."""
        targets = ["/?", "/?a=1&b=2", "/a?b?c=/&d[]=%5B;x", "/%7Ea//b/../c/./?q=%00%ff", "/'*!$()~|^`{}"]
        for kind in KINDS:
            transfers = curl(self.proxy.port, f"{kind}.test", targets)
            self.assertEqual([transfer.echo()["target"] for transfer in transfers], targets)

    def test_methods(self) -> None:
        """Every method passes, with a body and without, also one that nobody knows."""
        for kind in KINDS:
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW", "x-it's"):
                empty = self.ask(kind, "/x", "-X", method).echo()
                self.assertEqual((empty["method"], empty["body"]), (method, ""))
                full = self.ask(kind, "/x", "-X", method, "--data-binary", "@-", given=b"a body")
                self.assertEqual((full.echo()["method"], full.echo()["body"]), (method, "a body"))
                self.assertEqual(full.received("content-length"), ["6"])

    def test_options_of_the_server(self) -> None:
        """``OPTIONS *`` keeps its target."""
        for kind in KINDS:
            echo = self.ask(kind, "/", "-X", "OPTIONS", "--request-target", "*").echo()
            self.assertEqual((echo["method"], echo["target"]), ("OPTIONS", "*"))

    def test_head(self) -> None:
        """HEAD has the length and no body, and the client's connection goes on."""
        for kind in KINDS:
            transfers = curl(self.proxy.port, f"{kind}.test", ["/bytes/12345", "/chunked/5"], "--head")
            self.assertEqual([transfer.facts["num_connects"] for transfer in transfers], [1, 0])
            self.assertEqual(transfers[0].response.header("content-length"), "12345")
            self.assertEqual([transfer.facts["size_download"] for transfer in transfers], [0, 0])

    def test_statuses(self) -> None:
        """Statuses pass as they are; those without a body do not end the connection."""
        codes = [204, 304, 404, 500, 503, 299]
        for kind in KINDS:
            transfers = curl(self.proxy.port, f"{kind}.test", [f"/status/{code}" for code in codes])
            self.assertEqual([transfer.facts["http_code"] for transfer in transfers], codes)
            self.assertEqual([transfer.facts["num_connects"] for transfer in transfers], [1, 0, 0, 0, 0, 0])

    def test_body_with_length(self) -> None:
        """POST and PUT with a length: every byte there, every byte back."""
        for kind in KINDS:
            for options in (("--data-binary", "@-"), ("-X", "PUT", "--data-binary", "@-")):
                sent = self.ask(kind, "/", *options, given=EVERY_BYTE)
                self.assertEqual(sent.echo()["body"].encode("latin-1"), EVERY_BYTE)
                self.assertEqual(sent.received("content-length"), [str(len(EVERY_BYTE))])
                self.assertEqual(sent.received("transfer-encoding"), [])

    def test_chunked_body(self) -> None:
        """A chunked upload is chunked at the back-end too, in both of curl's ways to send one."""
        chunked = ("-H", "Transfer-Encoding: chunked", "--data-binary", "@-")
        for kind in KINDS:
            for options in (chunked, ("-T", "-"), ("-T", "-", "-X", "PATCH")):
                sent = self.ask(kind, "/", *options, given=EVERY_BYTE)
                self.assertEqual(sent.echo()["body"].encode("latin-1"), EVERY_BYTE)
                self.assertEqual(sent.received("transfer-encoding"), ["chunked"])
                self.assertEqual(sent.received("content-length"), [])

    def test_empty_chunked_body(self) -> None:
        """A chunked upload of nothing is a request with an empty body."""
        for kind in KINDS:
            sent = self.ask(kind, "/", "-T", "-")
            self.assertEqual((sent.echo()["body"], sent.received("transfer-encoding")), ("", ["chunked"]))

    def test_chunked_response(self) -> None:
        """A chunked answer arrives whole, and the connection goes on."""
        for kind in KINDS:
            transfers = curl(self.proxy.port, f"{kind}.test", ["/chunked/300000", "/chunked/0"])
            self.assertEqual(transfers[0].body, pattern(0, 300000).tobytes())
            self.assertEqual(transfers[0].response.header("transfer-encoding"), "chunked")
            self.assertEqual((transfers[1].body, transfers[1].facts["num_connects"]), (b"", 0))

    def test_http10(self) -> None:
        """A 1.0 client: the back-end is spoken to in 1.1, chunks are taken off, the end is the close."""
        for kind in KINDS:
            echo = self.ask(kind, "/", "--http1.0")
            self.assertEqual((echo.echo()["version"], echo.response.header("connection")), ([1, 1], "close"))
            transfers = curl(
                self.proxy.port, f"{kind}.test", ["/chunked/200000", "/bytes/200000"], "--http1.0"
            )
            for transfer in transfers:
                self.assertEqual(transfer.body, pattern(0, 200000).tobytes())
                self.assertEqual(transfer.response.header("transfer-encoding"), None)
                self.assertEqual(transfer.facts["num_connects"], 1)
            sent = self.ask(kind, "/", "--http1.0", "--data-binary", "@-", given=EVERY_BYTE)
            self.assertEqual(sent.echo()["body"].encode("latin-1"), EVERY_BYTE)

    def test_http10_keep_alive(self) -> None:
        """A 1.0 client that asks for it keeps its connection, where the answer has a length."""
        for kind in KINDS:
            options = ("--http1.0", "-H", "Connection: keep-alive")
            transfers = curl(self.proxy.port, f"{kind}.test", ["/bytes/5", "/bytes/6"], *options)
            self.assertEqual([transfer.facts["num_connects"] for transfer in transfers], [1, 0])
            self.assertEqual(transfers[1].response.header("connection"), "keep-alive")

    def test_expect(self) -> None:
        """curl waits before a large upload: one 100 comes, from the proxy or (deep) from the back-end."""
        for kind in KINDS:
            for domain, at_backend in ((kind, []), (f"deep-{kind}", ["100-continue"])):
                sent = self.ask(domain, "/", "--expect100-timeout", "25", "--data-binary", "@-", given=BIG)
                self.assertEqual([head.status for head in sent.heads], [100, 200])
                self.assertEqual(sent.received("expect"), at_backend)
                self.assertEqual(sent.echo()["body"].encode("latin-1"), BIG)

    def test_expect_chunked(self) -> None:
        """The same for an upload of unknown length."""
        for domain in ("single", "deep-pooled"):
            options = ("-H", "Expect: 100-continue", "--expect100-timeout", "25", "-T", "-")
            sent = self.ask(domain, "/sink", *options, given=BIG)
            self.assertEqual([head.status for head in sent.heads], [100, 200])
            self.assertEqual(json.loads(sent.body)["sha256"], hashlib.sha256(BIG).hexdigest())

    def test_connections(self) -> None:
        """Eight requests on one client connection: eight at the back-end without keep-alive, one with it."""
        for kind, expected in (("single", 8), ("fresh", 8), ("pooled", 1)):
            # What an earlier test has pooled would be taken first; it is one connection in any case.
            before = self.backend.connections
            transfers = curl(self.proxy.port, f"{kind}.test", ["/"] * 8)
            self.assertEqual([transfer.facts["num_connects"] for transfer in transfers], [1] + [0] * 7)
            self.assertEqual(len({transfer.echo()["connection"] for transfer in transfers}), expected)
            self.assertLessEqual(self.used_connections(before), expected)

    def test_client_closes(self) -> None:
        """``Connection: close`` from the client ends its connection, not the pooled one."""
        options = ("-H", "Connection: close")
        transfers = curl(self.proxy.port, "pooled.test", ["/", "/"], *options)
        self.assertEqual([transfer.facts["num_connects"] for transfer in transfers], [1, 1])
        self.assertEqual(
            [transfer.response.header("connection") for transfer in transfers], ["close", "close"]
        )
        self.assertEqual(len({transfer.echo()["connection"] for transfer in transfers}), 1)


globals().update(on_each_reactor(Curl))
