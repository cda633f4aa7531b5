"""Which reactor the program runs on: chosen here, before anything that a user's module imports can choose another.

uvloop's transports cost a third less per request than the epoll reactor's; whoever names a reactor gets that one.
"""

from __future__ import annotations

import signal
import sys
from typing import Any


def install_fastest_reactor() -> None:
    """Install Twisted's asyncio reactor on a uvloop loop, where uvloop is there and no reactor is installed yet."""
    if "twisted.internet.reactor" in sys.modules:
        return
    try:
        import uvloop
    except ImportError:
        return
    from twisted.internet import asyncioreactor

    asyncioreactor.install(uvloop.new_event_loop())


def install_named_reactor(name: str) -> None:
    """Install the reactor `name` (``"epoll"``, ``"asyncio"``, …).

    :raises ValueError: there is no such reactor, or it cannot be had on this machine.
    """
    from twisted.application.reactors import NoSuchReactor, getReactorTypes, installReactor

    try:
        installReactor(name)
    except NoSuchReactor:
        names = ", ".join(sorted(kind.shortName for kind in getReactorTypes()))
        raise ValueError(f"there is no reactor {name!r}; there are {names}") from None
    except Exception as problem:
        raise ValueError(f"the reactor {name!r} cannot be used: {problem}") from problem


def hear_children(reactor: Any) -> None:
    """Let a running reactor notice when the processes that it has spawned end.

    On a uvloop loop it does not by itself: Twisted waits for a byte from the signal's file descriptor
    (``signal.set_wakeup_fd``), and uvloop has put its own there. A handler in Python is called all the same.
    """
    from twisted.internet.process import reapAllProcesses

    signal.signal(signal.SIGCHLD, lambda *_: reactor.callFromThread(reapAllProcesses))
