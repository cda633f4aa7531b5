"""Whose worker dies again and again before it is ready lends its sockets: another place's worker takes the clients in.

Each worker of a TCP listener has a socket of its own, and its clients wait in that socket's backlog. They wait for a
moment while a worker is replaced; they would wait for good where none can start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.logger import Logger

from vegurtx.ops.workers.slot import Slot
from vegurtx.ops.workers.sockets import SharedListener, own_descriptors_of
from vegurtx.ops.workers.worker import State, Worker

_log = Logger()

#: so many workers that ended one after the other before they were ready
FAILURES = 2


class Lending:
    """Who serves whose sockets.

    :param listeners: with all sockets.
    :param places: how many there are.
    """

    def __init__(self, listeners: Sequence[SharedListener], places: int) -> None:
        self._listeners = listeners
        self._places = places
        #: ``place → the worker that serves its sockets, too``
        self._lent: dict[int, Worker] = {}

    def look(self, slots: Iterable[Slot]) -> None:
        """Something has changed in one of `slots`, which are all of them."""
        slots = list(slots)
        for slot in slots:
            holder = self._lent.get(slot.number)
            if holder is not None and (slot.ready or holder.state is not State.READY):
                del self._lent[slot.number]
                if slot.ready:
                    holder.tell("return", place=slot.number)
                holder = None
            if holder is None and not slot.ready and slot.failures >= FAILURES:
                self._lend(slot, [each.worker for each in slots if each.worker is not None and each.ready])

    def _lend(self, slot: Slot, ready: list[Worker]) -> None:
        holders = list(self._lent.values())
        indices, descriptors = own_descriptors_of(self._listeners, slot.number, self._places)
        if not ready or not descriptors:
            return
        chosen = min(ready, key=holders.count)
        if chosen.tell("lend", descriptors, place=slot.number, listeners=indices):
            self._lent[slot.number] = chosen
            _log.warn(
                "worker {number} does not come up: its clients are served by worker {other} (process {pid})",
                number=slot.number,
                other=chosen.number,
                pid=chosen.pid,
            )
