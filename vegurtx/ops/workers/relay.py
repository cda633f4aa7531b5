"""What workers log comes out of the supervisor's log: one file, one format, whole lines.

A worker writes each event as JSON on its standard error, a pipe to the supervisor, which logs it again: with its level,
its namespace and its time, and the worker's number with it. What else comes through the pipe (a warning, the last words
of an interpreter that dies) is logged as text.
"""

from __future__ import annotations

from typing import TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsJSON,
    eventFromJSON,
    globalLogBeginner,
    globalLogPublisher,
)
from zope.interface import provider

_log = Logger()

#: begins the line of an event (RFC 7464); no text begins with it
_RECORD = "\x1e"


def log_to_supervisor(stream: TextIO, *, take_output: bool) -> None:
    """From now on this process, a worker, logs to `stream`.

    :param take_output: whether what is printed becomes lines of the log, as under twistd.
    """

    @provider(ILogObserver)
    def write(event: LogEvent) -> None:
        # One write a line: a pipe keeps lines whole.
        stream.write(f"{_RECORD}{eventAsJSON(event)}\n")
        stream.flush()

    wanted = LogLevelFilterPredicate()
    # Where the proxy listens is said once, by the supervisor.
    wanted.setLogLevelForNamespace("vegurtx.service", LogLevel.warn)
    globalLogBeginner.beginLoggingTo(
        [FilteringLogObserver(write, [wanted])],
        redirectStandardIO=take_output,
    )


def log_line(worker: int, line: bytes) -> None:
    """Log, in the supervisor, a line that a worker has written."""
    text = line.decode("utf-8", "backslashreplace")
    if text.startswith(_RECORD):
        try:
            event = eventFromJSON(text[1:])
        except Exception:  # not one of ours; then it is text like any other
            event = None
        if isinstance(event, dict):
            level = getattr(event.get("log_level"), "name", "info")
            event["worker"] = worker
            event["log_system"] = f"{event.get('log_namespace', '-')}#{level} worker {worker}"
            globalLogPublisher(event)
            return
    if text.strip():
        _log.warn("worker {worker} says: {text}", worker=worker, text=_printable(text))


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
