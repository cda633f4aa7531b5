"""A descriptor that the reactor watches, whatever kind it is: a pipe's end, a socket, a process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer


@implementer(IReadDescriptor)
class Watch:
    """Calls `ready` whenever `descriptor` can be read or has ended, until it is stopped.

    :param ready: must read all that there is, or `stop`.
    """

    def __init__(self, reactor: Any, descriptor: int, ready: Callable[[], None]) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._ready: Callable[[], None] | None = ready
        reactor.addReader(self)

    def stop(self) -> None:
        """Watch it no more; to be called before it is closed."""
        if self._ready is not None:
            self._ready = None
            self._reactor.removeReader(self)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def doRead(self) -> None:
        """It can be read."""
        if self._ready is not None:
            self._ready()

    def connectionLost(self, reason: Failure) -> None:
        """It has ended; reading it says so, too."""
        self.doRead()

    def logPrefix(self) -> str:
        """For log lines."""
        return "vegurtx"
