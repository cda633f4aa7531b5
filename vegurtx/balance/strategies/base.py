"""What a strategy is: it chooses one of the replicas that a request may go to.

`vegurtx.balance.admission` asks, after the sticky cookie and before the queue. A strategy changes no replica's
counters; it reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vegurtx.balance.replica import Replica


class Strategy:
    """One service's way to choose. A class of one's own needs `choose` only, and may do without this base.

    :param options: the keys beside ``name`` in the file.
    :raises ValueError: an option that the strategy does not have, or cannot use. The text is shown to the file's
        author.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        reject_unknown(options, (), type(self).__name__)

    def choose(self, replicas: Sequence[Replica], request: Any, now: float) -> Replica | None:
        """Choose the replica for a request.

        :param replicas: those that may have it, at least one. Usually the same list again and again; a new one after
            each change, and one of its own for a request that must not go everywhere. It must not be changed.
        :param request: the request (see `vegurtx.interfaces`).
        :param now: the reactor's time in seconds.
        :return: one of `replicas`, or ``None``: the request has to wait.
        """
        raise NotImplementedError

    def finished(self, replica: Replica, seconds: float | None, ok: bool, now: float) -> None:
        """A try has ended, and `replica` has its place back (``in_flight`` does not count it any more).

        :param seconds: to the response's first byte; ``None``: none came.
        :param ok: whether the replica did its work.
        :param now: the reactor's time in seconds.
        """


def reject_unknown(options: Mapping[str, Any], known: Iterable[str], strategy: str) -> None:
    """Complain of options that a strategy does not have.

    :raises ValueError: there is one.
    """
    names = sorted(known)
    for option in options:
        if option not in names:
            has = f"its options are {', '.join(names)}" if names else "it has no options"
            raise ValueError(f"{strategy} does not know the option {str(option)[:60]!a}; {has}")
