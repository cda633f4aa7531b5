"""Works on single field lines and the lists inside their values, where a request is not on the straight way.

Used by ``proxy`` and ``middleware`` on blocks that ``request`` and ``response`` have checked, and for headers
that a router adds. The hot path stays off it: a plain request needs none of this but ``token_list``, which is
remembered.
"""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache

from .grammar import FIELD, TOKEN

_field_name = re.compile(rb"[%s]++" % TOKEN).fullmatch
_protocol = re.compile(rb"[%s]++(?:/[%s]++)?+" % (TOKEN, TOKEN)).fullmatch

_REMEMBERED_LENGTH = 64
"""Bytes; longer values are not remembered, since peers choose them."""


def fields(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return name and value of each line of a checked `block`; case kept, values stripped of OWS."""
    pairs = []
    for line in block.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        pairs.append((name, value.strip(b" \t")))
    return pairs


def without(block: bytes, names: Set[bytes]) -> bytes:
    """Return a checked `block` without all lines of the lower-case `names`; the other lines keep every byte.

    The names may come from a peer (a ``Connection`` field nominates them), so this compiles no pattern of
    them: a client that sends a new name each time would make us compile each time, which costs more than the
    whole request.
    """
    lines = block.splitlines(keepends=True)
    return b"".join([line for line in lines if line[: line.find(b":")].lower() not in names])


def token_list(value: bytes) -> tuple[bytes, ...]:
    """Return the lower-case members of a comma list of tokens, without empty ones (RFC 9110 section 5.6.1).

    :raises ValueError: if a member is no token
    """
    return _remembered_tokens(value) if len(value) <= _REMEMBERED_LENGTH else _tokens(value)


def upgrade_list(value: bytes) -> tuple[bytes, ...]:
    """Return the protocols (``name`` or ``name/version``) of an ``Upgrade`` value (RFC 9110 section 7.8).

    :raises ValueError: if there is none, or if one is malformed
    """
    protocols = tuple(member for member in (part.strip(b" \t") for part in value.split(b",")) if member)
    if not protocols or not all(map(_protocol, protocols)):
        raise ValueError("not a list of protocols")
    return protocols


def valid_field(name: bytes, value: bytes) -> bool:
    """Tell whether a field may be written: a token, and a value without control bytes or OWS around it."""
    return (
        _field_name(name) is not None and _forbidden_in_value(value) is None and value == value.strip(b" \t")
    )


def _tokens(value: bytes) -> tuple[bytes, ...]:
    members = tuple(member for member in (part.strip(b" \t") for part in value.lower().split(b",")) if member)
    if not all(map(_field_name, members)):
        raise ValueError("not a list of tokens")
    return members


_remembered_tokens = lru_cache(maxsize=256)(_tokens)
_forbidden_in_value = re.compile(rb"[^%s]" % FIELD).search
