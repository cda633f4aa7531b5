"""The codec beside h11 and llhttp: what both refuse we refuse, what we accept they read the same way.

Three claims, for generated messages (see ``generated``):

- what both oracles refuse, we refuse;
- what we accept as a whole message, no oracle that accepts it reads otherwise, or thinks unfinished;
- what we think unfinished, no oracle thinks whole.

The exceptions, each on purpose:

- `Connection: upgrade` and CONNECT are not generated: llhttp leaves HTTP there, while here the proxy decides.
- llhttp never finishes a response that ends by close, because it is not told of the close.
- The empty line before a request, which h11 does not skip, is not shown to it.
- Where a response has no body by its status, we do not look at its length (rule 15); both oracles do.
- A request without exactly one `Host` is good syntax; the next stage refuses it (rule 2), as do these tests.
- Each oracle alone refuses some of what we accept (llhttp: unknown methods, repeated equal lengths), and both
  accept some of what we refuse (fragments in targets); no claim is made about these.

``VEGURTX_TEST_EXAMPLES`` sets the number of examples, and makes them new ones each time.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from twisted.trial.unittest import TestCase

from tests.wire.generated import chunked_bytes, cut, damaged, places, request_bytes, response_bytes
from tests.wire.oracles import Message, Rejected, h11_request, h11_response, llhttp_request, llhttp_response
from tests.wire.vectors import BAD_REQUESTS, BAD_RESPONSES, GOOD_REQUESTS, GOOD_RESPONSES
from vegurtx.wire.chunked import ChunkedDecoder
from vegurtx.wire.errors import BadChunk, WireError
from vegurtx.wire.fields import fields
from vegurtx.wire.framing import CHUNKED, UNTIL_CLOSE, request_framing, response_framing
from vegurtx.wire.partial import RequestHeadBuffer, ResponseHeadBuffer
from vegurtx.wire.request import RequestParser
from vegurtx.wire.response import ResponseParser

EXAMPLES = os.environ.get("VEGURTX_TEST_EXAMPLES")
examples = settings(
    max_examples=int(EXAMPLES or 400),
    derandomize=EXAMPLES is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def our_body(framing: int, raw: bytes) -> bytes | None:
    """Read the body off `raw` as the framing says; ``None`` if it is not all there."""
    if framing == UNTIL_CLOSE:
        return raw
    if framing != CHUNKED:
        return raw[:framing] if len(raw) >= framing else None
    decoder = ChunkedDecoder()
    body = b"".join(decoder.feed(raw))
    return body if decoder.done else None


def our_request(raw: bytes) -> Message | None:
    """Read a request as the proxy does."""
    head = RequestParser().parse(raw)
    if head is None:
        return None
    # Rule 2, which the router's side of the proxy sees to; both oracles' answers are only comparable with it.
    hosts = [name for name, _ in fields(head.block) if name.lower() == b"host"]
    if len(hosts) > 1 or (not hosts and head.minor == 1):
        raise Rejected("not exactly one Host")
    body = our_body(request_framing(head), raw[head.end :])
    first = (head.method, head.target, b"1.%d" % head.minor)
    return None if body is None else Message(first, fields(head.block), body)


def our_response(raw: bytes) -> Message | None:
    """Read a response as the proxy does."""
    head = ResponseParser().parse(raw)
    if head is None:
        return None
    framing, status = response_framing(head, b"GET"), head.status
    if framing == 0:
        # Rule 15 takes a response without a body whatever its fields say; the oracles want good ones.
        head.status = 200
        response_framing(head, b"GET")
    body = our_body(framing, raw[head.end :])
    first = (b"%d" % status, b"1.%d" % head.minor)
    return None if body is None else Message(first, fields(head.block), body)


def normal(message: Message) -> Message:
    """Undo what h11 does to a head: it merges equal lengths, and lower-cases names and codings."""
    kept: list[tuple[bytes, bytes]] = []
    for name, value in message.fields:
        pair = (name.lower(), value.lower() if name.lower() == b"transfer-encoding" else value)
        if pair[0] == b"content-length":
            members = {member.strip(b" \t") for member in value.split(b",")}
            pair = (pair[0], members.pop() if len(members) == 1 else value)
            if pair in kept:
                continue
        kept.append(pair)
    return message._replace(fields=kept)


Read = Callable[[bytes], Message | None]


def outcome(read: Read, raw: bytes) -> Message | str | None:
    """Return what `read` makes of `raw`: a message, ``None`` or "refused"."""
    try:
        message = read(raw)
    except (Rejected, WireError):
        return "refused"
    return None if message is None else normal(message)


class OracleTests(TestCase):
    """Our reading beside theirs."""

    def compare(self, raw: bytes, ours: Read, oracles: dict[str, Read]) -> None:
        """Check the three claims for `raw`."""
        mine = outcome(ours, raw)
        theirs = {name: outcome(oracle, raw) for name, oracle in oracles.items()}
        if mine == "refused":
            return
        if isinstance(mine, Message) and all(their == "refused" for their in theirs.values()):
            self.fail(f"both refuse {raw!r}, we read {mine!r}")
        for name, their in theirs.items():
            if their != "refused" and their != mine:
                self.fail(f"{raw!r}: {name} reads {their!r}, we read {mine!r}")

    @examples
    @given(damaged(request_bytes()))
    def test_requests(self, raw: bytes) -> None:
        """Requests are read as both oracles read them, or refused."""
        if b"upgrade" not in raw.lower():
            self.compare(raw, our_request, {"h11": h11_request, "llhttp": llhttp_request})

    @examples
    @given(damaged(response_bytes()))
    def test_responses(self, raw: bytes) -> None:
        """Responses are read as both oracles read them, or refused."""
        oracles: dict[str, Read] = {"h11": h11_response}
        try:
            head = ResponseParser().parse(raw)
            ends_by_close = head is not None and response_framing(head, b"GET") == UNTIL_CLOSE
        except WireError:
            ends_by_close = False
        if not ends_by_close:
            oracles["llhttp"] = llhttp_response
        self.compare(raw, our_response, oracles)

    @examples
    @given(damaged(chunked_bytes()))
    def test_chunked(self, raw: bytes) -> None:
        """Chunked bodies are read as both oracles read them, or refused."""
        head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.compare(head + raw, our_request, {"h11": h11_request, "llhttp": llhttp_request})

    def test_vectors(self) -> None:
        """The tables too keep the claims."""
        requests = [vector.raw for vector in GOOD_REQUESTS] + [vector.raw for vector in BAD_REQUESTS]
        responses = [vector.raw for vector in GOOD_RESPONSES] + [vector.raw for vector in BAD_RESPONSES]
        for raw in requests:
            # Without Host h11 would refuse for that; CONNECT is not generated either, see above.
            if b"Host" in raw and not raw.startswith(b"CONNECT"):
                self.compare(raw + b"z" * 40, our_request, {"h11": h11_request, "llhttp": llhttp_request})
        for raw in responses:
            self.compare(raw + b"z" * 40, our_response, {"h11": h11_response})


class SegmentationTests(TestCase):
    """The same bytes in other segments are the same message."""

    def gather(self, buffer: RequestHeadBuffer | ResponseHeadBuffer, segments: list[bytes]) -> object:
        """Feed segments until there is a head; return its end, or the refusal, or ``None``."""
        parser = RequestParser() if isinstance(buffer, RequestHeadBuffer) else ResponseParser()
        try:
            for segment in segments:
                gathered = buffer.feed(segment)
                if gathered is not None:
                    head = parser.parse(gathered)
                    assert head is not None, "the buffer takes for a head what the parser does not"
                    return head.end, head.block
        except WireError as error:
            return error.what
        return None

    @examples
    @given(damaged(request_bytes()), places)
    def test_requests(self, raw: bytes, where: list[int]) -> None:
        """A request head, or its refusal, does not depend on segments; parser and buffer agree."""
        whole = self.gather(RequestHeadBuffer(), [raw])
        self.assertEqual(self.gather(RequestHeadBuffer(), cut(raw, where)), whole)
        try:
            head = RequestParser().parse(raw)
        except WireError as error:
            self.assertEqual(error.what, whole)
        else:
            self.assertEqual(None if head is None else (head.end, head.block), whole)

    @examples
    @given(damaged(response_bytes()), places)
    def test_responses(self, raw: bytes, where: list[int]) -> None:
        """A response head, or its refusal, does not depend on segments; parser and buffer agree."""
        whole = self.gather(ResponseHeadBuffer(), [raw])
        self.assertEqual(self.gather(ResponseHeadBuffer(), cut(raw, where)), whole)
        try:
            head = ResponseParser().parse(raw)
        except WireError as error:
            self.assertEqual(error.what, whole)
        else:
            self.assertEqual(None if head is None else (head.end, head.block), whole)

    @examples
    @given(damaged(chunked_bytes()), places)
    def test_chunked(self, raw: bytes, where: list[int]) -> None:
        """A chunked body, its trailers, surplus or refusal do not depend on segments."""
        self.assertEqual(self.decode(cut(raw, where)), self.decode([raw]))

    def decode(self, segments: list[bytes]) -> object:
        """Feed segments; return all that can be seen."""
        decoder, body = ChunkedDecoder(), b""
        for segment in segments:
            try:
                body += b"".join(decoder.feed(segment))
            except BadChunk as error:
                return body + b"".join(error.pieces), error.what
        return body, decoder.done, decoder.trailers, decoder.surplus
