"""Generates messages of likely and unlikely parts, and damages some of them, for the tests beside oracles.

The good choices come several times in each list: else nearly every message would be refused at once.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

METHODS = [b"GET", b"POST", b"PUT", b"OPTIONS", b"PURGE", b"x-y", b"get", b"G ET", b""]
TARGETS = [b"/", b"/a?b=c", b"*", b"http://h/", b"/%00", b'/"', b"//", b"", b"/ ", b"/\xe9", b"h:80"]
VERSIONS = (
    [b"HTTP/1.1"] * 6
    + [b"HTTP/1.0"] * 2
    + [b"HTTP/1.2", b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.", b""]
)
CODES = [b"200", b"404", b"204", b"304", b"100", b"599", b"999", b"099", b"20", b"2000", b"abc"]
REASONS = [b" OK", b" ", b"", b" A B\t", b" \xe9", b"\tOK", b" \0"]
LENGTHS = [
    b"0",
    b"3",
    b"5",
    b"05",
    b"5, 5",
    b"+5",
    b"-1",
    b"",
    b"5 5",
    b"0x5",
    b"9" * 19,
    b"9" * 30,
    b"5_0",
    b"\xb2",
]
CODINGS = (
    [b"chunked"] * 6
    + [b"CHUNKED", b"gzip", b"identity", b"gzip, chunked", b"chunked, chunked", b"xchunked"]
    + [
        b"chunked;a=b",
        b"chunked,",
        b"",
        b"\x0bchunked",
        b"chunked, gzip",
    ]
)
OTHERS = [b"a", b"close", b"keep-alive", b"", b"\xff", b"a:b", b'"', b"a  b", b"\x01", b"a\tb"]
FRAMERS = [b"Content-Length", b"content-length", b"CONTENT-LENGTH"]
CODERS = [b"Transfer-Encoding", b"transfer-encoding"]
NAMES = [
    b"Accept",
    b"X-A",
    b"Content_Length",
    b"Transfer-Encodin",
    b"Connection",
    b"a b",
    b"",
    b"X ",
    b"\xe9",
    b"N\0",
]
ENDS = [b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b""]
SPACES = [b" "] * 8 + [b"", b"  ", b"\t", b" \t ", b"\x0b"]
BYTES = [
    b"\0",
    b"\t",
    b"\n",
    b"\r",
    b" ",
    b"\r\n",
    b"\r\n\r\n",
    b":",
    b",",
    b";",
    b"0",
    b"5",
    b"f",
    b"x",
    b"\x7f",
    b"\xa0",
    b"\x0b",
]
TAILS = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"5;x\r\nhello\r\n0\r\nT: u\r\n\r\n",
    b"hello",
    b"3\r\nabc\r\n00\r\n\r\nmore",
]


@st.composite
def field_line(draw: st.DrawFn) -> bytes:
    """A field line, mostly good."""
    name, values = draw(
        st.one_of(
            st.tuples(st.sampled_from(FRAMERS), st.just(LENGTHS)),
            st.tuples(st.sampled_from(CODERS), st.just(CODINGS)),
            st.tuples(st.sampled_from(NAMES[:5] * 4 + NAMES), st.just(OTHERS)),
        )
    )
    before, after = draw(st.sampled_from(SPACES)), draw(st.sampled_from([b"", b"", b"", b" ", b"\t"]))
    value = draw(st.sampled_from(values))
    return name + b":" + before + value + after + draw(st.sampled_from(ENDS))


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """What `whole` gives, with up to two bytes put in, taken out or changed."""
    raw = draw(whole)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(raw)))
        drop = draw(st.integers(0, 1))
        raw = raw[:at] + draw(st.sampled_from([*BYTES, b""])) + raw[at + drop :]
    return raw


@st.composite
def request_bytes(draw: st.DrawFn) -> bytes:
    """A request with what may be its body."""
    # The good choices come several times, or nearly nothing would be accepted.
    line = b" ".join(draw(st.sampled_from(good * 3 + all)) for good, all in (
        (METHODS[:5], METHODS), (TARGETS[:4], TARGETS), (VERSIONS[:8], VERSIONS)
    ))  # fmt: skip
    lead = draw(st.sampled_from([b""] * 9 + [b"\r\n"]))
    lines = b"".join(draw(st.lists(field_line(), max_size=3)))
    return (
        lead
        + line
        + draw(st.sampled_from(ENDS))
        + b"Host: h\r\n"
        + lines
        + b"\r\n"
        + draw(st.sampled_from(TAILS))
    )


@st.composite
def response_bytes(draw: st.DrawFn) -> bytes:
    """A response with what may be its body."""
    version = draw(st.sampled_from(VERSIONS[:8] * 3 + VERSIONS))
    code = draw(st.sampled_from(CODES[:6] * 3 + CODES))
    reason = draw(st.sampled_from(REASONS[:4] * 3 + REASONS))
    lines = b"".join(draw(st.lists(field_line(), max_size=3)))
    return version + b" " + code + reason + b"\r\n" + lines + b"\r\n" + draw(st.sampled_from(TAILS))


@st.composite
def chunked_bytes(draw: st.DrawFn) -> bytes:
    """A chunked body, mostly good."""
    raw = b""
    for size in draw(st.lists(st.integers(1, 20), max_size=4)):
        digits = b"%x" % size if draw(st.booleans()) else b"0%X" % size
        raw += (
            digits
            + draw(st.sampled_from([b"", b"", b"", b";a=b", b' ; a="b"', b" ", b"\t;", b";\xff"]))
            + b"\r\n"
        )
        raw += b"d" * size + b"\r\n"
    return raw + draw(st.sampled_from([b"0", b"00", b"0;z"])) + b"\r\n" + draw(
        st.sampled_from([b"", b"", b"T: u\r\n", b"T: u\r\nV:w\r\n", b"T : u\r\n"])
    ) + b"\r\n"  # fmt: skip


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    """Cut `raw` into segments at `places` (taken modulo its length)."""
    ends = sorted({place % (len(raw) + 1) for place in places} | {0, len(raw)})
    return [raw[begin:end] for begin, end in pairwise(ends)]


places = st.lists(st.integers(0, 400), max_size=8)
