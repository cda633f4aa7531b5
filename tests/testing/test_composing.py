"""Messages that tests need not write out."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from vegurtx.testing import parse_request_head, parse_response_head, request_bytes, response_bytes


class Composing(SynchronousTestCase):
    """Correct, and nothing but what was asked for."""

    def test_requests(self) -> None:
        """The URL's authority is the Host, the rest the target as it is; only a body has a length."""
        for arguments, expected in [
            (("GET", "http://x"), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
            (("GET", "http://x:81/a%20b?c=d&e"), b"GET /a%20b?c=d&e HTTP/1.1\r\nHost: x:81\r\n\r\n"),
            (("GET", "http://x/", [("A", "b")]), b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"),
            (("POST", "http://x/"), b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
            (("GET", "http://x/", (), b"a"), b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"),
        ]:
            self.assertEqual(request_bytes(*arguments), expected)  # type: ignore[arg-type]
            parse_request_head(expected.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        self.assertRaisesRegex(ValueError, "with its host", request_bytes, "GET", "/path")

    def test_responses(self) -> None:
        """A length, but where there can be none."""
        for arguments, expected in [
            ((), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ((404, b"no", [("A", "b")]), b"HTTP/1.1 404 Not Found\r\nA: b\r\nContent-Length: 2\r\n\r\nno"),
            ((204,), b"HTTP/1.1 204 No Content\r\n\r\n"),
            ((304, b"no"), b"HTTP/1.1 304 Not Modified\r\n\r\n"),
            ((599,), b"HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n"),
        ]:
            self.assertEqual(response_bytes(*arguments), expected)  # type: ignore[arg-type]
            parse_response_head(expected.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
