"""Content for big bodies: bytes that can be made, and checked, at any offset without being stored.

The pattern repeats after `PERIOD` bytes, a prime: a piece that is lost, doubled or out of place by any
power of two never matches.
"""

from __future__ import annotations

import random

PERIOD = 1048573

_ONCE = random.Random(26).randbytes(PERIOD)
PATTERN = _ONCE + _ONCE
"""The pattern twice, so that `PERIOD` bytes from any offset are one slice."""


def pattern(offset: int, size: int) -> memoryview:
    """Return `size` bytes (at most `PERIOD`) of the content that starts at `offset`, without copying."""
    start = offset % PERIOD
    return memoryview(PATTERN)[start : start + min(size, PERIOD)]


def matches(data: bytes | memoryview, offset: int) -> bool:
    """Return whether `data` (at most `PERIOD` bytes) is what the pattern has at `offset`."""
    # startswith compares in C without copying.
    return PATTERN.startswith(data, offset % PERIOD)
