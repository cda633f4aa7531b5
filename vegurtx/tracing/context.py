"""W3C Trace Context: what the fields ``traceparent`` and ``tracestate`` say, and how they are written.

Pure functions on bytes and text, without clock, sockets or Twisted. Strict where the recommendation is strict: what is
not well formed counts as not there, and a new trace begins. Source: W3C Trace Context (level 1, with level 2's random
flag and key grammar).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

#: the flag that says that the caller may have recorded the trace
SAMPLED = 0x01
#: the flag that says that the trace's id is random (level 2)
RANDOM = 0x02
#: the flags that are passed on; all others are reserved, and sent as zero (section 3.2.2.5)
KNOWN_FLAGS = SAMPLED | RANDOM

#: members of a ``tracestate`` at the most (section 3.3.1.1)
MOST_MEMBERS = 32
#: characters of a ``tracestate`` that are passed on at the most (section 3.3.1.5)
LONGEST_STATE = 512
#: members that are longer are the first ones to go where it is too long
_LONG_MEMBER = 128
#: bytes that are looked at: 32 members of the longest kind, their commas, and blanks around them
_LONGEST_GIVEN = MOST_MEMBERS * (256 + 1 + 256 + 3)

# A version that is not 00 may have more behind a dash. ff is none.
_parent = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL
).fullmatch
_member = re.compile(
    rb"[a-z0-9][a-z0-9_*/@-]{0,255}+=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
).fullmatch


class TraceParent(NamedTuple):
    """What a ``traceparent`` says."""

    trace_id: str
    """Of the whole trace: 32 hexadecimal digits, not all of them zero."""
    parent_id: str
    """Of the caller's span: 16 hexadecimal digits, not all of them zero."""
    flags: int
    """`SAMPLED`, `RANDOM`, both, or none."""


def parsed_parent(values: Sequence[bytes]) -> TraceParent | None:
    """What the ``traceparent`` fields of one message say.

    :param values: the fields' values, without blanks around them.
    :returns: `None` where there is no field, more than one, or one that is malformed (sections 3.2.2 and 4.3). Of a
        version that is not known yet, the part that version 00 knows (section 3.2.4).
    """
    if len(values) != 1:
        return None
    found = _parent(values[0])
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    if version == b"00":
        if more is not None:
            return None
        known = int(flags, 16) & KNOWN_FLAGS
    else:  # of a later version's flags, only this one is certain to mean the same
        known = int(flags, 16) & SAMPLED
    return TraceParent(trace_id.decode("ascii"), parent_id.decode("ascii"), known)


def parent_text(trace_id: str, parent_id: str, flags: int) -> str:
    """A ``traceparent`` of version 00."""
    return f"00-{trace_id}-{parent_id}-{flags:02x}"


def parsed_state(values: Sequence[bytes]) -> str:
    """What is passed on of the ``tracestate`` fields of one message, whose ``traceparent`` is good.

    :param values: the fields' values, in their order; together they are one list (section 3.3.1.2).
    :returns: the members, separated by commas, 512 characters at the most; where they are more, whole members are left
        out: long ones first, then those at the end (section 3.3.1.5). Empty where there is no member, where one is
        malformed or twice there, or where they are more than 32.
    """
    if sum(map(len, values)) > _LONGEST_GIVEN:
        return ""
    members = []
    keys = set()
    for value in values:
        for part in value.split(b","):
            member = part.strip(b" \t")
            if not member:
                continue
            if _member(member) is None:
                return ""
            members.append(member)
            keys.add(member[: member.index(b"=")])
    if len(keys) != len(members) or len(members) > MOST_MEMBERS:
        return ""
    return b",".join(_within(members)).decode("ascii")


def _within(members: list[bytes]) -> list[bytes]:
    """The `members` that `LONGEST_STATE` has room for."""
    size = sum(map(len, members)) + len(members) - 1
    if size <= LONGEST_STATE:
        return members
    kept = list(members)
    for limit in (_LONG_MEMBER, 0):
        for place in range(len(kept) - 1, -1, -1):
            if size <= LONGEST_STATE:
                return kept
            if len(kept[place]) > limit:
                size -= len(kept.pop(place)) + 1
    return kept
