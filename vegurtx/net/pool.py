"""Which back-end connections are idle. Bookkeeping only: no socket, no clock, no reactor (rule 23).

Last in, first out: the connection used last is the one most likely to be alive, and those not needed any more age
at the bottom until they expire.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)


class Pool(Generic[C]):
    """Idle connections by key.

    :param per_key: how many idle connections of one key are kept.
    :param total: how many idle connections are kept in all.
    """

    def __init__(self, per_key: int, total: int) -> None:
        self._per_key = per_key
        self._total = total
        self._idle: dict[Hashable, list[tuple[C, float]]] = {}
        self._size = 0

    def take(self, key: Hashable) -> C | None:
        """The connection of `key` that became idle last, not idle any more; `None` if there is none."""
        stack = self._idle.get(key)
        if not stack:
            return None
        connection = stack.pop()[0]
        self._size -= 1
        if not stack:
            del self._idle[key]
        return connection

    def put(self, key: Hashable, connection: C, now: float) -> C | None:
        """Keep `connection` as idle since `now`. Returns the connection to close in its stead, if one is too many."""
        stack = self._idle.setdefault(key, [])
        stack.append((connection, now))
        self._size += 1
        if len(stack) > self._per_key:
            self._size -= 1
            return stack.pop(0)[0]
        if self._size > self._total:
            return self._oldest()
        return None

    def remove(self, key: Hashable, connection: C) -> bool:
        """Forget an idle connection (it closed, or it spoke). Returns whether it was there."""
        stack = self._idle.get(key, [])
        for place in range(len(stack) - 1, -1, -1):
            if stack[place][0] is connection:
                self._forget(key, stack, place)
                return True
        return False

    def expired(self, before: float) -> list[C]:
        """Forget, and return, all connections that are idle since `before` or longer."""
        gone: list[C] = []
        for key, stack in list(self._idle.items()):
            while stack and stack[0][1] <= before:
                gone.append(stack[0][0])
                self._forget(key, stack, 0)
        return gone

    def _oldest(self) -> C:
        key, stack = min(self._idle.items(), key=lambda item: item[1][0][1])
        connection = stack[0][0]
        self._forget(key, stack, 0)
        return connection

    def _forget(self, key: Hashable, stack: list[tuple[C, float]], place: int) -> None:
        del stack[place]
        self._size -= 1
        if not stack:
            del self._idle[key]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[C]:
        for stack in self._idle.values():
            for connection, _ in stack:
                yield connection

    def __repr__(self) -> str:
        counts = ", ".join(f"{key!r}: {len(stack)}" for key, stack in self._idle.items())
        return f"<Pool of {self._size} idle: {{{counts}}}>"
