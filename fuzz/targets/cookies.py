"""``Cookie`` fields: whom a sticky cookie leads to, and what a cookie's value is hashed to (RFC 6265 section 5.4).

An input is one or more ``Cookie`` values, a line each; ``TOKEN0`` to ``TOKEN2`` stand for the good values of three
replicas, which nobody can guess.

Claims:

- A replica is found only by its own value, as a whole value of the cookie of that name; the first one counts.
- A value that is changed in any byte leads nowhere.
- What a strategy hashes is the value of the first cookie of that name, without quotes.
- What is set is one line, and is found again when a browser sends it back, wherever it stands in the field.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from fuzz.findings import hold, same
from vegurtx.balance.config import StickyConfig
from vegurtx.balance.replica import Replica
from vegurtx.balance.sticky import StickySessions
from vegurtx.balance.strategies.keys import key_of
from vegurtx.message import Backend, Headers

_REPLICAS = [Replica(f"http://192.0.2.{number}:80", Backend(f"192.0.2.{number}", 80)) for number in (1, 2, 3)]
_service: Any = SimpleNamespace(name="web", replicas=_REPLICAS)
_STICKY = StickySessions(StickyConfig(cookie="vegurtx"), _service, b"a secret for the fuzzer")
_TOKENS = [
    _STICKY.set_cookie(replica).partition(";")[0].partition("=")[2].encode("ascii") for replica in _REPLICAS
]
_KEY = key_of("cookie:vegurtx")
_SPACE = b" \t"
_blank = re.compile(rb"\s").search


def check(data: bytes) -> None:
    """All claims, for one request's cookies."""
    for number, token in enumerate(_TOKENS):
        data = data.replace(b"TOKEN%d" % number, token)
    fields = data.split(b"\n")
    found = [_values(value) for value in fields]
    wanted = None
    for values in found:
        for value in values:
            if wanted is None and value in _TOKENS:
                wanted = _REPLICAS[_TOKENS.index(value)]
    request = _request(fields)
    same(_STICKY.replica_of(request), wanted, "another replica", fields)
    first = next((value for values in found for value in values if value), None)
    same(_KEY(request), first, "another key", fields)
    if b"\r" not in data and b"\0" not in data:
        _sent_back(fields[0])
    _guessed(data)


def _request(values: list[bytes]) -> Any:
    return SimpleNamespace(headers=Headers([(b"Cookie", value) for value in values]))


def _values(field: bytes) -> list[bytes]:
    """The values of the cookie of our name, by taking the field apart at each semicolon."""
    found = []
    for pair in field.split(b";"):
        name, equals, value = pair.strip(_SPACE).partition(b"=")
        if name != b"vegurtx" or not equals:
            continue
        if len(value) >= 2 and value[:1] == value[-1:] == b'"':
            value = value[1:-1]
        if b'"' not in value and _blank(value) is None:
            found.append(value)
    return found


def _sent_back(others: bytes) -> None:
    if b"vegurtx" in others:
        return
    for replica, token in zip(_REPLICAS, _TOKENS, strict=True):
        cookie = b"vegurtx=" + token
        for field in (cookie + b"; " + others, others + b"; " + cookie):
            hold(_STICKY.replica_of(_request([field])) is replica, "a cookie is not found again", field)
    line = _STICKY.set_cookie(_REPLICAS[0])
    hold(line.isprintable() and line.isascii(), "a cookie that is no line", line)


def _guessed(data: bytes) -> None:
    """One byte of a good value is another."""
    if len(data) < 2:
        return
    token = bytearray(_TOKENS[0])
    token[data[0] % len(token)] ^= (data[1] & 0x7F) or 1
    request = _request([b"vegurtx=" + bytes(token)])
    hold(_STICKY.replica_of(request) in (None, *_REPLICAS[1:]), "a changed cookie is good", bytes(token))
