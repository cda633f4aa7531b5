"""Run a service in the foreground, as ``twistd -n`` does: log to standard output, stop on SIGINT and SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.logger import (
    FilteringLogObserver,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)


def start_logging() -> None:
    """Log to standard output, a line an event."""
    everything = textFileLogObserver(sys.stdout)
    globalLogBeginner.beginLoggingTo(
        [FilteringLogObserver(everything, [LogLevelFilterPredicate()])], redirectStandardIO=False
    )


def run(service: Any, reactor: Any) -> None:
    """Start `service`, and return when the reactor has stopped.

    :param service: has ``startService`` and ``stopService``, as Twisted's `IService`.
    :raises SystemExit: starting it has raised that; after everything has been stopped.
    """
    ends: list[SystemExit] = []

    def start() -> None:
        try:
            service.startService()
        except SystemExit as end:  # the reactor would log it, and go on
            ends.append(end)
            stop(reactor)

    reactor.callWhenRunning(stop_on_signals, reactor)
    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    if ends:
        raise ends[0]


def stop(reactor: Any) -> None:
    """Stop `reactor`, unless it is stopping already."""
    with contextlib.suppress(ReactorNotRunning):
        reactor.stop()


def stop_on_signals(reactor: Any) -> None:
    """Stop the running `reactor` on SIGINT and SIGTERM, however many come.

    They often come twice: from a terminal or ``timeout`` to the whole group, and from make to its child. Twisted's own
    handlers answer the second one with a traceback. A signal that is ignored (as a shell's background job ignores
    SIGINT) stays so.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: reactor.callFromThread(stop, reactor))
