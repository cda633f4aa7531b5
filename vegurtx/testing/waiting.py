"""Waiting for an event with a bound: the one place where the scripted peers touch Deferreds and timers.

A peer keeps a `Waiters`; whenever something happened on its socket it calls `check`, and every wait whose
condition has come true goes on. A wait that is satisfied already costs neither a Deferred nor a turn of the
reactor, so a script that reads bytes which are there runs straight through.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred

from vegurtx.testing.errors import ConversationError, PeerSilent

_T = TypeVar("_T")

PATIENCE = 5.0
"""Seconds that a wait lasts before it fails, where nothing else is said."""


class PeerReactor(Protocol):
    """What the peers need of a reactor: descriptors (`IReactorFDSet`) and timers (`IReactorTime`)."""

    def addReader(self, reader: Any, /) -> Any: ...
    def addWriter(self, writer: Any, /) -> Any: ...
    def removeReader(self, reader: Any, /) -> Any: ...
    def removeWriter(self, writer: Any, /) -> Any: ...
    def callLater(self, delay: float, call: Callable[..., Any], /, *args: Any) -> Any: ...
    def getDelayedCalls(self) -> Any: ...


class Waiters:
    """The waits that are under way at one peer.

    `story` returns what the peer has lived through so far; a wait that fails adds it to its message.
    """

    def __init__(self, reactor: PeerReactor, story: Callable[[], str]) -> None:
        self._reactor = reactor
        self._story = story
        self._checks: list[Callable[[], None]] = []

    async def until(self, ready: Callable[[], _T | None], what: str, timeout: float) -> _T:
        """Wait until `ready()` returns something other than `None`, and return it.

        `what` names the thing in the message of a failure; `timeout` is in seconds. Raises `PeerSilent`
        when the time is up, and whatever `ready` raises.
        """
        found = ready()
        if found is not None:
            return found
        waiting: Deferred[_T] = Deferred()

        def check() -> None:
            try:
                found = ready()
            except ConversationError as error:
                stop()
                waiting.errback(error)
            else:
                if found is not None:
                    stop()
                    waiting.callback(found)

        def give_up() -> None:
            self._checks.remove(check)
            waiting.errback(PeerSilent(f"waited {timeout} s for {what}; {self._story()}"))

        def stop() -> None:
            self._checks.remove(check)
            timer.cancel()

        timer = self._reactor.callLater(timeout, give_up)
        self._checks.append(check)
        return await waiting

    def check(self) -> None:
        """Something happened: let every wait look whether it is satisfied."""
        # A wait that goes on runs the test's next lines right here; those may start or end other waits.
        for check in tuple(self._checks):
            if check in self._checks:
                check()


def running_reactor() -> Any:
    """Return the reactor that trial runs. Imported late: importing it installs it."""
    from twisted.internet import reactor

    return reactor
