"""A chunked body and its trailers: read strictly, and written afresh (rule 6).

Claims:

- h11 reads the same body, and the same bytes behind it; llhttp does too, or refuses it.
- Cut anywhere, the bytes give the same body, trailers and rest, or the same refusal behind the same data.
- What is held while a line or a trailer grows is within the limits; with tight ones, too.
- What we write of it is read back as the same body by us, h11 and llhttp, and writing it again gives the same bytes.
- No dropped trailer goes on, and every other one does.
"""

from __future__ import annotations

from fuzz.findings import hold, same
from fuzz.oracles import Message, Stream, h11_requests, llhttp_requests
from fuzz.reading import agree, decode, visible
from fuzz.segments import cuttings, whole
from vegurtx.wire.chunked import ChunkedDecoder, encode_chunks, last_chunk
from vegurtx.wire.errors import BadChunk
from vegurtx.wire.fields import fields
from vegurtx.wire.limits import DEFAULT_BODY_LIMITS, BodyLimits
from vegurtx.wire.trailers import DROPPED, DROPPED_PREFIXES, forwardable_trailers

HEAD = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
_FIRST = (b"POST", b"/", b"1.1")
_FIELDS = [(b"host", b"h"), (b"transfer-encoding", b"chunked")]
TIGHT = BodyLimits(chunk_line=24, name=8, value=16, fields=3, trailer=60)
_WHATS = {"size", "extension", "delimiter", "trailer", "length"}


def check(data: bytes) -> None:
    """All claims, for one body."""
    raw = whole(data)
    outcome = decode([raw], ChunkedDecoder())
    ours = Stream([], "refused")
    if len(outcome) == 2:
        hold(outcome[1] in _WHATS, "an unknown word", outcome)
    elif not outcome[1]:
        ours = Stream([], "unfinished")
    else:
        body, _, trailers, surplus = outcome
        assert isinstance(body, bytes) and isinstance(trailers, bytes) and isinstance(surplus, bytes)
        ours = Stream(
            [Message(_FIRST, _FIELDS, body, trailers)], "refused"
        )  # of what follows there is no claim
        hold(raw.endswith(surplus), "a surplus that did not come", surplus)
        _rewritten(body, trailers)
        raw_body = raw[: len(raw) - len(surplus)]
        same(decode([raw_body], ChunkedDecoder()), (body, True, trailers, b""), "without what follows")
    agree(ours, lambda: h11_requests(HEAD + raw), "h11", refuses=False)
    agree(ours, lambda: llhttp_requests(HEAD + raw), "llhttp", refuses=True)
    tight = decode([raw], ChunkedDecoder(TIGHT))
    for parts in cuttings(data):
        same(decode(parts, ChunkedDecoder()), outcome, "other segments, another body", parts)
        same(decode(parts, ChunkedDecoder(TIGHT)), tight, "other segments, another limit", parts)
        _bounded(parts, TIGHT)
        _bounded(parts, DEFAULT_BODY_LIMITS)
    if tight[-1] != "length" and len(tight) == 2:
        hold(len(outcome) == 2 or tight[1] == "trailer", "tight limits find another fault", tight, outcome)
    if len(tight) == 4:
        same(outcome, tight, "tight limits change what they accept")


def _bounded(parts: list[bytes], limits: BodyLimits) -> None:
    """What the decoder holds back, between segments, is less than one line's or one trailer section's limit."""
    decoder = ChunkedDecoder(limits)
    most = max(limits.chunk_line, limits.trailer) + 2
    for part in parts:
        try:
            decoder.feed(part)
        except BadChunk:
            return
        if decoder.done:
            return
        hold(len(decoder._held) <= most, "more is held than the limits allow", len(decoder._held), limits)


def _rewritten(body: bytes, trailers: bytes) -> None:
    """What goes out to the other side."""
    kept = forwardable_trailers(trailers)
    wanted = [
        line for line in trailers.split(b"\r\n") if line and not _is_dropped(line.partition(b":")[0].lower())
    ]
    same([line for line in kept.split(b"\r\n") if line], wanted, "trailers")
    same(forwardable_trailers(kept), kept, "what goes on does not go on again")
    hold(visible(kept), "a byte in a trailer that could end a line", kept)
    out = b"".join(encode_chunks([body])) + last_chunk(kept)
    again = decode([out], ChunkedDecoder())
    # the trailer's limit may stand between: many dropped lines came in, fewer go out
    same(again, (body, True, kept, b""), "what we write is not what we read")
    same(b"".join(encode_chunks([body])) + last_chunk(forwardable_trailers(kept)), out, "written twice")
    stream = Stream([Message(_FIRST, _FIELDS, body)], "nothing")
    agree(stream, lambda: h11_requests(HEAD + out), "h11, of what we write", refuses=False)
    agree(stream, lambda: llhttp_requests(HEAD + out), "llhttp, of what we write", refuses=False)
    same(
        fields(kept), [(name, value) for name, value in fields(trailers) if not _is_dropped(name.lower())], ""
    )


def _is_dropped(name: bytes) -> bool:
    return name in DROPPED or name.startswith(DROPPED_PREFIXES)
