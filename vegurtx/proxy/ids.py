"""Request ids: which ones a client may bring, and new ones (rule 12; Heroku's rules for ``X-Request-Id``)."""

from __future__ import annotations

import os
import re

_POOL_IDS = 256
_FORM = re.compile(rb"[0-9A-Za-z+/=-]*+\Z")

#: the shortest id that is taken from a client, in bytes
SHORTEST = 20


def acceptable(given: bytes, longest: int) -> bool:
    """Whether a client's id is kept: 20 to `longest` bytes, letters, digits and ``+ / = -``."""
    return SHORTEST <= len(given) <= longest and _FORM.match(given) is not None


class RequestIds:
    """Makes random ids in the form of a UUID (version 4), from the system's random numbers fetched in batches."""

    __slots__ = ("_random",)

    def __init__(self) -> None:
        self._random: list[str] = []

    def new(self) -> str:
        """An id that nobody has used or can guess."""
        pool = self._random
        if not pool:
            digits = os.urandom(16 * _POOL_IDS).hex()
            pool.extend(digits[place : place + 32] for place in range(0, len(digits), 32))
        d = pool.pop()
        return f"{d[:8]}-{d[8:12]}-4{d[13:16]}-{'89ab'[int(d[16], 16) & 3]}{d[17:20]}-{d[20:]}"
