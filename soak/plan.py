"""Which conversations there are, and how often. The Nth one follows from the seed and N alone: it can be repeated."""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate
from random import Random

#: kind → its share
SHARES: dict[str, float] = {
    # what must always succeed
    "keep_alive": 30,
    "single": 10,
    "pipelined": 8,
    "upload": 14,
    "slow_upload": 3,
    "expect": 4,
    "echo": 6,
    "slow_reader": 2,
    "http10": 3,
    "websocket": 5,
    # what is served by back-ends that are killed and stopped
    "mortal": 8,
    # faults of back-ends, and of clients
    "fault": 12,
    "no_backend": 2,
    "malformed": 2,
    "abort_head": 2,
    "abort_upload": 3,
    "abort_waiting": 3,
    "abort_response": 3,
    "abort_websocket": 2,
}
_NAMES = list(SHARES)
_SUMS = list(accumulate(SHARES.values()))
#: of conversations, over TLS
TLS_SHARE = 0.25


class Planned:
    """One conversation's plan.

    :param seed: the soak's.
    :param number: which one it is.
    """

    def __init__(self, seed: int, number: int) -> None:
        self.number = number
        self.random = Random(f"{seed}/{number}")
        self.kind = _NAMES[bisect(_SUMS, self.random.random() * _SUMS[-1])]
        self.tls = self.random.random() < TLS_SHARE

    def key(self) -> int:
        """The key of a new body."""
        return self.random.getrandbits(40)

    def size(self, most: int, rarely: int = 0) -> int:
        """Bytes of a body: each order of magnitude is as likely as another, and 0 comes, too.

        :param most: up to so many; one in fifty up to `rarely`.
        """
        if rarely and self.random.random() < 0.02:
            most = rarely
        if self.random.random() < 0.08:
            return 0
        return min(most, int(2 ** self.random.uniform(0, most.bit_length())))


def planned_for_all(seed: int) -> dict[str, Planned]:
    """Return a conversation of each kind, the first that comes."""
    found: dict[str, Planned] = {}
    number = 0
    while len(found) < len(SHARES):
        each = Planned(seed, number)
        found.setdefault(each.kind, each)
        number += 1
    return found
