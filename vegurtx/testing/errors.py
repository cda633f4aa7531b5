"""What a scripted peer raises when a conversation does not go as the script says.

Nothing of this is on the data's way: the peers stand outside the proxy, one on the client's side and one on
the back-end's. All errors here are `AssertionError`s, so that trial and pytest report a failed test, not a
broken one.
"""

from __future__ import annotations

SHOWN = 400
"""How many bytes of a longer record `shown` lets through, half from its start and half from its end."""


class ConversationError(AssertionError):
    """The conversation took another turn than the script. The message ends with what was received so far."""


class MalformedMessage(ConversationError):
    """The other side sent something that RFC 9112 does not allow, or that the proxy promises never to
    write.
    """


class PeerClosed(ConversationError):
    """The other side ended the connection while more was expected."""


class PeerSilent(ConversationError):
    """What was waited for did not come in time."""


def shown(data: bytes | bytearray | memoryview, limit: int = SHOWN) -> str:
    """Return `data` as a literal for a message, its middle cut out where it is longer than `limit` bytes."""
    if len(data) <= limit:
        return repr(bytes(data))
    half = limit // 2
    return f"{bytes(data[:half])!r} ... {len(data) - 2 * half} bytes cut ... {bytes(data[-half:])!r}"
