"""A stream of messages as the proxy's codec reads it: head, framing, body, and again.

The claims that the targets make about streams stand here, too: `agree` holds our reading against the oracles'.
"""

from __future__ import annotations

from collections.abc import Callable

from fuzz.findings import fail, hold, same
from fuzz.oracles import Message, Stream, normal
from vegurtx.wire.chunked import ChunkedDecoder
from vegurtx.wire.errors import BadChunk, WireError
from vegurtx.wire.fields import fields
from vegurtx.wire.framing import CHUNKED, UNTIL_CLOSE, request_framing, response_framing
from vegurtx.wire.request import RequestHead, RequestParser
from vegurtx.wire.response import ResponseHead, ResponseParser

PARSER = RequestParser()
RESPONSE_PARSER = ResponseParser()


def our_requests(raw: bytes) -> tuple[Stream, list[RequestHead]]:
    """Read requests as the proxy does, up to what it refuses; also the heads, those of unfinished bodies too."""
    messages: list[Message] = []
    heads: list[RequestHead] = []
    while raw not in (b"", b"\r\n"):
        try:
            head = PARSER.parse(raw, heads[-1] if heads else None)
            if head is None:
                return Stream(messages, "unfinished"), heads
            heads.append(head)
            if head.method == b"CONNECT":
                return Stream(messages, "refused", "CONNECT"), heads
            hosts = head.repeated.get(b"host")
            if hosts is not None or (b"host" not in head.known and head.minor == 1):
                return Stream(messages, "refused", "not exactly one Host"), heads
            body, trailers, raw = read_body(request_framing(head), raw[head.end :])
        except WireError as error:
            return Stream(messages, "refused", error.what), heads
        if body is None:
            return Stream(messages, "unfinished"), heads
        first = (head.method, head.target, b"1.%d" % head.minor)
        messages.append(Message(first, fields(head.block), body, trailers))
    return Stream(messages, "nothing"), heads


def our_response(raw: bytes, method: bytes) -> tuple[Stream, list[ResponseHead], bool]:
    """Read one final response to `method` and the interim ones before it, as the proxy does.

    The end of `raw` is the end of the connection; the last result is whether that ends the body.
    """
    messages: list[Message] = []
    heads: list[ResponseHead] = []
    while True:
        try:
            head = RESPONSE_PARSER.parse(raw)
            if head is None:
                return Stream(messages, "unfinished"), heads, False
            heads.append(head)
            first = (b"%d" % head.status, b"1.%d" % head.minor)
            if head.status < 200:
                messages.append(Message(first, fields(head.block), b""))
                raw = raw[head.end :]
                if head.status == 101:
                    return Stream(messages, "other"), heads, False
                continue
            framing = response_framing(head, method)
            body, trailers, _ = read_body(framing, raw[head.end :])
        except WireError as error:
            return Stream(messages, "refused", error.what), heads, False
        if body is None:
            return Stream(messages, "unfinished"), heads, False
        messages.append(Message(first, fields(head.block), body, trailers))
        return Stream(messages, "nothing"), heads, framing == UNTIL_CLOSE


def read_body(framing: int, raw: bytes) -> tuple[bytes | None, bytes, bytes]:
    """The body at the start of `raw`, ``None`` where it is not whole; its trailers; and what follows it.

    :raises BadChunk: it is no body.
    """
    if framing == UNTIL_CLOSE:
        return raw, b"", b""
    if framing != CHUNKED:
        return (raw[:framing], b"", raw[framing:]) if len(raw) >= framing else (None, b"", b"")
    decoder = ChunkedDecoder()
    body = b"".join(decoder.feed(raw))
    return (body, decoder.trailers, decoder.surplus) if decoder.done else (None, b"", b"")


def decode(parts: list[bytes], decoder: ChunkedDecoder) -> tuple[object, ...]:
    """All that can be seen of a chunked body that comes in `parts`."""
    body = b""
    for part in parts:
        try:
            body += b"".join(decoder.feed(part))
        except BadChunk as error:
            return body + b"".join(error.pieces), error.what
    return body, decoder.done, decoder.trailers, decoder.surplus


def agree(ours: Stream, read: Callable[[], Stream], name: str, refuses: bool) -> None:
    """What we read, `name` reads the same way, as far as it reads; and nothing whole where we see nothing whole.

    :param read: asks the oracle; not called where there is nothing to claim.
    :param refuses: whether the oracle may refuse what we accept.
    :raises Finding: it reads otherwise.
    """
    if not ours.messages and ours.rest not in ("unfinished", "nothing"):
        return
    theirs = read()
    for index, message in enumerate(ours.messages):
        if index >= len(theirs.messages):
            if theirs.rest == "other" or (refuses and theirs.rest == "refused"):
                return
            if theirs.rest == "refused" and _framed_by_trailers(message):
                return  # h11 looks at the framing fields among trailers; we drop them (rule 6)
            fail(f"{name} does not read what we read: {theirs.rest}", theirs.why, message)
        their = normal(theirs.messages[index])
        if theirs.rest == "other" and index + 1 == len(theirs.messages):
            # httptools stops at a head that asks for an upgrade, and leaves its body to the next protocol
            their = their._replace(body=message.body)
        same(their, normal(message), f"{name} reads a message otherwise")
    if ours.rest in ("unfinished", "nothing"):
        more = theirs.messages[len(ours.messages) :]
        hold(not more, f"{name} reads more messages than we do ({ours.rest})", more)


def _framed_by_trailers(message: Message) -> bool:
    names = {name.lower() for name, _ in fields(message.trailers)}
    return b"content-length" in names or b"transfer-encoding" in names


def visible(head: bytes) -> bool:
    """Whether a head has no byte that could end a line for somebody: CR and LF in pairs only, and no NUL."""
    lines = head.split(b"\r\n")
    return not any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines)
