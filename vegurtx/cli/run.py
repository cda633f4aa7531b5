"""Run a service in the foreground, as ``twistd -n`` does: log to standard output, stop on SIGINT and SIGTERM."""

from __future__ import annotations

import sys
from typing import Any

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
    """
    reactor.callWhenRunning(service.startService)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
