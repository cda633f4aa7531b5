"""Log lines about clients whose TLS handshake fails: the first one, and then now and then one that counts the others.

Whoever reaches a listener can make it refuse him as often as he likes; the log must not grow with that.
"""

from __future__ import annotations

from collections.abc import Callable
from ssl import SSLError
from typing import Any

from twisted.logger import Logger

from vegurtx.net.tls.words import in_words

log = Logger()

#: seconds between two lines of one listener
PAUSE = 60.0


class Refusals:
    """The refused handshakes of one listener, for the operator's eyes.

    :param seconds: the reactor's clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._said: float | None = None
        self._unsaid = 0

    def __call__(self, layer: Any, error: SSLError) -> None:
        """Log one line, unless one was logged less than `PAUSE` seconds ago.

        :param layer: the client's `TlsLayer`.
        :param error: why its handshake failed.
        """
        now = self._seconds()
        if self._said is not None and now - self._said < PAUSE:
            self._unsaid += 1
            return
        self._said = now
        others, self._unsaid = self._unsaid, 0
        log.info(
            "no TLS with {peer}: {why}{others}",
            peer=getattr(layer.getPeer(), "host", "a UNIX socket"),
            why=in_words(error),
            others=f"; nor with {others} other clients since the last such line" if others else "",
        )
