"""SIGHUP and SIGUSR1: what is in files is read again, and logs are opened again, while everything goes on.

While nobody is there to hear them, signals are held back: most of them would end the process.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from typing import Any

#: what a program that starts cannot hear yet. SIGTERM and SIGINT may end it: nobody is served
AT_THE_START = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
#: while one program has gone and the one that follows in its process is not there yet (SIGUSR2)
IN_BETWEEN = (*AT_THE_START, signal.SIGINT, signal.SIGTERM)


def hold_back(numbers: Iterable[signal.Signals]) -> None:
    """These signals wait until `hear_again`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def hear_again() -> None:
    """Signals that were held back for this program reach it now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, IN_BETWEEN)


def on_signal(number: int, reactor: Any, function: Callable[[], object]) -> Callable[[], None]:
    """Call `function`, in the reactor's thread, whenever the signal comes. Returns what puts the former handler back.

    Twisted's reactors handle other signals only. A handler in Python is called under each of them; under uvloop, too
    (see `hear_children`).
    """
    before = signal.signal(number, lambda *_: reactor.callFromThread(function))

    def restore() -> None:
        signal.signal(number, before)

    return restore
