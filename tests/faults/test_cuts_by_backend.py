"""Rules 16, 20 to 24: the back-end is cut off at every byte of what it says, and at every byte of what it is told."""

from __future__ import annotations

from tests.faults.cut_case import (
    ENDS,
    GET,
    GOOD,
    INTERIM,
    KEEPALIVES,
    OK,
    REQUESTS,
    RESPONSES,
    SWITCHING,
    CutCase,
    Said,
    failed,
)
from vegurtx.errors import entry


class BackendIsCut(CutCase):
    """In memory, at every offset, each with FIN (close, half-close) and RST."""

    def test_h_codes(self) -> None:
        """A FIN is Heroku's H13, a reset H18; both are the back-end's fault."""
        for what, code in (("closed", "H13"), ("econnreset", "H18")):
            found = entry(("downstream", what))
            self.assertEqual((found.code, found.status, found.blame), (code, 503, "downstream"))

    def test_in_its_response(self) -> None:
        """Rules 16, 20, 21: a page while no byte of the response is out, else the client's connection breaks off."""
        for name, response in RESPONSES.items():
            for before in (b"", INTERIM):
                for keepalive in KEEPALIVES:
                    self.start(keepalive)
                    for end in ENDS:
                        for offset in range(len(before + response.whole)):
                            with self.row(name, before, keepalive, end, offset):
                                self.cut_in_response(Said(before + response.head, response.body), offset, end)

    def cut_in_response(self, response: Said, offset: int, end: str, segments: bool = False) -> None:
        """The back-end says `offset` bytes, all at once or each by itself, and ends its connection."""
        client = self.proxy.client()
        client.send(GET)
        server = self.backend.accept()
        server.receive_request()
        if segments:
            for at in range(offset):
                server.send(response.whole[at : at + 1])
        else:
            server.send(response.whole[:offset])
        getattr(server, end)()
        reason = ("downstream", ENDS[end])
        until_close = response.body == b"hello world" and b"Content-Length" not in response.head
        if offset < len(response.head):
            self.assert_page(client, reason)
            self.assertEqual(self.ended(), [failed(reason)])
        elif until_close and end != "abort":
            self.assertEqual(self.ended(), [GOOD])
            self.assertEqual(client.receive_response().body, response.body[: offset - len(response.head)])
            client.eof()
        else:
            self.assertEqual(self.ended(), [failed(reason)])
            self.assertEqual(self.proxy.of("error_page"), [])
            self.assertEqual(client.arrival.value, "reset")
            body = client.received.rpartition(b"\r\n\r\n")[2] if response.body else b""
            self.assertNotIn(b"0\r\n\r\n", client.received)
            self.assertFalse(body.endswith(b"world") and b"chunked" not in response.head and not until_close)
        if server.arrival.value == "open":
            server.close()
        self.finish()

    def test_each_byte_a_segment(self) -> None:
        """Rule 21: the same where each byte comes by itself."""
        for name, response in RESPONSES.items():
            self.start("default")
            for end in ENDS:
                for offset in range(len(response.whole)):
                    with self.row(name, end, offset):
                        self.cut_in_response(response, offset, end, segments=True)

    def test_behind_its_response(self) -> None:
        """Rules 20, 23: an end right behind a whole response takes nothing from it, and pools nothing."""
        for name, response in RESPONSES.items():
            for keepalive in KEEPALIVES:
                self.start(keepalive)
                for end in ENDS:
                    with self.row(name, keepalive, end):
                        client = self.proxy.client()
                        client.send(GET)
                        server = self.backend.accept()
                        server.receive_request()
                        server.send(response.whole)
                        getattr(server, end)()
                        if name == "until close" and end == "abort":
                            self.assertEqual(self.ended(), [failed(("downstream", "econnreset"))])
                            self.assertEqual(client.arrival.value, "reset")
                        else:
                            self.assertEqual(self.ended(), [GOOD])
                            self.assertEqual(client.receive_response().body, response.body and b"hello world")
                        server.close()
                        self.finish()

    def test_at_its_request(self) -> None:
        """Rules 20, 21: it ends while the request comes in: the client has the page, and is not read for ever."""
        for name, request in REQUESTS.items():
            for keepalive in KEEPALIVES:
                self.start(keepalive)
                for end in ENDS:
                    for offset in range(len(request.head), len(request.whole) + 1):
                        with self.row(name, keepalive, end, offset):
                            self.cut_at_request(request, offset, end)

    def cut_at_request(self, request: Said, offset: int, end: str) -> None:
        """The client has said `offset` bytes when the back-end leaves."""
        client = self.proxy.client()
        client.send(request.whole[:offset])
        server = self.backend.accept()
        getattr(server, end)()
        reason = ("downstream", ENDS[end])
        self.assert_page(client, reason)
        self.assertEqual(self.ended(), [failed(reason)])
        if offset < len(request.whole):
            client.eof()
            client.send(request.whole[offset:])  # read, and dropped
            self.assertEqual(client.arrival.value, "clean")
        if end == "half_close":
            self.assertEqual(server.closed(), "reset")
        self.finish()

    def test_at_its_request_reused(self) -> None:
        """Rule 23: on a pooled connection that can be repeated costs a silent retry: nobody sees the cut."""
        for name, request in REQUESTS.items():
            self.start("default")
            for end in ENDS:
                for offset in range(len(request.head), len(request.whole) + 1):
                    with self.row(name, end, offset):
                        self.cut_reused(request, offset, end)

    def cut_reused(self, request: Said, offset: int, end: str) -> None:
        """As `cut_at_request`, on a connection that has served a request before."""
        first = self.proxy.client()
        first.send(GET)
        server = self.backend.accept()
        server.receive_request()
        server.send(OK)
        self.assertEqual(first.receive_response().body, b"hi")
        first.close()
        self.proxy.calls.clear()
        client = self.proxy.client()
        client.send(request.whole[:offset])
        self.assertIsNone(self.reached())
        getattr(server, end)()
        reason = ("downstream", ENDS[end])
        if request.head.startswith(b"POST"):
            self.assert_page(client, reason)
            self.assertEqual(self.ended(), [failed(reason)])
            self.finish()
            return
        again = self.backend.accept()
        client.send(request.whole[offset:])
        again.receive_request()
        self.assertEqual(len(self.proxy.of("checkout_service")), 1)
        again.send(OK)
        self.assertEqual(client.receive_response().body, b"hi")
        self.assertEqual(self.ended(), [GOOD])
        client.close()
        again.close()
        self.finish()

    def test_in_the_handshake(self) -> None:
        """Rules 9, 21: in the head of a 101 it is a page; behind it a FIN goes over, and a reset ends both."""
        for keepalive in KEEPALIVES:
            for end in ENDS:
                for offset in range(len(SWITCHING) + 1):
                    with self.row(keepalive, end, offset):
                        self.start(keepalive)
                        client = self.proxy.client()
                        client.send(REQUESTS["a WebSocket handshake"].whole)
                        server = self.backend.accept()
                        server.receive_request()
                        server.send(SWITCHING[:offset])
                        getattr(server, end)()
                        reason = ("downstream", ENDS[end])
                        if offset < len(SWITCHING):
                            self.assert_page(client, reason)
                            self.assertEqual(self.ended(), [failed(reason)])
                        elif end == "abort":
                            self.assertEqual(client.receive_response().status, 101)
                            self.assertEqual(client.arrival.value, "reset")
                            self.assertEqual(self.ended(), [failed(reason)])
                        else:
                            self.assertEqual(client.receive_response().status, 101)
                            client.eof()
                            self.assertEqual(self.ended(), [])
                            client.close()
                            self.assertEqual(self.ended(), [GOOD])
                        server.close()
                        self.finish()
