"""``traceparent`` and ``tracestate`` as bytes: what is taken, what is not, and what goes on."""

from __future__ import annotations

import string

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.tracing.context import (
    KNOWN_FLAGS,
    LONGEST_STATE,
    MOST_MEMBERS,
    SAMPLED,
    TraceParent,
    parent_text,
    parsed_parent,
    parsed_state,
)
from vegurtx.tracing.ids import Ratio, TraceIds

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
GOOD = f"00-{TRACE}-{PARENT}-01".encode()

_DIGITS = frozenset(b"0123456789abcdef")
_KEY_FIRST = frozenset((string.ascii_lowercase + string.digits).encode())
_KEY = _KEY_FIRST | frozenset(b"_-*/@")


def hexadecimal(length: int) -> st.SearchStrategy[str]:
    """Lower-case digits, and not zero alone."""
    return st.text("0123456789abcdef", min_size=length, max_size=length).filter(
        lambda text: set(text) != {"0"}
    )


def slowly(value: bytes) -> TraceParent | None:
    """The recommendation's grammar, byte by byte: what `parsed_parent` has to agree with."""
    if len(value) < 55 or any(value[place] != ord("-") for place in (2, 35, 52)):
        return None
    version, trace, parent, flags = value[:2], value[3:35], value[36:52], value[53:55]
    if not all(set(part) <= _DIGITS for part in (version, trace, parent, flags)):
        return None
    if version == b"ff" or trace == b"0" * 32 or parent == b"0" * 16:
        return None
    if len(value) > 55 and (version == b"00" or value[55] != ord("-")):
        return None
    mask = KNOWN_FLAGS if version == b"00" else SAMPLED
    return TraceParent(trace.decode(), parent.decode(), int(flags, 16) & mask)


def mutated() -> st.SearchStrategy[bytes]:
    """Values that are nearly good: one with a few of its bytes, or its end, replaced."""
    places = st.lists(
        st.tuples(st.integers(0, 54), st.sampled_from(b"0fgFA- \x00\xff")), min_size=0, max_size=3
    )

    def change(changes: list[tuple[int, int]], version: bytes, end: bytes) -> bytes:
        value = bytearray(version + GOOD[2:])
        for place, byte in changes:
            value[place] = byte
        return bytes(value) + end

    return st.builds(
        change, places, st.sampled_from([b"00", b"01", b"cc", b"fe", b"ff"]), st.binary(max_size=4)
    )


class Parents(SynchronousTestCase):
    """`parsed_parent`."""

    @given(hexadecimal(32), hexadecimal(16), st.integers(0, 255))
    def test_what_is_written_is_read(self, trace: str, parent: str, flags: int) -> None:
        """Every good ``traceparent`` is read as it was meant; reserved flags are not passed on (section 3.2.2.5)."""
        read = parsed_parent([parent_text(trace, parent, flags).encode()])
        self.assertEqual(read, (trace, parent, flags & KNOWN_FLAGS))

    @given(mutated() | st.binary(max_size=60))
    @example(GOOD)
    @example(GOOD + b"-")
    @example(GOOD + b"\n")
    @example(b"cc" + GOOD[2:] + b"-what the future will be like")
    @example(b"cc" + GOOD[2:] + b".what the future will not be like")
    def test_grammar(self, value: bytes) -> None:
        """Whatever comes is taken where the grammar takes it, and nowhere else (sections 3.2.2 and 3.2.4)."""
        self.assertEqual(parsed_parent([value]), slowly(value))

    def test_refused(self) -> None:
        """The recommendation's own examples of what is invalid."""
        for value in (
            b"",
            GOOD.upper(),
            b"ff" + GOOD[2:],
            f"00-{'0' * 32}-{PARENT}-01".encode(),
            f"00-{TRACE}-{'0' * 16}-01".encode(),
            GOOD[:-1],
            GOOD + b"-extra",
            b" " + GOOD,
            GOOD + b",",
            GOOD + b"," + GOOD,
        ):
            self.assertIsNone(parsed_parent([value]), value)

    def test_twice_is_never(self) -> None:
        """Two fields are none, were they the same: nobody could say which one is meant."""
        self.assertIsNone(parsed_parent([]))
        self.assertIsNone(parsed_parent([GOOD, GOOD]))

    def test_later_versions(self) -> None:
        """Of a later version the known part is read, and only the flag that is certain."""
        later = b"cc" + GOOD[2:-2] + b"ff"
        self.assertEqual(parsed_parent([later]), (TRACE, PARENT, SAMPLED))
        self.assertEqual(parsed_parent([later + b"-and-more"]), (TRACE, PARENT, SAMPLED))
        self.assertIsNone(parsed_parent([later + b"and-more"]))


def good_member(member: bytes) -> bool:
    """The grammar of one member, byte by byte."""
    key, equals, value = member.partition(b"=")
    return (
        bool(equals)
        and 0 < len(key) <= 256
        and key[0] in _KEY_FIRST
        and set(key) <= _KEY
        and 0 < len(value) <= 256
        and all(0x20 <= byte <= 0x7E and byte not in b",=" for byte in value)
        and value[-1:] != b" "
    )


class States(SynchronousTestCase):
    """`parsed_state`."""

    @given(st.lists(st.text("ab1=,@ \t", max_size=12).map(str.encode) | st.binary(max_size=12), max_size=4))
    def test_grammar(self, values: list[bytes]) -> None:
        """All members, or none at all: the list is taken where each is good and none is there twice (section 3.3.1)."""
        members = [part.strip(b" \t") for part in b",".join(values).split(b",")]
        members = [member for member in members if member]
        keys = {member.partition(b"=")[0] for member in members}
        good = all(map(good_member, members)) and len(keys) == len(members)
        self.assertEqual(parsed_state(values).encode(), b",".join(members) if good else b"")

    @given(
        st.lists(
            st.tuples(st.integers(0, 999), st.integers(1, 256)), max_size=40, unique_by=lambda pair: pair[0]
        )
    )
    def test_bounds(self, drawn: list[tuple[int, int]]) -> None:
        """What goes on is short, in its order, whole members only; and passing it on again changes nothing."""
        members = [f"k{number}={'v' * length}" for number, length in drawn]
        kept = parsed_state([",".join(members).encode()])
        self.assertLessEqual(len(kept), LONGEST_STATE)
        left = kept.split(",") if kept else []
        self.assertEqual(left, [member for member in members if member in set(left)])
        if len(members) > MOST_MEMBERS:
            self.assertEqual(kept, "")
        elif len(",".join(members)) <= LONGEST_STATE:
            self.assertEqual(left, members)
        self.assertEqual(parsed_state([kept.encode()]), kept)

    def test_long_ones_go_first(self) -> None:
        """Where there is no room, members of more than 128 characters go first, then those at the end."""
        short = [f"s{number}={'v' * 97}" for number in range(4)]  # 100 characters each
        long = f"long={'v' * 130}"
        self.assertEqual(parsed_state([",".join([long, *short]).encode()]), ",".join(short))
        many = [f"m{number}={'v' * 97}" for number in range(8)]
        self.assertEqual(parsed_state([",".join(many).encode()]), ",".join(many[:5]))

    def test_too_many(self) -> None:
        """32 members are allowed, 33 are none."""
        members = [b"k%d=v" % number for number in range(MOST_MEMBERS + 1)]
        self.assertEqual(parsed_state(members[1:]).encode(), b",".join(members[1:]))
        self.assertEqual(parsed_state(members), "")

    def test_several_fields(self) -> None:
        """Several fields are one list; empty members are allowed, and left out."""
        self.assertEqual(parsed_state([b"a=1 , ,b=2", b"", b"\tc=x y"]), "a=1,b=2,c=x y")

    def test_endless(self) -> None:
        """What could never be good is not looked at member by member."""
        self.assertEqual(parsed_state([b"a=1," * 100_000]), "")


class Ids(SynchronousTestCase):
    """`TraceIds` and `Ratio`."""

    def test_ids(self) -> None:
        """Ids have the right form, and none comes twice."""
        ids = TraceIds()
        traces = [ids.trace() for _ in range(1000)]
        spans = [ids.span() for _ in range(1000)]
        self.assertEqual(len(set(traces)), 1000)
        self.assertEqual(len(set(spans)), 1000)
        for trace, span in zip(traces, spans, strict=True):
            text = parent_text(trace, span, 1)
            self.assertEqual(parsed_parent([text.encode()]), (trace, span, 1))

    @given(hexadecimal(32), st.floats(0, 1), st.floats(0, 1))
    def test_ratio(self, trace: str, one: float, other: float) -> None:
        """All at 1, none at 0; and what a small part takes, a larger one takes, too."""
        self.assertTrue(Ratio(1).takes(trace))
        self.assertFalse(Ratio(0).takes(trace))
        small, large = sorted((one, other))
        self.assertLessEqual(Ratio(small).takes(trace), Ratio(large).takes(trace))

    def test_bounds(self) -> None:
        """A part is from 0 to 1."""
        for part in (-0.1, 1.1, float("nan"), float("inf")):
            self.assertRaises(ValueError, Ratio, part)
