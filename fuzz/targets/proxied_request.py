"""A client's bytes through the whole proxy to a recording back-end, which h11 and llhttp read, too.

The first byte says how the router is: add 1 for its features on, 2 for back-end connections that are closed after each
request. The cuts are the segments that the client sends.

Claims:

- One request never becomes two: each request that the back-end gets is, in its order, one that the client sent (method,
  target, body), as we, h11 and llhttp read both streams; as many heads reach the back-end as the router was asked for.
- What is there of a request that was not finished is not finished for anybody, and its connection is not used again.
- Hop-by-hop fields are gone, the fields that the proxy adds are there once, no framing is said twice.
- The client gets one final response for each request in turn, and nothing else.
- When everybody has left, nothing is left, and every request has had its last callbacks.
"""

from __future__ import annotations

from functools import partial

from fuzz.findings import fail, hold, same
from fuzz.hops import final_response, interim_response, next_request
from fuzz.oracles import Message, h11_requests, h11_response, llhttp_requests
from fuzz.reading import agree, our_requests, visible
from fuzz.segments import leading, segments, whole
from fuzz.stage import Stage

_ADDRESS = b"192.0.2.1"
#: it knows a list of methods, and refuses all others
_NOT_A_METHOD_TO_LLHTTP = ("Invalid method", "Expected space after method")


def check(data: bytes) -> None:
    """All claims, for one client's connection."""
    number, data = leading(data, 4)
    stage = Stage(bool(number & 1), None if number & 2 else "default")
    client = stage.client
    for part in segments(data):
        client.send(part)
        stage.answer()
    client.half_close()
    stage.answer()
    begun, ended = stage.asked("init"), stage.proxy.of("terminate")
    normal = sum(call.arguments[0] == "normal" for call in ended)
    judge(
        whole(data),
        [connection.received for connection in stage.back.connections],
        client.received,
        [request.method for request in begun],
        len(stage.asked("service_backend")),
        len(begun) - normal,
        stage.proxy.pooled,
        _ADDRESS,
    )
    stage.leave()


def judge(
    sent: bytes,
    streams: list[bytes],
    received: bytes,
    methods: list[str],
    forwarded: int,
    excused: int,
    pooled: int,
    address: bytes,
) -> None:
    """Hold the claims for one connection that is over.

    :param sent: by the client.
    :param streams: what each connection to the back-end got, in the order of the connections.
    :param received: by the client.
    :param methods: of the requests that the router saw.
    :param forwarded: how many requests the router sent to the back-end.
    :param excused: how many requests ended in an error, or have not ended: their heads may not have gone out.
    :param pooled: connections that rest in the pool.
    :param address: the client's.
    :raises Finding: a claim is broken.
    """
    wanted = our_requests(sent)[0].messages
    heads = 0
    reusable = 0
    at = 0
    for stream in streams:
        ours, read_heads = our_requests(stream)
        hold(ours.rest in ("nothing", "unfinished"), "the back-end gets what is no request", ours.why, stream)
        agree(ours, partial(h11_requests, stream), "h11, behind the proxy,", refuses=False)
        llhttp = llhttp_requests(stream)
        odd = llhttp.why.startswith(_NOT_A_METHOD_TO_LLHTTP)
        agree(ours, partial(llhttp_requests, stream), "llhttp, behind the proxy,", refuses=odd)
        heads += len(read_heads)
        reusable += ours.rest == "nothing"
        for message in ours.messages:
            next_request(message, address)
            at = _found(message, wanted, at)
    if not heads <= forwarded <= heads + excused:
        fail("other requests reach the back-end than the router sent", heads, forwarded, excused)
    hold(pooled <= reusable, "a connection with an unfinished request is pooled", pooled, reusable)
    _responses(received, methods)


def _found(message: Message, wanted: list[Message], at: int) -> int:
    """Where in what the client sent, from `at` on, `message` stands; returns the place behind it."""
    for index in range(at, len(wanted)):
        sent = wanted[index]
        target = sent.first[1]
        if target[:1] not in (b"/", b"*"):
            target = message.first[1] if target.endswith(message.first[1].lstrip(b"/*")) else target
        if (sent.first[0], target, sent.body) == (message.first[0], message.first[1], message.body):
            return index + 1
    fail("the back-end gets a request that the client did not send", message, wanted[at:])


def _responses(received: bytes, methods: list[str]) -> None:
    """One final response for each request, in turn; at most one more, where the proxy itself refuses."""
    hold(visible(received), "a byte in a response that could end a line", received)
    for method in [*methods, "GET"]:
        if not received:
            return
        stream, received = h11_response(received, method.encode("latin-1"), ended=True)
        if stream.rest != "nothing":
            hold(not received, "the client cannot read its response", stream, method)
            return
        *interim, final = stream.messages
        for message in interim:
            interim_response(message.first[0], message.fields)
        final_response(final.fields)
    same(received, b"", "the client gets more responses than it has requests")
