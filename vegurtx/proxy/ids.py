"""Request ids: which ones a client may bring, and new ones (rule 12; Heroku's rules for ``X-Request-Id``)."""

from __future__ import annotations

import os
import re

_BATCH = 256
#: where the hexadecimal digits of a UUID stand in its 36 characters (RFC 9562 section 4)
_PLACES = [place for place in range(36) if place not in (8, 13, 18, 23)]
_VERSION, _VARIANT = 14, 19
#: from a random digit to one that says variant 1
_VARIANTS = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)
_FORM = re.compile(rb"[0-9A-Za-z+/=-]*+\Z")

#: the shortest id that is taken from a client, in bytes
SHORTEST = 20


def acceptable(given: bytes, longest: int) -> bool:
    """Whether a client's id is kept: 20 to `longest` bytes, letters, digits and ``+ / = -``."""
    return SHORTEST <= len(given) <= longest and _FORM.match(given) is not None


class RequestIds:
    """Makes random ids in the form of a UUID (version 4), a batch at a time: a third of the price of one by one."""

    __slots__ = ("_ready",)

    def __init__(self) -> None:
        self._ready: list[str] = []

    def new(self) -> str:
        """An id that nobody has used or can guess."""
        ready = self._ready
        if not ready:
            ready += _batch()
        return ready.pop()


def _batch() -> list[str]:
    digits = os.urandom(16 * _BATCH).hex().encode("ascii")
    text = bytearray(b"-" * (36 * _BATCH))
    for column, place in enumerate(_PLACES):  # a column of all ids in one go
        text[place::36] = digits[column::32]
    text[_VERSION::36] = b"4" * _BATCH
    text[_VARIANT::36] = text[_VARIANT::36].translate(_VARIANTS)
    whole = text.decode("ascii")
    return [whole[begin : begin + 36] for begin in range(0, 36 * _BATCH, 36)]
