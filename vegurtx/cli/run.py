"""Run a service in the foreground, as ``twistd -n`` does, and stop on SIGINT and SIGTERM."""

from __future__ import annotations

import atexit
import contextlib
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorNotRunning

#: seconds within which a second signal is the echo of the first one
_ECHO = 1.0


def run(service: Any, reactor: Any) -> None:
    """Start `service`, and return when the reactor has stopped.

    :param service: has ``startService`` and ``stopService``, as Twisted's `IService`; and perhaps ``at_once``, for
        those who do not want to wait until it has stopped (see `stop_on_signals`).
    :raises SystemExit: starting it has raised that; after everything has been stopped.
    """
    ends: list[SystemExit] = []

    def start() -> None:
        try:
            service.startService()
        except SystemExit as end:  # the reactor would log it, and go on
            ends.append(end)
            stop(reactor)

    reactor.callWhenRunning(stop_on_signals, reactor, getattr(service, "at_once", None))
    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    if ends:
        raise ends[0]


def stop(reactor: Any) -> None:
    """Stop `reactor`, unless it is stopping already."""
    with contextlib.suppress(ReactorNotRunning):
        reactor.stop()


def stop_on_signals(reactor: Any, at_once: Callable[[], object] | None = None) -> None:
    """Stop the running `reactor` on SIGINT and SIGTERM, however many come. The program's exit status stays 0.

    They often come twice: from a terminal or ``timeout`` to the whole group, and from make to its child. Twisted's own
    handlers answer the second one with a traceback, and under twistd they make the signal the program's end. A signal
    that is ignored (as a shell's background job ignores SIGINT) stays so.

    :param at_once: called for a second signal that is more than a second later than the first one: somebody does not
        want to wait.
    """
    first: list[float] = []

    def heard() -> None:
        now = reactor.seconds()
        if not first:
            first.append(now)
            atexit.register(_be_deaf)
            stop(reactor)
        elif at_once is not None and now - first[0] > _ECHO:
            at_once()

    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: reactor.callFromThread(heard))


def _be_deaf() -> None:
    """The interpreter takes its handlers back while it ends: an echo would be the program's exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
