"""What fuzzing has found beyond the codec; the inputs themselves are in the corpora (`found-…`)."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from fuzz.oracles import llhttp_responses
from fuzz.stage import Stage
from vegurtx.balance.matching import normal_form


class InterimResponse(TestCase):
    """Found by: llhttp reads a body where there is none."""

    FINAL = b"HTTP/1.1 200 OK\r\nServer: b\r\nContent-Length: 2\r\n\r\nhi"

    def test_framing_is_dropped(self) -> None:
        """Rule 17: what would frame a body does not go on in an interim response (RFC 9110 section 8.6)."""
        for field in (b"Content-Length: 5", b"Transfer-Encoding: chunked"):
            stage = Stage()
            stage.client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            connection = stage.back.accept()
            connection.send(b"HTTP/1.1 104 Upload\r\nA: b\r\n" + field + b"\r\n\r\n" + self.FINAL)
            received = stage.client.received
            self.assertTrue(
                received.startswith(b"HTTP/1.1 104 Upload\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n"), received
            )
            codes = [message.first[0] for message in llhttp_responses(received).messages]
            self.assertEqual(codes, [b"104", b"200"])
            stage.leave()

    def test_switching(self) -> None:
        """Rule 9: nor in a 101."""
        stage = Stage()
        stage.client.send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        stage.back.accept().send(
            b"HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n"
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nbytes"
        )
        head, _, rest = stage.client.received.partition(b"\r\n\r\n")
        self.assertEqual(rest, b"bytes")
        self.assertNotIn(b"content-length", head.lower())
        self.assertNotIn(b"transfer-encoding", head.lower())
        stage.leave()


class NormalForm(TestCase):
    """Found by: another reading leads elsewhere."""

    def test_back_over_an_escaped_slash(self) -> None:
        """To who decodes ``%2F`` first, ``..`` goes back over a part of the segment: /private/public, not /public."""
        for path in (
            "/private%2fx/../public",
            "/private%5cx/../public",
            "/private\\x/../public",
            "/private/;x/../public",
            "/private/%3bx/../public",
        ):
            self.assertIsNone(normal_form(path), path)
        for path, wanted in [
            ("/a%2fb/c/../d", "/a%2Fb/d"),
            ("/a;x/../d", "/d"),
            ("/a/b;x/../d", "/a/d"),
            ("/a%2fb/./d", "/a%2Fb/d"),
        ]:
            self.assertEqual(normal_form(path), wanted)
