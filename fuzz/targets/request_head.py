"""Streams of requests: heads, limits, framing, and the same bytes in segments (rules 1, 3, 4, 5, 7).

Claims:

- h11 reads each request that we accept, in the same way. llhttp does too, or refuses it.
- Where we want more bytes, or see the end of a request, neither of them sees another whole request.
- Cut anywhere, the bytes give the same head or the same refusal; a remembered head changes nothing.
- What a head keeps while it grows is within its limits; a parser with tight limits refuses exactly what breaks them.
- The parts of a head, put together again, are the same head.
"""

from __future__ import annotations

from fuzz.findings import fail, hold, same
from fuzz.oracles import h11_requests, llhttp_requests
from fuzz.reading import PARSER, agree, our_requests, visible
from fuzz.segments import cuttings, whole
from vegurtx.wire.errors import BadHead
from vegurtx.wire.fields import fields, without
from vegurtx.wire.limits import DEFAULT_REQUEST_LIMITS, RequestLimits
from vegurtx.wire.partial import RequestHeadBuffer
from vegurtx.wire.request import TAKE, RequestHead, RequestParser

TIGHT = RequestLimits(line=40, name=18, value=24, fields=4, head=150)
_TIGHT_PARSER = RequestParser(TIGHT)

Outcome = tuple[object, ...]


def check(data: bytes) -> None:
    """All claims, for one stream."""
    raw = whole(data)
    ours, heads = our_requests(raw)
    agree(ours, lambda: h11_requests(raw), "h11", refuses=False)
    agree(ours, lambda: llhttp_requests(raw), "llhttp", refuses=True)
    for head, last in zip(heads, [None, *heads], strict=False):
        _whole_head(head, last)
    outcome, tight = _parsed(PARSER, raw), _parsed(_TIGHT_PARSER, raw)
    for parts in cuttings(data):
        same(_gathered(parts, DEFAULT_REQUEST_LIMITS, PARSER), outcome, "other segments, another head", parts)
        same(_gathered(parts, TIGHT, _TIGHT_PARSER), tight, "other segments, another limit", parts)
        _bounded(parts)
    _tight(raw, outcome, tight)


def _seen(head: RequestHead) -> Outcome:
    known = sorted(head.known.items())
    return head.method, head.target, head.minor, head.block, known, dict(head.repeated), head.rest


def _parsed(parser: RequestParser, raw: bytes) -> Outcome | None:
    try:
        head = parser.parse(raw)
    except BadHead as error:
        hold(error.status in (400, 414, 431, 505), "a status that no head is answered with", error.status)
        return error.what, error.status
    return None if head is None else (*_seen(head), raw[head.end :])


def _gathered(parts: list[bytes], limits: RequestLimits, parser: RequestParser) -> Outcome | None:
    """As `_parsed`, of what comes in segments, as ``net`` reads it."""
    buffer = RequestHeadBuffer(limits)
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
    """With tight limits: no more is held than they allow, and the segment that came last."""
    buffer = RequestHeadBuffer(TIGHT)
    for part in parts:
        try:
            if buffer.feed(part) is not None:
                return
        except BadHead:
            return
        hold(len(buffer) <= TIGHT.head + 2, "more is held than the limits allow", len(buffer))


def _tight(raw: bytes, outcome: Outcome | None, tight: Outcome | None) -> None:
    """Tight limits refuse what breaks them, and nothing else."""
    if outcome is None or len(outcome) == 2:
        hold(tight is None or len(tight) == 2, "tight limits accept what is no head", tight)
        return
    head = PARSER.parse(raw)
    assert head is not None
    line = len(head.method) + len(head.target) + len("  HTTP/1.1")
    size = head.end - (2 if raw.startswith(b"\r\n") else 0)
    pairs = fields(head.block)
    broken = set()
    if line > TIGHT.line:
        broken.add(414)
    if (
        len(pairs) > TIGHT.fields
        or any(len(name) > TIGHT.name or len(value) > TIGHT.value for name, value in pairs)
        or size > TIGHT.head
    ):
        broken.add(431)
    if not broken:
        same(tight, outcome, "tight limits refuse what keeps them")
    elif tight is None or len(tight) != 2 or tight[1] not in broken:
        fail("tight limits are not kept", tight, broken)


def _whole_head(head: RequestHead, last: RequestHead | None) -> None:
    """What a head's parts are among each other."""
    line = b"%b %b HTTP/1.%d\r\n" % (head.method, head.target, head.minor)
    raw = line + head.tail
    hold(visible(raw), "a byte in a head that could end a line", raw)
    same(head.tail[-2:], b"\r\n", "a tail without its end")
    for remembered in (None, last, head):
        again = PARSER.parse(raw, remembered)
        hold(again is not None and again.end == len(raw), "a head put together is no head", raw)
        assert again is not None
        same(_seen(again), _seen(head), "a head put together is another head", remembered)
    same(head.rest, without(head.block, TAKE), "the rest is not what was left")
    values: dict[bytes, list[bytes]] = {}
    for name, value in fields(head.block):
        values.setdefault(name.lower(), []).append(value)
    for name in TAKE | {b"host"}:
        same(head.known.get(name), b", ".join(values[name]) if name in values else None, "a known field")
        same(head.repeated.get(name, []), values[name] if len(values.get(name, [])) > 1 else [], "repeats")
