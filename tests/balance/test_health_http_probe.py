"""The HTTP probe, against scripted back-ends on real sockets."""

from __future__ import annotations

import ssl as python_ssl
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet import ssl

from tests.balance.health_fakes import check
from vegurtx.balance.health.http_probe import http_probe
from vegurtx.balance.health.state import Outcome
from vegurtx.balance.health.tls import TlsFilesError
from vegurtx.balance.replica import Replica
from vegurtx.message import Backend, BackendTLS
from vegurtx.testing import ProxyTestCase, self_signed, server_context

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


class HttpProbeCase(ProxyTestCase):
    """A probe and the connection on which it asks."""

    def replica_of(self, server: Any, **options: Any) -> Replica:
        """The replica that a scripted back-end is."""
        return Replica(f"http://{server.host}:{server.port}", server.as_backend(**options))

    async def ask(self, answer: bytes, *, close: bool = False, **keys: Any) -> Outcome:
        """The outcome of a probe that gets `answer`; `keys` are those of ``health_check``."""
        server = await self.backend()
        attempt = http_probe(self.reactor, self.replica_of(server), check(type="http", **keys))
        connection = await server.accept()
        await connection.receive_head()
        connection.send(answer)
        if close:
            connection.close()
        outcome = await attempt.over
        await connection.closed()
        return outcome


class Request(HttpProbeCase):
    """What a replica is asked."""

    async def asked(self, server: Any, replica: Replica, **keys: Any) -> bytes:
        """The head that `replica` gets."""
        attempt = http_probe(self.reactor, replica, check(type="http", **keys))
        connection = await server.accept()
        head: bytes = await connection.receive_head()
        connection.send(OK)
        self.assertEqual(await attempt.over, (True, "status 200"))
        return head

    async def test_defaults(self) -> None:
        """GET /, by the replica's own name, on a connection of its own; nothing compressed is asked for."""
        server = await self.backend()
        head = await self.asked(server, self.replica_of(server))
        self.assertTrue(head.startswith(b"GET / HTTP/1.1\r\n"), head)
        self.assertIn(b"Host: 127.0.0.1:%d\r\n" % server.port, head)
        self.assertIn(b"Connection: close\r\n", head)
        self.assertIn(b"User-Agent: vegurtx-health-check\r\n", head)
        self.assertNotIn(b"Accept-Encoding", head)

    async def test_as_configured(self) -> None:
        """``method``, ``path`` with its query, and ``host``."""
        server = await self.backend()
        head = await self.asked(
            server, self.replica_of(server), method="POST", path="/health?deep=1&x=%20", host="example.org"
        )
        self.assertTrue(head.startswith(b"POST /health?deep=1&x=%20 HTTP/1.1\r\n"), head)
        self.assertIn(b"Host: example.org\r\n", head)
        self.assertEqual(head.lower().count(b"host:"), 1)

    async def test_port(self) -> None:
        """``port`` is asked in the place of the replica's own, and named in Host."""
        server, other = await self.backend(), await self.refusing_backend()
        head = await self.asked(server, self.replica_of(other), port=server.port)
        self.assertIn(b"Host: 127.0.0.1:%d\r\n" % server.port, head)

    async def test_host_of_the_url(self) -> None:
        """A name whose address is known is asked at the address, by its name; port 80 needs no mention."""
        server = await self.backend()
        replica = self.replica_of(server)
        replica.host = "app.example"
        head = await self.asked(server, replica)
        self.assertIn(b"Host: app.example:%d\r\n" % server.port, head)

    async def test_unix(self) -> None:
        """A UNIX socket; its Host is localhost (RFC 9110 wants one)."""
        path = str(self.folder() / "s")
        server = await self.backend(path=path)
        head = await self.asked(server, Replica(f"unix:{path}", Backend.unix(path)))
        self.assertIn(b"Host: localhost\r\n", head)

    async def test_name(self) -> None:
        """A replica whose host is a name that nobody has resolved yet."""
        server = await self.backend()
        await self.asked(server, Replica("http://localhost", Backend("localhost", server.port)))


class Judgement(HttpProbeCase):
    """Which answers are good."""

    async def test_statuses(self) -> None:
        """200 to 399 by default; a redirect is an answer, and is not followed."""
        for status, ok in ((200, True), (204, True), (399, True), (400, False), (503, False)):
            answer = b"HTTP/1.1 %d X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n" % status
            text = f"status {status}" + ("" if ok else ", not 200-399")
            self.assertEqual(await self.ask(answer), (ok, text))

    async def test_expected_statuses(self) -> None:
        """``expect: {status: …}`` replaces them."""
        expect = {"status": ["200-204", 404]}
        for status, ok in ((200, True), (205, False), (302, False), (404, True)):
            outcome = await self.ask(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status, expect=expect)
            self.assertIs(outcome.ok, ok)
        self.assertEqual(outcome.text, "status 404")

    async def test_interim_responses(self) -> None:
        """1xx are no answer; the one behind them is."""
        self.assertEqual(await self.ask(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK), (True, "status 200"))

    async def test_head(self) -> None:
        """HEAD: there is no body, whatever Content-Length says (RFC 9110, section 9.3.2)."""
        self.assertEqual(
            await self.ask(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", method="HEAD"),
            (True, "status 200"),
        )

    async def test_endless_body(self) -> None:
        """Where no text is expected, the head is all that counts: a stream that never ends is well."""
        self.assertEqual(
            await self.ask(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"),
            (True, "status 200"),
        )

    async def test_text_in_the_body(self) -> None:
        """``expect: {body: …}``: with a length, in chunks that cut the text in two, and until the close."""
        expect = {"body": "all is well"}
        good = (True, "status 200, with the expected text")
        self.assertEqual(
            await self.ask(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n-all is well-", expect=expect), good
        )
        chunks = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nxall i\r\n6\r\ns well\r\n0\r\n\r\n"
        )
        self.assertEqual(await self.ask(chunks, expect=expect), good)
        self.assertEqual(
            await self.ask(b"HTTP/1.1 200 OK\r\n\r\nso all is well", close=True, expect=expect), good
        )

    async def test_text_is_missing(self) -> None:
        """A body without it is bad; what the body said instead is not repeated."""
        outcome = await self.ask(
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall is \n\x1b", expect={"body": "all is well"}
        )
        self.assertEqual(outcome, (False, "status 200, without 'all is well'"))

    async def test_bad_status_with_the_text(self) -> None:
        """Both must hold."""
        answer = b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nhi"
        self.assertFalse((await self.ask(answer, expect={"body": "hi"})).ok)


class Failures(HttpProbeCase):
    """What is no answer, in our own words."""

    async def test_refused(self) -> None:
        """Nobody listens."""
        nobody = await self.refusing_backend()
        attempt = http_probe(self.reactor, self.replica_of(nobody), check(type="http"))
        self.assertEqual(await attempt.over, (False, "connection refused"))

    async def test_no_socket(self) -> None:
        """The UNIX socket is not there."""
        path = str(self.folder() / "s")
        attempt = http_probe(self.reactor, Replica(f"unix:{path}", Backend.unix(path)), check(type="http"))
        self.assertEqual(await attempt.over, (False, "no such file or directory"))

    async def test_no_http(self) -> None:
        """Some other protocol; what it says reaches neither log nor admin page."""
        outcome = await self.ask(b"SSH-2.0-\x1b[31mevil\r\n\r\n")
        self.assertEqual(outcome, (False, "no HTTP response"))

    async def test_odd_statuses(self) -> None:
        """A status line with something else in the place of the number, or with a number that is none."""
        for status in (b"\x1b[31m", b"-5", b"9" * 5000, b"9" * 4000, b"1000", b""):
            outcome = await self.ask(b"HTTP/1.1 %s X\r\nContent-Length: 0\r\n\r\n" % status)
            self.assertFalse(outcome.ok)
            self.assertLess(len(outcome.text), 60)
            self.assertTrue(outcome.text.isprintable(), outcome.text)

    async def test_closed(self) -> None:
        """It closes without a word, or within its head or body."""
        for answer in (b"", b"HTTP/1.1 200 O", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"):
            outcome = await self.ask(answer, close=True)
            self.assertEqual(outcome, (False, "connection closed before the end of the response"))
        outcome = await self.ask(
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", close=True, expect={"body": "hidden"}
        )
        self.assertEqual(outcome, (False, "status 200, without 'hidden'"))

    async def test_reset(self) -> None:
        """It resets the connection."""
        server = await self.backend()
        attempt = http_probe(self.reactor, self.replica_of(server), check(type="http"))
        connection = await server.accept()
        await connection.receive_head()
        connection.abort()
        self.assertEqual(await attempt.over, (False, "connection lost"))


class Bounds(HttpProbeCase):
    """Nothing that a replica sends makes the probe grow."""

    async def flooded(self, head: bytes, more: bytes, **keys: Any) -> tuple[Outcome, int]:
        """The outcome where `more` follows `head` for as long as somebody listens, and the bytes that were sent."""
        server = await self.backend()
        attempt = http_probe(self.reactor, self.replica_of(server), check(type="http", **keys))
        connection = await server.accept()
        await connection.receive_head()
        connection.send(head)
        while not attempt.over.called:
            connection.send(more)
            await self.turns(1)
        return await attempt.over, connection.sent

    async def test_body(self) -> None:
        """The text is looked for in the first 64 KiB."""
        outcome, _ = await self.flooded(
            b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 4096, expect={"body": "never comes"}
        )
        self.assertEqual(outcome, (False, "status 200, without 'never comes' in its first 65536 bytes"))

    async def test_one_line(self) -> None:
        """A header line that never ends."""
        outcome, _ = await self.flooded(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 4096)
        self.assertFalse(outcome.ok)

    async def test_many_lines(self) -> None:
        """Header lines that never end, and interim responses without an end."""
        for more in (b"X: y\r\n" * 100, b"HTTP/1.1 103 X\r\n\r\n" * 100):
            outcome, _ = await self.flooded(
                b"HTTP/1.1 103 X\r\n\r\n" if b"103" in more else b"HTTP/1.1 200 OK\r\n", more
            )
            self.assertEqual(outcome, (False, "the response is longer than 262144 bytes"))

    async def test_tiny_chunks(self) -> None:
        """A body of one-byte chunks costs six times its size on the wire; that is bounded, too."""
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        outcome, _ = await self.flooded(head, b"1\r\nx\r\n" * 100, expect={"body": "yes"})
        self.assertEqual(outcome, (False, "the response is longer than 262144 bytes"))


class Breaking(HttpProbeCase):
    """A probe that is cut off leaves nothing."""

    CUT = Outcome(False, "cut")

    async def test_while_connecting(self) -> None:
        """The connect neither succeeds nor fails."""
        silent = await self.silent_backend()
        attempt = http_probe(self.reactor, self.replica_of(silent), check(type="http"))
        attempt.cut_off(self.CUT)
        self.assertEqual(await attempt.over, self.CUT)
        attempt.cut_off(self.CUT)

    async def test_at_every_point(self) -> None:
        """Before a byte, within the head, behind it, and within the body."""
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"
        for sent in (0, 12, 30, len(whole)):
            server = await self.backend()
            attempt = http_probe(
                self.reactor, self.replica_of(server), check(type="http", expect={"body": "never"})
            )
            connection = await server.accept()
            await connection.receive_head()
            connection.send(whole[:sent])
            await self.turns(5)
            attempt.cut_off(self.CUT)
            self.assertEqual(await attempt.over, self.CUT)
            await connection.closed()

    async def test_a_name(self) -> None:
        """While a name is being resolved."""
        attempt = http_probe(
            self.reactor, Replica("http://localhost", Backend("localhost", 9)), check(type="http")
        )
        attempt.cut_off(self.CUT)
        self.assertEqual(await attempt.over, self.CUT)


class Tls(HttpProbeCase):
    """https replicas are asked with the options of their connections."""

    async def outcome(self, name: str, **options: Any) -> Outcome:
        """Of a probe to a back-end with a certificate for app.example; `options` as for `BackendTLS`."""
        folder = self.folder()
        certificate = self_signed("app.example")
        server = await self.backend(tls=server_context(certificate, folder), handler=_answers(OK))
        if options.pop("trusted", True):
            options["ca"] = str(folder / "certificate.pem")
        tls = BackendTLS(server_name=name, **options)
        attempt = http_probe(self.reactor, self.replica_of(server, tls=tls), check(type="http"))
        outcome = await attempt.over
        server.failures.clear()  # that we do not trust it, it takes amiss
        return outcome

    async def test_trusted(self) -> None:
        """The certificate is right, and so is the answer. The end of the connection is not waited for."""
        self.assertEqual(await self.outcome("app.example"), (True, "status 200"))

    async def test_unknown_authority(self) -> None:
        """The system's authorities are trusted unless others are named."""
        outcome = await self.outcome("app.example", trusted=False)
        self.assertEqual(outcome, (False, "TLS failed: certificate verify failed"))

    async def test_another_name(self) -> None:
        """A certificate for somebody else."""
        outcome = await self.outcome("other.example")
        self.assertEqual(outcome, (False, "TLS failed: the certificate is for another name"))

    async def test_unverified(self) -> None:
        """``verify: false`` trusts anybody."""
        self.assertTrue((await self.outcome("other.example", trusted=False, verify=False)).ok)

    async def test_twisted_options(self) -> None:
        """A back-end with one of Twisted's own client options."""
        certificate = self_signed("app.example")
        server = await self.backend(tls=server_context(certificate, self.folder()), handler=_answers(OK))
        trust = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(certificate.certificate)])
        options = ssl.optionsForClientTLS("app.example", trustRoot=trust)
        attempt = http_probe(self.reactor, self.replica_of(server, tls=options), check(type="http"))
        self.assertEqual(await attempt.over, (True, "status 200"))

    async def test_client_certificate(self) -> None:
        """The proxy's own certificate is shown; a file that has changed is read again."""
        folder, ours = self.folder(), self.folder()
        context = server_context(self_signed("app.example"), folder)
        own = self_signed("proxy.example")
        other = self_signed("stranger.example")
        context.load_verify_locations(cadata=own.certificate.decode())
        context.verify_mode = python_ssl.CERT_REQUIRED
        server = await self.backend(tls=context, handler=_answers(OK))
        certificate, key = other.save(ours)
        tls = BackendTLS(
            server_name="app.example",
            ca=str(folder / "certificate.pem"),
            certificate=str(certificate),
            private_key=str(key),
        )
        for shown, good in ((other, False), (own, True)):
            shown.save(ours)
            attempt = http_probe(self.reactor, self.replica_of(server, tls=tls), check(type="http"))
            self.assertIs((await attempt.over).ok, good)
        server.failures.clear()

    async def test_files(self) -> None:
        """A file that cannot be used is named, before anything is connected."""
        folder = self.folder()
        (folder / "empty.pem").write_text("nothing")
        (folder / "folder").mkdir()
        server = await self.backend()
        for name in ("empty.pem", "missing.pem", "folder"):
            path = str(folder / name)
            for options in ({"ca": path}, {"certificate": path}):
                replica = self.replica_of(server, tls=BackendTLS(**options))
                with self.assertRaisesRegex(TlsFilesError, path):
                    http_probe(self.reactor, replica, check(type="http"))

    async def test_no_tls_there(self) -> None:
        """The replica speaks plain HTTP."""
        server = await self.backend()
        attempt = http_probe(self.reactor, self.replica_of(server, tls=True), check(type="http"))
        connection = await server.accept()
        await connection.receive(1)
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        outcome = await attempt.over
        self.assertFalse(outcome.ok)
        self.assertTrue(outcome.text.startswith("TLS failed: "), outcome.text)


def _answers(answer: bytes) -> Callable[[Any], Awaitable[None]]:
    async def handler(connection: Any) -> None:
        await connection.receive_head()
        connection.send(answer)
        await connection.closed()

    return handler
