"""What stands inside field values: lists of tokens, of protocols; and the fields that a router adds.

An input is a value; with a line feed in it, a field's name and its value.

Claims:

- A list is read as its members between commas; written again, it is read as the same list.
- A member is a token (of ``Upgrade``: one, or two around a slash), in lower case where case does not count.
- What may be written as a field is read back by h11 as that field, and cannot end its line.
- Taking away fields takes away those and leaves every other byte.
"""

from __future__ import annotations

from fuzz.findings import hold, same
from fuzz.oracles import h11_requests
from vegurtx.proxy.additional import OURS, lines_of, replaced
from vegurtx.wire.fields import fields, token_list, upgrade_list, valid_field, without
from vegurtx.wire.grammar import TOKEN

_TOKEN = frozenset(TOKEN.replace(b"\\-", b"-").replace(b"0-9A-Za-z", b"")) | frozenset(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
_HEAD = b"GET / HTTP/1.1\r\nHost: h\r\n"
_BLOCK = b"A: 1\r\nB:2\r\na:  3 \r\nSet-Cookie: x\r\n"


def check(data: bytes) -> None:
    """All claims, for one value."""
    name, line_feed, value = data.partition(b"\n")
    if line_feed:
        _field(name, value)
    else:
        _tokens(data)
        _protocols(data)


def _members(value: bytes) -> list[bytes]:
    return [member for member in (part.strip(b" \t") for part in value.split(b",")) if member]


def _tokens(value: bytes) -> None:
    wanted = [member.lower() for member in _members(value)]
    good = all(_TOKEN.issuperset(member) for member in wanted)
    try:
        found = token_list(value)
    except ValueError:
        hold(not good, "a list of tokens is refused", value)
        return
    hold(good, "what is no token is taken", value)
    same(list(found), wanted, "other members")
    same(token_list(b", ".join(found)), found, "a list that is written again is another")


def _protocols(value: bytes) -> None:
    wanted = _members(value)
    good = bool(wanted)
    for member in wanted:
        parts = member.split(b"/")
        good = good and len(parts) <= 2 and all(part and _TOKEN.issuperset(part) for part in parts)
    try:
        found = upgrade_list(value)
    except ValueError:
        hold(not good, "a list of protocols is refused", value)
        return
    hold(good, "what is no protocol is taken", value)
    same(list(found), wanted, "other protocols")
    same(upgrade_list(b", ".join(found)), found, "a list that is written again is another")


def _field(name: bytes, value: bytes) -> None:
    try:
        lines = lines_of([(name, value)])
    except ValueError:
        hold(not valid_field(name, value) or name.lower() in OURS, "a good field is refused", name, value)
        return
    ((key, line),) = lines
    same(key, name.lower(), "another name")
    hold(
        line.count(b"\r") == line.count(b"\n") == 1 and line.endswith(b"\r\n"), "a line that ends early", line
    )
    same(fields(line), [(name, value)], "a field that is written is another")
    stream = h11_requests(_HEAD + line + b"\r\n")
    if key != b"host":  # a second one
        hold(len(stream.messages) == 1, "h11 does not read what a router may add", stream)
        same(stream.messages[0].fields[1:], [(key, value)], "h11 reads another field")
    left = [(other, text) for other, text in fields(_BLOCK) if other.lower() != key]
    same(fields(without(_BLOCK, {key})), left, "other fields are taken away")
    kept = fields(_BLOCK) if key == b"set-cookie" else left
    same(fields(replaced(_BLOCK, [(name, value)])), [*kept, (name, value)], "a field is not replaced")
