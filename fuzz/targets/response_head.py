"""A back-end's response: interim heads, final head, framing, and the same bytes in segments (rules 14 to 17).

The first byte says what the response answers: ``0`` GET, ``1`` HEAD. The claims are those of ``request_head``; the end
of the bytes is the end of the connection.
"""

from __future__ import annotations

from fuzz.findings import fail, hold, same
from fuzz.oracles import Stream, h11_response, llhttp_responses
from fuzz.reading import RESPONSE_PARSER as PARSER
from fuzz.reading import agree, our_response, visible
from fuzz.segments import cuttings, leading, whole
from vegurtx.wire.errors import BadHead
from vegurtx.wire.fields import fields, without
from vegurtx.wire.limits import DEFAULT_RESPONSE_LIMITS, ResponseLimits
from vegurtx.wire.partial import ResponseHeadBuffer
from vegurtx.wire.response import TAKE, ResponseHead, ResponseParser

TIGHT = ResponseLimits(status_line=32, field_line=48, cookie=16, fields=4, head=150)
_TIGHT_PARSER = ResponseParser(TIGHT)
_METHODS = (b"GET", b"HEAD")

Outcome = tuple[object, ...]


def check(data: bytes) -> None:
    """All claims, for one connection."""
    number, data = leading(data, len(_METHODS))
    method = _METHODS[number]
    raw = whole(data)
    ours, heads, by_close = our_response(raw, method)
    agree(ours, lambda: h11_response(raw, method, ended=True)[0], "h11", refuses=_is_odd_to_h11(heads))
    if method == b"GET" and not by_close and not any(map(_is_odd_to_llhttp, heads)):
        agree(ours, lambda: _llhttp(raw, len(ours.messages)), "llhttp", refuses=True)
    last = None
    for head in heads:
        _whole_head(head, last)
        last = head
    outcome, tight = _parsed(PARSER, raw), _parsed(_TIGHT_PARSER, raw)
    for parts in cuttings(data):
        gathered = _gathered(parts, DEFAULT_RESPONSE_LIMITS, PARSER)
        same(gathered, outcome, "other segments, another head", parts)
        gathered = _gathered(parts, TIGHT, _TIGHT_PARSER)
        same(gathered, tight, "other segments, another limit", parts)
        _bounded(parts)
    _tight(raw, outcome, tight)


def _is_odd_to_h11(heads: list[ResponseHead]) -> bool:
    """Whether h11 may refuse what we accept: it reads framing fields where rule 15 says that there is no body, and
    wants a code below 600.
    """
    return any(
        head.status >= 600
        or ((head.status < 200 or head.status in (204, 304)) and not TAKE.isdisjoint(head.known))
        or b"transfer-encoding" in head.known
        or b"content-length" in head.known
        for head in heads
    )


def _is_odd_to_llhttp(head: ResponseHead) -> bool:
    """Whether llhttp reads a body where rule 15 says that there is none: it knows three of the interim codes."""
    return 100 <= head.status < 200 and head.status not in (100, 102, 103) and not TAKE.isdisjoint(head.known)


def _llhttp(raw: bytes, count: int) -> Stream:
    """The first `count` messages: llhttp reads on behind the final response."""
    theirs = llhttp_responses(raw)
    return theirs._replace(messages=theirs.messages[:count])


def _seen(head: ResponseHead) -> Outcome:
    known = sorted(head.known.items())
    return head.status, head.reason, head.minor, head.block, known, dict(head.repeated), head.rest


def _parsed(parser: ResponseParser, raw: bytes) -> Outcome | None:
    try:
        head = parser.parse(raw)
    except BadHead as error:
        hold(error.status == 502, "a bad response is answered with 502", error.status)
        return error.what, error.status
    return None if head is None else (*_seen(head), raw[head.end :])


def _gathered(parts: list[bytes], limits: ResponseLimits, parser: ResponseParser) -> Outcome | None:
    buffer = ResponseHeadBuffer(limits)
    for index, part in enumerate(parts):
        try:
            gathered = buffer.feed(part)
        except BadHead as error:
            return error.what, error.status
        if gathered is not None:
            hold(len(buffer) == 0, "a head that is out is still held")
            outcome = _parsed(parser, gathered)
            if outcome is None or len(outcome) == 2:
                fail("the parser does not take what was gathered for it", gathered, outcome)
            return (*outcome[:-1], outcome[-1] + b"".join(parts[index + 1 :]))  # type: ignore[operator]
    return None


def _bounded(parts: list[bytes]) -> None:
    buffer = ResponseHeadBuffer(TIGHT)
    for part in parts:
        try:
            if buffer.feed(part) is not None:
                return
        except BadHead:
            return
        hold(len(buffer) <= TIGHT.head, "more is held than the limits allow", len(buffer))


def _tight(raw: bytes, outcome: Outcome | None, tight: Outcome | None) -> None:
    """Tight limits refuse what breaks them, and nothing else."""
    if outcome is None or len(outcome) == 2:
        hold(tight is None or len(tight) == 2, "tight limits accept what is no head", tight)
        return
    head = PARSER.parse(raw)
    assert head is not None
    pairs = fields(head.block)
    broken = set()
    if raw.index(b"\r") > TIGHT.status_line:
        broken.add("status_length")
    if any(name.lower() == b"set-cookie" and len(value) > TIGHT.cookie for name, value in pairs):
        broken.add("cookie_length")
    lines = head.block.split(b"\r\n")
    if head.end > TIGHT.head or len(pairs) > TIGHT.fields or max(map(len, lines)) > TIGHT.field_line:
        broken.add("header_length")
    if not broken:
        same(tight, outcome, "tight limits refuse what keeps them")
    elif tight is None or len(tight) != 2 or tight[0] not in broken:
        fail("tight limits are not kept", tight, broken)


def _whole_head(head: ResponseHead, last: ResponseHead | None) -> None:
    """What a head's parts are among each other."""
    line = b"HTTP/1.%d %d %b\r\n" % (head.minor, head.status, head.reason)
    raw = line + head.block + b"\r\n"
    hold(visible(raw), "a byte in a head that could end a line", raw)
    for remembered in (None, last):
        again = PARSER.parse(raw, remembered)
        hold(again is not None and again.end == len(raw), "a head put together is no head", raw)
        assert again is not None
        same(_seen(again), _seen(head), "a head put together is another head", remembered)
    same(head.rest, without(head.block, TAKE), "the rest is not what was left")
