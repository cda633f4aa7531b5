"""The states that an operator has given to replicas, in one worker: kept, also for replicas that are not there yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


class ReplicaStates:
    """See the module's text.

    :param program: the process: a `vegurtx.ops.admin.program.LocalProgram`.
    :param states: of each its service, its replica's key, and the state.
    """

    def __init__(self, program: Any, states: Iterable[Sequence[str]]) -> None:
        self._program = program
        self._wanted = {(service, key): state for service, key, state in states}

    def set(self, service: str, key: str, state: str) -> None:
        """An operator wants it so.

        :raises KeyError: there is no such replica here; it gets the state when it comes.
        :raises ValueError: there is no such state.
        """
        if state == "ready":
            self._wanted.pop((service, key), None)
        else:
            self._wanted[service, key] = state
        self._program.set_replica_state(service, key, state)

    def apply(self) -> None:
        """Give them to replicas that have come since: their name has been resolved, or the file has brought them."""
        if not self._wanted:
            return
        present = self._program.replica_states()
        for (service, key), state in self._wanted.items():
            if present.get((service, key), state) != state:
                self._program.set_replica_state(service, key, state)
