"""The observer that writes events to a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.logger import FilteringLogObserver, ILogObserver, LogEvent
from zope.interface import provider

from vegurtx.ops.proxy_log.json_style import json_line
from vegurtx.ops.proxy_log.levels import Levels
from vegurtx.ops.proxy_log.text_style import text_line

#: what a line may look like; the first one is the default
STYLES: dict[str, Callable[[LogEvent], str]] = {"text": text_line, "json": json_line}


def log_observer(stream: Any, style: str, levels: Levels) -> Any:
    """An `ILogObserver` that writes events.

    :param stream: takes text: has ``write`` and ``flush``.
    :param style: one of `STYLES`, by its name.
    :param levels: which events it writes.
    :raises KeyError: there is no such style.
    """
    line_of = STYLES[style]
    # A terminal's, or a file's under LANG=C, may not have all characters.
    encoding = getattr(stream, "encoding", None) or "utf-8"

    @provider(ILogObserver)
    def write(event: LogEvent) -> None:
        line = line_of(event)
        if line:
            if not line.isascii():
                line = line.encode(encoding, "backslashreplace").decode(encoding)
            stream.write(line)
            stream.flush()

    return FilteringLogObserver(write, [levels.predicate()])
