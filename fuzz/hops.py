"""What the next hop must get: the fields of messages that the proxy writes (rules 10 to 13, 16 to 18)."""

from __future__ import annotations

from fuzz.findings import fail, hold, same
from fuzz.oracles import Fields, Message

#: fields that end at a hop, whatever they say; ``TE`` and ``Upgrade`` have forms that go on
_ENDING = frozenset({b"keep-alive", b"proxy-connection", b"proxy-authorization", b"http2-settings"})
_LOOK_ALIKES = frozenset({b"content_length", b"transfer_encoding"})
_ADDED = (
    b"x-forwarded-for",
    b"x-forwarded-port",
    b"x-request-id",
    b"x-request-start",
    b"connect-time",
    b"via",
)
_CONNECTION_OF_REQUESTS = frozenset({b"close", b"keep-alive", b"upgrade"})


def values(fields: Fields, name: bytes) -> list[bytes]:
    """The values of all fields of that name (lower case)."""
    return [value for key, value in fields if key.lower() == name]


def next_request(message: Message, address: bytes) -> None:
    """A request as the back-end reads it.

    :param address: the client's.
    :raises Finding: it has what it must not, or lacks what it must have.
    """
    fields = message.fields
    names = {name.lower() for name, _ in fields}
    hold(names.isdisjoint(_ENDING | _LOOK_ALIKES), "a field goes on that must not", fields)
    for name in (b"host", b"connection", *_ADDED, b"total-route-time"):
        if len(values(fields, name)) != 1:
            fail(f"not exactly one {name.decode()}", fields)
    connection = values(fields, b"connection")[0]
    hold(connection in _CONNECTION_OF_REQUESTS, "Connection", connection)
    same(b"upgrade" in names, connection == b"upgrade", "Upgrade and Connection do not go together", fields)
    hold(values(fields, b"te") in ([], [b"trailers"]), "TE", fields)
    hold(values(fields, b"via")[0].endswith(b"1.1 vegur"), "Via", fields)
    forwarded = values(fields, b"x-forwarded-for")[0]
    hold(forwarded == address or forwarded.endswith(b", " + address), "X-Forwarded-For", forwarded)
    _framed_once(fields)
    same(message.first[2], b"1.1", "the proxy speaks 1.1 to back-ends")
    hold(message.first[1][:1] == b"/" or message.first[1] == b"*", "no origin-form", message.first)


def final_response(fields: Fields, asked_to_upgrade: bool = False) -> None:
    """The head of a final response as the client reads it.

    :raises Finding: it has what it must not, or lacks what it must have.
    """
    names = {name.lower() for name, _ in fields}
    hold(
        names.isdisjoint({b"keep-alive", b"proxy-connection", b"te"}),
        "a field comes home that must not",
        fields,
    )
    connection = values(fields, b"connection")
    hold(connection in ([b"close"], [b"keep-alive"]), "Connection", fields)
    hold(len(values(fields, b"server")) >= 1, "no Server", fields)
    _framed_once(fields)


#: interim responses that every client knows: what their fields say goes on (rule 15)
_KNOWN = frozenset({b"100", b"102", b"103"})


def interim_response(code: bytes, fields: Fields) -> None:
    """The head of an interim response as the client reads it: one that it may not know frames nothing.

    :raises Finding: it has what it must not.
    """
    names = {name.lower() for name, _ in fields}
    hold(
        names.isdisjoint({b"keep-alive", b"proxy-connection", b"te"}),
        "a field comes home that must not",
        fields,
    )
    framed = not names.isdisjoint({b"transfer-encoding", b"content-length"})
    hold(code in _KNOWN or not framed, "an interim response has framing", fields)


def _framed_once(fields: Fields) -> None:
    lengths, codings = values(fields, b"content-length"), values(fields, b"transfer-encoding")
    hold(len(lengths) + len(codings) <= 1, "framed more than once", lengths, codings)
    hold(all(length.isdigit() for length in lengths), "a length that is none", lengths)
    hold(all(coding.lower() == b"chunked" for coding in codings), "a coding that is not ours", codings)
