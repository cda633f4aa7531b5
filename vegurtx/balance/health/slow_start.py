"""Slow start: a replica that comes back gets its share of the requests little by little.

`Replica.effective_weight` does the sum; here is when it starts. How long it lasts, the service's ``passive_health``
says (``slow_start``), and the table has put it into `Replica.slow_start`.
"""

from __future__ import annotations

from vegurtx.balance.replica import Replica


def start_slowly(replica: Replica, now: float) -> None:
    """`replica` is back at the reactor's time `now`: from here on its weight grows, if its service wants that."""
    if replica.slow_start > 0.0:
        replica.slow_start_since = now
