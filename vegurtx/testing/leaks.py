"""What a test left behind: sockets that are still open, and timers that are still set.

trial finds sockets only where they are Twisted's own; uvloop's transports are invisible to it. So the
descriptors of the process are compared, which finds both (Linux; elsewhere only timers are looked at).
"""

from __future__ import annotations

import os
import socket
from typing import Any

from vegurtx.testing.waiting import PeerReactor

_DESCRIPTORS = "/proc/self/fd"


def open_sockets() -> dict[str, str]:
    """Return the network sockets of this process: an identity that is never used twice, and a description
    of each.

    Unnamed socket pairs are left out: event loops make those for themselves.
    """
    found: dict[str, str] = {}
    try:
        descriptors = os.listdir(_DESCRIPTORS)
    except OSError:
        return found
    for descriptor in descriptors:
        try:
            identity = os.readlink(f"{_DESCRIPTORS}/{descriptor}")
            if identity.startswith("socket:") and (described := _describe(int(descriptor))):
                found[identity] = described
        except OSError:
            continue  # closed meanwhile, as the one that listed the folder
    return found


def _describe(descriptor: int) -> str:
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        local = sock.getsockname()
        try:
            peer = sock.getpeername()
        except OSError:
            peer = None
        if sock.family == socket.AF_UNIX and not local and not peer:
            return ""
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        state = "listening" if listens else f"connected to {peer}" if peer else "not connected"
        return f"descriptor {descriptor} at {local}, {state}"


def pending_timers(reactor: PeerReactor) -> list[Any]:
    """Return the delayed calls that are set, trial's own deadlines left out."""
    return [
        call
        for call in reactor.getDelayedCalls()
        if call.active() and not getattr(call.func, "__module__", "").startswith("twisted.trial")
    ]


def leak_report(sockets: list[str], timers: list[Any]) -> str:
    """Return the message for what was left behind."""
    lines = ["the test left something behind (not the peers', those are closed already):"]
    lines += [f"  socket: {described}" for described in sockets]
    lines += [f"  timer: {timer}" for timer in timers]
    if sockets:
        lines.append("  A socket stays when an exchange ends without closing or pooling its connection.")
    if timers:
        lines.append("  A timer stays when connectionLost or stopFactory does not cancel it.")
    return "\n".join(lines)
