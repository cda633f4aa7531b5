"""Where a TLS layer's connection is; what `layer` does with bytes and ends depends on nothing else."""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """Where a connection is between its first and its last moment."""

    HANDSHAKE = auto()
    LAST_WORDS = auto()  # loseConnection was called in the handshake: what was written goes out behind it
    OPEN = auto()
    FLUSHING = auto()  # loseConnection was called; a producer may go on
    GOODBYE = auto()  # our close_notify is out, the other side's is waited for
    ENDING = auto()  # the transport has been told to end
    LOST = auto()


#: before TLS stands
SHAKING = frozenset({Phase.HANDSHAKE, Phase.LAST_WORDS})
#: it is to end, and has not yet
DISCONNECTING = frozenset({Phase.LAST_WORDS, Phase.FLUSHING, Phase.GOODBYE, Phase.ENDING})
