"""Rules 20, 21, 24: the client is cut off at every byte of what it says, and at every byte of what it is told."""

from __future__ import annotations

from tests.faults.cut_case import (
    ENDS,
    GOOD,
    INTERIM,
    KEEPALIVES,
    REQUESTS,
    RESPONSES,
    SWITCHING,
    CutCase,
    Said,
    failed,
)
from vegurtx.errors import entry

LEFT = ("upstream", "closed")


class ClientIsCut(CutCase):
    """In memory, at every offset, each with FIN (close, half-close) and RST."""

    def test_h_code(self) -> None:
        """The reason of all these is Heroku's H27."""
        self.assertEqual((entry(LEFT).code, entry(LEFT).blame), ("H27", "upstream"))

    def test_in_its_request(self) -> None:
        """Rule 21: at every byte of a request, in each framing: no part of it ever counts as a request."""
        for name, request in REQUESTS.items():
            for keepalive in KEEPALIVES:
                self.start(keepalive)
                for end in ENDS:
                    for offset in range(len(request.whole)):
                        with self.row(name, keepalive, end, offset):
                            self.cut_in_request(request, offset, end)

    def cut_in_request(self, request: Said, offset: int, end: str) -> None:
        """The client says `offset` bytes, and leaves."""
        client = self.proxy.client()
        client.send(request.whole[:offset])
        getattr(client, end)()
        server = self.reached()
        if offset < len(request.head):
            self.assertIsNone(server)
            self.assertEqual(self.proxy.calls, [])
        else:
            assert server is not None
            self.assertEqual(server.closed(), "reset")
            head, _, body = server.received.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"P"))
            self.assertNotIn(b"0\r\n\r\n", body)
            self.assertLess(len(body), 11 if b"chunked" not in head else 1000)
            self.assertEqual(self.ended(), [failed(LEFT)])
            self.assertEqual(self.proxy.of("error_page"), [])
        self.assertEqual(client.received, b"")
        self.finish()

    def test_head_and_body_apart(self) -> None:
        """Rule 21: the same where each byte is a segment of its own."""
        for name, request in REQUESTS.items():
            self.start("default")
            for end in ENDS:
                for offset in range(len(request.head), len(request.whole)):
                    with self.row(name, end, offset):
                        client = self.proxy.client()
                        for at in range(offset):
                            client.send(request.whole[at : at + 1])
                        getattr(client, end)()
                        server = self.backend.accept()
                        self.assertEqual(server.closed(), "reset")
                        self.assertNotIn(b"0\r\n\r\n", server.received.partition(b"\r\n\r\n")[2])
                        self.assertEqual(self.ended(), [failed(LEFT)])
                        self.finish()

    def test_in_the_response(self) -> None:
        """Rule 21: it resets at every byte of a response, interim heads too: the back-end's request is cancelled."""
        for name, response in RESPONSES.items():
            for keepalive in KEEPALIVES:
                self.start(keepalive)
                said = INTERIM + response.whole
                for offset in range(len(said)):
                    with self.row(name, keepalive, offset):
                        client = self.proxy.client()
                        client.send(REQUESTS["no body"].whole)
                        server = self.backend.accept()
                        server.send(said[:offset])
                        client.abort()
                        self.assertEqual(server.closed(), "reset")
                        self.assertEqual(self.ended(), [failed(LEFT)])
                        self.assertEqual(self.proxy.of("error_page"), [])
                        self.finish()

    def test_half_close_before_the_response(self) -> None:
        """Rule 19: a client that ended its direction behind its request still gets all of the response."""
        for name, response in RESPONSES.items():
            self.start("default")
            for offset in range(len(response.whole)):
                with self.row(name, offset):
                    client = self.proxy.client()
                    client.send(REQUESTS["no body"].whole)
                    server = self.backend.accept()
                    server.send(response.whole[:offset])
                    client.half_close()
                    server.send(response.whole[offset:])
                    if name == "until close":
                        server.half_close()
                    answer = client.receive_response()
                    self.assertEqual(answer.body, b"" if name == "no body" else b"hello world")
                    client.eof()
                    self.assertEqual(self.ended(), [GOOD])
                    pooled = 0 if name == "until close" else 1
                    client.close()
                    self.finish(pooled)

    def test_in_the_tunnel(self) -> None:
        """Rule 9: behind a 101 a FIN goes over as a FIN, and a reset ends both."""
        for end in ENDS:
            for offset in range(len(SWITCHING) + 1):
                with self.row(end, offset):
                    self.start(None)
                    client = self.proxy.client()
                    client.send(REQUESTS["a WebSocket handshake"].whole)
                    server = self.backend.accept()
                    server.send(SWITCHING[:offset])
                    getattr(client, end)()
                    whole = offset == len(SWITCHING)
                    if end == "abort":
                        self.assertEqual(server.closed(), "reset")
                        self.assertEqual(self.ended(), [failed(LEFT)])
                    else:
                        if not whole:
                            self.assertEqual((self.ended(), server.arrival.value), ([], "open"))
                            server.send(SWITCHING[offset:])
                        if end == "half_close" or whole:
                            server.eof()
                            server.close()
                        else:  # what we wrote has found nobody
                            server.closed()
                    self.assertEqual(len(self.ended()), 1)
                    self.finish()
