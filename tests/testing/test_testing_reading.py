"""The messages as peers read them: no sockets, the generators are fed by hand."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from vegurtx.testing import MalformedMessage, parse_request_head, parse_response_head
from vegurtx.testing.messages import Message
from vegurtx.testing.reading import Reading, read_request, read_response
from vegurtx.testing.stream import Stream


def read(reading: Reading[Message], data: bytes) -> tuple[Message | None, bytes]:
    """Feed `data` and then its end; return the message, `None` where it is not whole, and what is left."""
    stream = Stream()
    stream.add(data)
    try:
        need = next(reading)
        while True:
            if need is None:
                taken = stream.take(len(stream))
            elif isinstance(need, int):
                taken = stream.take(need)
            else:
                taken = stream.take_until(need)
            if taken is None:
                return None, stream.unread()
            need = reading.send(taken)
    except StopIteration as stop:
        return stop.value, stream.unread()


class Responses(TestCase):
    """`read_response`."""

    def respond(self, data: bytes, method: bytes = b"GET") -> Message:
        """Read a whole response."""
        response, left = read(read_response(method), data)
        assert response is not None
        self.assertEqual(left, b"")
        self.assertEqual(response.raw, data)
        return response

    def test_length(self) -> None:
        """A body with a length."""
        response = self.respond(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\r\nx:\t b \r\n\r\nhi")
        self.assertEqual((response.status, response.reason, response.version), (200, "OK", (1, 1)))
        self.assertEqual(response.headers, [("Content-Length", "2"), ("X", "a"), ("x", "b")])
        self.assertEqual((response.body, response.chunks), (b"hi", None))

    def test_chunks_and_trailers(self) -> None:
        """A chunked body keeps its chunks and its trailers."""
        head = b"HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n"
        response = self.respond(head + b"2\r\nhi\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n")
        self.assertEqual((response.body, response.chunks), (b"hi0123456789", [b"hi", b"0123456789"]))
        self.assertEqual(response.trailers, [("T", "1")])

    def test_until_close(self) -> None:
        """Without framing the body goes to the end."""
        self.assertEqual(self.respond(b"HTTP/1.0 200 OK\r\n\r\nall of it").body, b"all of it")

    def test_interim(self) -> None:
        """Interim responses are kept in order before the final one; 101 is final."""
        response = self.respond(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n"
        )
        self.assertEqual([each.status for each in response.interim], [100, 103])
        self.assertEqual(response.interim[1].header("link"), "x")
        self.assertEqual(self.respond(b"HTTP/1.1 101 Go\r\n\r\n").status, 101)

    def test_no_body(self) -> None:
        """HEAD, 204 and 304 have no body whatever their fields say."""
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        self.assertEqual(self.respond(head, b"HEAD").body, b"")
        for status in (b"204", b"304"):
            _, left = read(read_response(), head.replace(b"200", status) + b"stray")
            self.assertEqual(left, b"stray")

    def test_surplus_is_left(self) -> None:
        """What follows a message is not part of it."""
        _, left = read(read_response(), b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n12")
        self.assertEqual(left, b"2")

    def test_malformed(self) -> None:
        """What the proxy may never write is refused."""
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for data in (
            b"HTTP/2.0 200 OK\r\n\r\n",
            b"HTTP/1.1 200\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1  200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\nX: y\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n: y\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1",
            b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n1",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            chunked + b"2;ext=1\r\nhi\r\n0\r\n\r\n",
            chunked + b"2\r\nhi!\r\n0\r\n\r\n",
            chunked + b"2\r\nhi!!0\r\n\r\n",
            chunked + b"0x2\r\nhi\r\n0\r\n\r\n",
            chunked + b"\r\n",
            chunked + b"0\r\nbad trailer\r\n\r\n",
        ):
            with self.assertRaises(MalformedMessage, msg=repr(data)):
                read(read_response(), data)

    def test_broken_off(self) -> None:
        """A message that is not whole does not come out."""
        for data in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n",
        ):
            self.assertIsNone(read(read_response(), data)[0], data)


class Requests(TestCase):
    """`read_request`."""

    def test_request(self) -> None:
        """A request without framing has no body."""
        request, left = read(read_request(), b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\nGET")
        assert request is not None
        self.assertEqual((request.method, request.target, request.body), ("GET", "/a?b", b""))
        self.assertEqual(left, b"GET")

    def test_chunked_request(self) -> None:
        """A chunked request is read to its end."""
        data = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
        request, left = read(read_request(), data)
        assert request is not None
        self.assertEqual((request.body, request.raw, left), (b"a", data, b""))

    def test_malformed(self) -> None:
        """A wrong request line or framing is refused."""
        for head in (
            b"GET  / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.2\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\n\r\n",
            b"G@T / HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n1",
        ):
            with self.assertRaises(MalformedMessage, msg=repr(head)):
                read(read_request(), head)

    def test_head_alone(self) -> None:
        """The parsers of heads want a whole head."""
        for parse in (parse_request_head, parse_response_head):
            with self.assertRaises(MalformedMessage):
                parse(b"GET / HTTP/1.1\r\nHost: x\r\n")


class Fields(TestCase):
    """`Message.header` and `Message.all`."""

    def test_lookup(self) -> None:
        """Names match in any case, and the value has the name's type."""
        message = Message((1, 1), [("A", "1"), ("b", "\xe9"), ("a", "2")])
        self.assertEqual(message.all("a"), ["1", "2"])
        self.assertEqual(message.header(b"B"), b"\xe9")
        self.assertIsNone(message.header("c"))

    def test_repeated(self) -> None:
        """A field that came twice has no single value."""
        with self.assertRaises(AssertionError):
            Message((1, 1), [("A", "1"), ("a", "2")]).header("a")
