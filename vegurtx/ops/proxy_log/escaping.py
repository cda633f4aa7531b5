"""Text in lines: whatever is in an event, one line stays one line, and no terminal is told what to do.

Twisted's own observer lets control characters through, and begins a line at each line feed: a reason phrase, a name or
an exception's message may come from a peer.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import LogEvent, formatEvent

#: characters of a message, and of a traceback; of the former the begin is kept, of the latter the end
LONGEST = 16 * 1024
LONGEST_TRACEBACK = 64 * 1024
_CUT = "…"


def printable(text: str) -> str:
    """`text` with escapes, as in a Python string, in place of what cannot be seen: ``\\n``, ``\\x1b``, ``\\u202e``."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text
    )


def message_of(event: LogEvent) -> str:
    """What `event` says, as it is; not longer than `LONGEST`."""
    text = formatEvent(event).strip("\n")
    return text if len(text) <= LONGEST else text[:LONGEST] + _CUT


def traceback_of(event: LogEvent) -> str:
    """The traceback that came with `event`, as it is; empty where there is none."""
    failure: Any = event.get("log_failure")
    if failure is None:
        text = event.get("log_traceback", "")  # from another process (see `passing_on`)
        return text if isinstance(text, str) else ""
    try:
        text = str(failure.getTraceback())
    except Exception as problem:  # of somebody's __str__, or __repr__
        text = f"(no traceback: {type(problem).__name__})"
    text = text.strip("\n")
    return text if len(text) <= LONGEST_TRACEBACK else _CUT + text[-LONGEST_TRACEBACK:]


def level_of(event: LogEvent) -> str:
    """The name of its level."""
    return str(getattr(event.get("log_level"), "name", "info"))


def namespace_of(event: LogEvent) -> str:
    """Where it comes from; ``-`` where that is not said."""
    return str(event.get("log_namespace") or "-")
