"""The style ``text``: a line an event, as Twisted writes it; a traceback follows, each line of it behind a tab.

    2026-11-21T08:32:00+0000 [vegurtx.balance.health.passive#warn] web: replica 127.0.0.1:8081 is ejected …

So whatever does not begin with a tab is an event's begin, and nothing that is in an event can look like one.
"""

from __future__ import annotations

from twisted.logger import LogEvent, formatTime

from vegurtx.ops.proxy_log.escaping import level_of, message_of, namespace_of, printable, traceback_of


def text_line(event: LogEvent) -> str:
    """The line, or the lines, of `event`, with the line feed; empty where there is nothing to say."""
    message, traceback = message_of(event), traceback_of(event)
    if not message and not traceback:
        return ""
    system = event.get("log_system") or f"{namespace_of(event)}#{level_of(event)}"
    lines = [f"{formatTime(event.get('log_time'))} [{printable(str(system))}] {printable(message)}"]
    if traceback:
        lines += ["\t" + printable(line) for line in traceback.split("\n")]
    return "\n".join(lines) + "\n"
