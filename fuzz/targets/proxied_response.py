"""A back-end's bytes through the whole proxy to a client, which h11 and llhttp read, too.

The first byte says what the client asks (see `REQUESTS`). The cuts are the back-end's segments; then it closes, or, if
the last thing is a cut, resets the connection.

Claims:

- The client gets one final response, or one error page, or a response that visibly breaks off; nothing comes behind it.
- What it gets is what the back-end said, as we, h11 and llhttp read both streams: code, body, interim responses.
- A whole response is never lost, and one that breaks off never looks whole (rule 21).
- Bytes behind a response never answer the next request: they are dropped, and their connection is not used again.
- Hop-by-hop fields are gone, no framing is said twice, interim responses that a client may not know have none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fuzz.findings import fail, hold, same
from fuzz.hops import final_response, interim_response
from fuzz.oracles import Message, Stream, h11_response, llhttp_responses
from fuzz.reading import our_response, visible
from fuzz.segments import MARK, leading, segments, whole
from fuzz.stage import Stage

_HOST = b"Host: h\r\n"
REQUESTS = (
    b"GET / HTTP/1.1\r\n" + _HOST + b"\r\n",
    b"HEAD / HTTP/1.1\r\n" + _HOST + b"\r\n",
    b"GET / HTTP/1.0\r\n" + _HOST + b"\r\n",
    b"POST / HTTP/1.1\r\n" + _HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + _HOST + b"Connection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"GET / HTTP/1.0\r\n" + _HOST + b"Connection: keep-alive\r\n\r\n",
)
"""By the first digit of an input."""

_SECOND = b"GET /second HTTP/1.1\r\n" + _HOST + b"\r\n"


class Played(NamedTuple):
    """What happened."""

    number: int
    """Of the request."""
    said: bytes
    """By the back-end."""
    in_order: bool
    """Whether the back-end's connection ended in order."""
    received: bytes
    """By the client."""
    clean: bool
    """Whether the client's connection ended in order."""
    page: Any
    """The reason of the error page that the router was asked for; ``None`` without one."""


def check(data: bytes) -> None:
    """All claims, for one response."""
    number, data = leading(data, len(REQUESTS))
    in_order = not data.endswith(MARK)
    stage = Stage(features=number == 3)
    client = stage.client
    client.send(REQUESTS[number])
    connection = stage.back.accept()
    for part in segments(data):
        connection.send(part)
    client_is_free = client.arrival.value == "open" and _is_answered(client.received, number)
    if client_is_free:
        _next_one(stage, whole(data), number)
    else:
        connection.close() if in_order else connection.abort()
        reasons = [call.arguments[0] for call in stage.proxy.of("error_page")]
        clean = client.arrival.value != "reset"
        judge(Played(number, whole(data), in_order, client.received, clean, reasons[0] if reasons else None))
    stage.leave()


def _method(number: int) -> bytes:
    return REQUESTS[number].partition(b" ")[0]


def _is_answered(received: bytes, number: int) -> bool:
    stream, _ = h11_response(received, _method(number))
    return stream.rest == "nothing"


def _next_one(stage: Stage, said: bytes, number: int) -> None:
    """The response is whole and the client's connection open: the next request gets an answer of its own."""
    client, first = stage.client, stage.client.received
    reasons = [call.arguments[0] for call in stage.proxy.of("error_page")]
    judge(Played(number, said, True, first, True, reasons[0] if reasons else None))
    before = [connection.received for connection in stage.back.connections]
    stage.answered()
    client.send(_SECOND)
    same(client.received, first, "the next request is answered by what came before it")
    after = [connection.received for connection in stage.back.connections]
    if len(after) == len(before):
        ours, _, by_close = our_response(said, _method(number))
        hold(ours.rest == "nothing" and not by_close, "a connection is used again that is not whole", ours)
        hold(_consumed(said, _method(number)), "a connection with bytes behind its response is used again")
    stage.answer()
    stream, rest = h11_response(client.received[len(first) :])
    hold(stream.rest == "nothing" and not rest, "the next request has no whole answer", stream, rest)
    same(stream.messages[-1].body, b"hi", "the next request has another's answer")


def _consumed(said: bytes, method: bytes) -> bool:
    """Whether nothing stands behind the response (one byte less leaves it unfinished)."""
    return our_response(said[:-1], method)[0].rest == "unfinished"


def judge(played: Played) -> None:
    """Hold the claims for one response.

    :raises Finding: a claim is broken.
    """
    method = _method(played.number)
    ours, _, by_close = our_response(played.said, method)
    if by_close and not played.in_order:
        ours = Stream(ours.messages[:-1], "unfinished")
    theirs = h11_response(played.said, method, ended=played.in_order)[0]
    got, rest = h11_response(played.received, method, ended=played.clean)
    strict, heads, _ = our_response(played.received, method)
    hold(all(visible(head.raw) for head in heads), "a byte in a head that could end a line", heads)
    if strict.rest == "refused" and played.received:
        fail("the client gets what is no response", strict.why, played.received)
    if got.rest == "other":
        same(ours.rest, "other", "an upgrade that the back-end did not say", ours)
        return
    hold(not rest, "bytes behind the client's response", rest)
    if got.rest == "refused":
        fail("h11 cannot read what the client gets", got.why, played.received)
    finals = [message for message in got.messages if message.first[0][:1] != b"1"]
    for message in got.messages[: len(got.messages) - len(finals)]:
        interim_response(message.first[0], message.fields)
        hold(played.number not in (2, 5), "an interim response to a client of 1.0", message)
    if played.page is not None:
        hold(finals and finals[0].first[0] >= b"500", "no whole error page", played.page, finals)
        return
    whole_there = ours.rest == "nothing"
    if finals:
        hold(whole_there, "what breaks off at the back-end looks whole to the client", ours, finals)
        final_response(finals[0].fields)
        _same_answer(finals[0], ours.messages[-1])
        if theirs.rest == "nothing":
            _same_answer(finals[0], theirs.messages[-1])
        _beside_llhttp(played, got, method)
        sent_interim = [message.first[0] for message in ours.messages[:-1]]
        if played.number not in (2, 3, 5):
            same([message.first[0] for message in got.messages[:-1]], sent_interim, "interim responses")
    elif whole_there:
        fail("a whole response does not reach the client", ours.messages[-1], played.received)


def _same_answer(found: Message, wanted: Message) -> None:
    same((found.first[0], found.body), (wanted.first[0], wanted.body), "another response than the back-end's")


def _beside_llhttp(played: Played, got: Stream, method: bytes) -> None:
    """llhttp reads what the client gets as h11 does; it knows nothing of HEAD, nor of the end of a connection."""
    names = {name for name, _ in got.messages[-1].fields}
    if method == b"HEAD" or not names & {b"content-length", b"transfer-encoding"}:
        return
    llhttp = llhttp_responses(played.received)
    if llhttp.rest == "refused":
        return
    same([message.body for message in llhttp.messages], [message.body for message in got.messages], "llhttp")
