"""SIGHUP and SIGUSR1: what is in files is read again, and logs are opened again, while everything goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


def on_signal(number: int, reactor: Any, function: Callable[[], object]) -> Callable[[], None]:
    """Call `function`, in the reactor's thread, whenever the signal comes. Returns what puts the former handler back.

    Twisted's reactors handle other signals only. A handler in Python is called under each of them; under uvloop, too
    (see `hear_children`).
    """
    before = signal.signal(number, lambda *_: reactor.callFromThread(function))

    def restore() -> None:
        signal.signal(number, before)

    return restore
