"""nginx behind the proxy: files, ranges, validators, its error pages, and requests that it passes on."""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar

from tests.peers.curl import curl
from tests.peers.nginx import Nginx
from tests.peers.peer_case import KINDS, PeerCase, on_each_reactor, proxy_before, tool
from vegurtx.testing import BlockingClient, Response, ThreadedBackend
from vegurtx.testing.pattern import PERIOD, pattern

SIZE = 3_000_000
CONTENT = (pattern(0, PERIOD).tobytes() * 3)[:SIZE]
SMALL = b"a small file\n"


class NginxBackend(PeerCase):
    """The client is blocking; nginx stands where the back-end of the other tests does, and before it."""

    tools = ("nginx",)
    nginx: ClassVar[Nginx]

    @classmethod
    def setUpClass(cls) -> None:
        """A back-end, nginx before it, the proxy before nginx."""
        tool("nginx")
        cls.backend = ThreadedBackend()
        cls.addClassCleanup(cls.backend.stop)
        cls.nginx = Nginx(behind=cls.backend.port)
        cls.addClassCleanup(cls.nginx.stop)
        (cls.nginx.files / "small.txt").write_bytes(SMALL)
        (cls.nginx.files / "large.bin").write_bytes(CONTENT)
        cls.proxy = proxy_before([cls.nginx], reactor_name=cls.reactor_name)
        cls.addClassCleanup(cls.proxy.stop)

    def connect(self) -> BlockingClient:
        """A client of the proxy."""
        client = BlockingClient(self.proxy.port, timeout=20)
        self.addCleanup(client.close)
        return client

    def ask(
        self,
        client: BlockingClient,
        kind: str,
        target: str,
        *headers: tuple[str, str],
        method: str = "GET",
        body: bytes | None = None,
    ) -> Response:
        """One request on `client`."""
        return client.request(method, target, [("Host", f"{kind}.test"), *headers], body)

    def test_static_files(self) -> None:
        """Files whole, HEAD without a body, a 404 page: all on one client connection."""
        for kind in KINDS:
            client = self.connect()
            for _ in range(3):
                small = self.ask(client, kind, "/small.txt")
                self.assertEqual(
                    (small.status, small.body, small.header("content-length")), (200, SMALL, "13")
                )
                self.assertEqual(self.ask(client, kind, "/large.bin").body, CONTENT)
                head = self.ask(client, kind, "/large.bin", method="HEAD")
                self.assertEqual(
                    (head.status, head.header("content-length"), head.body), (200, str(SIZE), b"")
                )
                missing = self.ask(client, kind, "/missing")
                self.assertEqual((missing.status, b"404 Not Found" in missing.body), (404, True))
                self.assertIn("nginx", small.header("server") or "")

    def test_connections(self) -> None:
        """nginx sees one connection for the pooled requests, and one each for the others."""
        for kind, expected, connection in (("single", 10, "close"), ("pooled", 1, "keep-alive")):
            client = self.connect()
            answers = [self.ask(client, kind, "/small.txt") for _ in range(10)]
            self.assertEqual(len({answer.header("x-connection") for answer in answers}), expected)
            self.assertEqual(answers[0].header("x-seen"), f"GET /small.txt HTTP/1.1 {connection}")
            self.assertEqual({answer.header("connection") for answer in answers}, {"keep-alive"})

    def test_ranges(self) -> None:
        """Parts of a file, one and several, and a range that is not there."""
        for kind in KINDS:
            client = self.connect()
            part = self.ask(client, kind, "/large.bin", ("Range", "bytes=1000-1999"))
            self.assertEqual((part.status, part.body), (206, CONTENT[1000:2000]))
            self.assertEqual(part.header("content-range"), f"bytes 1000-1999/{SIZE}")
            self.assertEqual(self.ask(client, kind, "/large.bin", ("Range", "bytes=-7")).body, CONTENT[-7:])
            several = self.ask(client, kind, "/large.bin", ("Range", "bytes=0-9,20-29"))
            self.assertEqual(several.status, 206)
            self.assertIn("multipart/byteranges", several.header("content-type") or "")
            self.assertTrue(CONTENT[:10] in several.body and CONTENT[20:30] in several.body)
            beyond = self.ask(client, kind, "/large.bin", ("Range", f"bytes={SIZE}-"))
            self.assertEqual((beyond.status, beyond.header("content-range")), (416, f"bytes */{SIZE}"))

    def test_validators(self) -> None:
        """What has not changed is a 304 without a body, and the connection goes on."""
        for kind in KINDS:
            client = self.connect()
            first = self.ask(client, kind, "/small.txt")
            for name, value in (
                ("If-None-Match", first.header("etag")),
                ("If-Modified-Since", first.header("last-modified")),
            ):
                again = self.ask(client, kind, "/small.txt", (name, value or ""))
                self.assertEqual(
                    (again.status, again.body, again.header("etag")), (304, b"", first.header("etag"))
                )
            self.assertEqual(self.ask(client, kind, "/small.txt").body, SMALL)

    def test_discarded_upload(self) -> None:
        """A 204 to a small upload that nginx does not want; the client's connection goes on."""
        for kind in KINDS:
            client = self.connect()
            for _ in range(5):
                answer = self.ask(client, kind, "/discard", method="POST", body=b"x" * 1000)
                self.assertEqual((answer.status, answer.body), (204, b""))

    def test_large_discarded_upload(self) -> None:
        """nginx answers 204 before it has the body (rule 20): curl gets that, and a true ``Connection``."""
        tool("curl")
        for kind in KINDS:
            for framing in ("Content-Type: a/b", "Transfer-Encoding: chunked"):
                options = ("-H", framing, "--data-binary", "@-")
                for size in (100_000, 1_000_000, 10_000_000):
                    answers = curl(
                        self.proxy.port, f"{kind}.test", ["/discard"] * 2, *options, given=b"x" * size
                    )
                    self.assertEqual([answer.facts["http_code"] for answer in answers], [204, 204])
                    kept = answers[0].response.header("connection") == "keep-alive"
                    self.assertEqual(answers[1].facts["num_connects"], 0 if kept else 1)

    def test_uploads(self) -> None:
        """Uploads with a length and chunked reach whoever is behind nginx, byte for byte."""
        for kind in KINDS:
            client = self.connect()
            for chunked in (False, True, False):
                answer = client.upload("/behind/sink", SIZE, chunked=chunked, host=f"{kind}.test")
                self.assertEqual(json.loads(answer.body)["sha256"], hashlib.sha256(CONTENT).hexdigest())

    def test_passed_on(self) -> None:
        """Methods, bodies and chunked answers through proxy and nginx."""
        for kind in KINDS:
            client = self.connect()
            for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "BREW"):
                answer = self.ask(client, kind, "/behind/a?b=%2F", method=method, body=b"body")
                echo = json.loads(answer.body)
                self.assertEqual((echo["method"], echo["target"], echo["body"]), (method, "/a?b=%2F", "body"))
            chunked = self.ask(client, kind, "/behind/chunked/200000")
            self.assertEqual(chunked.body, pattern(0, 200000).tobytes())
            self.assertEqual(chunked.header("transfer-encoding"), "chunked")

    def test_refused_requests(self) -> None:
        """A request too large for nginx's buffers: its refusal reaches the client."""
        for kind in KINDS:
            client = self.connect()
            long_fields = [(f"X-Long-{number}", "x" * 8000) for number in range(6)]
            answer = self.ask(client, kind, "/small.txt", *long_fields)
            self.assertEqual(answer.status, 400)
            self.assertEqual(self.ask(self.connect(), kind, "/small.txt").body, SMALL)


globals().update(on_each_reactor(NginxBackend))
