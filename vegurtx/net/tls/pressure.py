"""Who writes into a TLS layer, as the transport beneath the layer sees him.

Between the transport, which measures what waits to be sent, and the protocol's producer; it stands there to know, when
the connection is to be closed, whether the producer still has something to say.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer


@implementer(IPushProducer, IPullProducer)
class Pressure:
    """Passes on what a producer is told.

    :param producer: the protocol's.
    :param streaming: whether it is a push producer.
    """

    __slots__ = ("_below", "_streaming", "congested", "producer")

    def __init__(self, producer: Any, streaming: bool) -> None:
        self.producer = producer
        self._streaming = streaming
        #: what it writes piles up
        self.congested = False
        self._below: Any = None

    @property
    def holds_back(self) -> bool:
        """Whether an end has to wait for the producer, as with Twisted's transports."""
        return self.congested or not self._streaming

    def join(self, transport: Any) -> None:
        """From now on `transport` measures."""
        self._below = transport
        was_congested, self.congested = self.congested, False
        transport.registerProducer(self, self._streaming)
        if was_congested and not self.congested:
            self.producer.resumeProducing()

    def leave(self) -> None:
        """It does no longer."""
        below, self._below = self._below, None
        if below is not None:
            below.unregisterProducer()

    def pauseProducing(self) -> None:
        """What is written piles up."""
        if self._streaming and not self.congested:
            self.congested = True
            self.producer.pauseProducing()

    def resumeProducing(self) -> None:
        """It has gone out; or a pull producer is asked for more."""
        self.congested = False
        self.producer.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone; the layer tells its producer, before it tells its protocol."""
