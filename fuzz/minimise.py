"""Makes the input of a finding small: pieces are taken out as long as the same thing goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

from fuzz.segments import Check


def symptom(check: Check, data: bytes) -> str | None:
    """What goes wrong with an input, in a word; ``None``: nothing does."""
    try:
        check(data)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return None


def minimised(check: Check, data: bytes, seconds: float, now: Callable[[], float] = time.monotonic) -> bytes:
    """The smallest input that was found in `seconds`, with the same symptom as `data`; `data` where it has none.

    Halves are tried first, then ever smaller pieces, down to single bytes; each is taken out, or made an ``a``.
    """
    wanted = symptom(check, data)
    if wanted is None:
        return data
    until = now() + seconds
    size = max(len(data) // 2, 1)
    while now() < until:
        before = data
        at = 0
        while at < len(data) and now() < until:
            shorter = data[:at] + data[at + size :]
            plainer = data[:at] + b"a" * len(data[at : at + size]) + data[at + size :]
            if symptom(check, shorter) == wanted:
                data = shorter
            elif plainer != data and symptom(check, plainer) == wanted:
                data = plainer
                at += size
            else:
                at += size
        if size == 1 and data == before:
            break
        size = max(size // 2, 1)
    return data
