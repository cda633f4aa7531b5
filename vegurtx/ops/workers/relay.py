"""What workers log comes out of the supervisor's log: one file, one format, whole lines.

A worker writes each event as JSON on its standard error, a pipe to the supervisor, which logs it again: with its level,
its namespace, its time and its traceback, and the worker's number with it. What else comes through the pipe (a warning,
the last words of an interpreter that dies) is logged as text.
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
    globalLogBeginner,
    globalLogPublisher,
)
from zope.interface import provider

from vegurtx.ops.proxy_log import packed, unpacked

_log = Logger()

#: begins the line of an event (RFC 7464); no text begins with it
_RECORD = "\x1e"


def log_to_supervisor(stream: TextIO, *, take_output: bool) -> LogLevelFilterPredicate:
    """From now on this process, a worker, logs to `stream`.

    :param take_output: whether what is printed becomes lines of the log, as under twistd.
    :returns: which events go there; levels can be set in it.
    """

    @provider(ILogObserver)
    def write(event: LogEvent) -> None:
        # One write a line: a pipe keeps lines whole.
        stream.write(f"{_RECORD}{packed(event)}\n")
        stream.flush()

    wanted = LogLevelFilterPredicate()
    # Where the proxy listens is said once, by the supervisor.
    wanted.setLogLevelForNamespace("vegurtx.service", LogLevel.warn)
    globalLogBeginner.beginLoggingTo(
        [FilteringLogObserver(write, [wanted])],
        redirectStandardIO=take_output,
    )
    return wanted


def log_line(worker: int, line: bytes) -> None:
    """Log, in the supervisor, a line that a worker has written."""
    text = line.decode("utf-8", "backslashreplace")
    if text.startswith(_RECORD):
        try:
            event = unpacked(text[1:])
        except ValueError:  # not one of ours; then it is text like any other
            pass
        else:
            event["worker"] = worker
            event["log_system"] = f"{event['log_namespace']}#{event['log_level'].name} worker {worker}"
            globalLogPublisher(event)
            return
    if text.strip():
        _log.warn("worker {worker} says: {text}", worker=worker, text=_printable(text))


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
