"""Takes the fields that a proxy must read out of a checked block and leaves the other lines' bytes alone.

Stands behind ``request`` and ``response``: one compiled ``split`` finds the wanted lines in C, so a head's
cost grows with the fields that we act on, not with the fields that it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

Known = dict[bytes, bytes]
Repeated = Mapping[bytes, list[bytes]]

NO_REPEATS: Repeated = MappingProxyType({})
"""What nearly every head has for repeated known fields; shared, hence immutable."""


class FieldPicker:
    """Splits field lines into known values and the rest.

    :param take: lower-case names whose values are wanted and whose lines are left out of the rest
    :param read: lower-case names whose values are wanted and whose lines stay; a name in both is taken
    """

    __slots__ = ("_read", "_split")

    def __init__(self, take: Iterable[bytes], read: Iterable[bytes]) -> None:
        taken = frozenset(take)
        self._read = frozenset(read) - taken
        self._split = _pattern(taken | self._read).split

    def pick(self, lines: bytes) -> tuple[Known, Repeated, bytes]:
        """Pick the known fields out of `lines`.

        :param lines: checked field lines, with the LF of the line before in front
        :return: known values by lower-case name (white space around them stripped, repeated ones joined by a
            comma as in RFC 9110 section 5.3), the repeated ones' values apart, and the other lines as they
            came
        """
        parts = self._split(lines)
        count = len(parts)
        known: Known = {}
        if count == 1:
            return known, NO_REPEATS, lines[1:]
        read = self._read
        repeats: dict[bytes, list[bytes]] | None = None
        # The pattern has two groups: parts is text, name, value, text, name, ..., text.
        for index in range(1, count, 3):
            name = parts[index].lower()
            value = parts[index + 1]
            if name in read:
                parts[index - 1] += b"\n" + parts[index] + b":" + value + b"\r"
            if name not in known:
                known[name] = value.strip()
            else:
                if repeats is None:
                    repeats = {}
                repeats.setdefault(name, [known[name]]).append(value.strip())
        rest = b"".join(parts[::3])[1:]
        if repeats is None:
            return known, NO_REPEATS, rest
        # Joined at the end and not as they come: a thousand long values would be copied a thousand times.
        for name, values in repeats.items():
            known[name] = b", ".join(values)
        return known, repeats, rest


@lru_cache(maxsize=32)
def _pattern(names: frozenset[bytes]) -> re.Pattern[bytes]:
    """Compile the splitting pattern: a literal LF (sre uses memchr), a name, the line's remainder."""
    if not names:
        return re.compile(rb"(?!)()()")
    firsts = b"".join(sorted({name[:1] for name in names}))
    return re.compile(
        rb"\n(?=[%s])(%s):([^\r]*+)\r" % (re.escape(firsts + firsts.upper()), _trie_source(names))
    )


def _trie_source(names: Iterable[bytes]) -> bytes:
    """Return a pattern for any of `names` in any case, which looks at each byte of a line at most once."""
    trie: dict[int, Any] = {}
    for name in sorted(names):
        node = trie
        for byte in name:
            node = node.setdefault(byte, {})
        node[_END] = {}
    return _node_source(trie)


_END = -1


def _node_source(node: dict[int, Any]) -> bytes:
    choices = [_either_case(byte) + _node_source(below) for byte, below in node.items() if byte != _END]
    if not choices:
        return b""
    source = choices[0] if len(choices) == 1 else b"(?:" + b"|".join(choices) + b")"
    return b"(?:" + source + b")?+" if _END in node else source


def _either_case(byte: int) -> bytes:
    char = bytes((byte,))
    return b"[" + char + char.upper() + b"]" if char.isalpha() else re.escape(char)
