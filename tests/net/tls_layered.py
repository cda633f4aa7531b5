"""What the tests of the TLS layer share: a layer in the hand of the test, between a wire and a protocol in memory."""

from __future__ import annotations

import ssl
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.net.tls_sessions import CERTIFICATE, Session, client_context
from tests.net.transport_peers import Recorder
from vegurtx.net.tls.layer import TlsLayer
from vegurtx.testing import context_factory


class Wire(StringTransport):
    """A transport that keeps each write apart."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: Any) -> None:
        """One more."""
        self.writes.append(bytes(data))

    def taken(self) -> bytes:
        """All that was written since the last time."""
        data, self.writes = b"".join(self.writes), []
        return data


class Producer:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        """Wait."""
        self.told.append("pause")

    def resumeProducing(self) -> None:
        """Go on."""
        self.told.append("resume")

    def stopProducing(self) -> None:
        """The end."""
        self.told.append("stop")


class Layered(SynchronousTestCase):
    """A server's layer, its protocol, the wire below, and a client on the other side."""

    def setUp(self) -> None:
        """Before the handshake."""
        self.clock = Clock()
        self.made: Any = None
        self.begin()

    def begin(self, make: Any = Recorder, **limits: Any) -> None:
        """Connect a new layer."""
        self.protocol = make()
        self.layer = TlsLayer(context_factory(CERTIFICATE), self.protocol, self.clock.callLater, server=True)
        self.wire = Wire()
        self.client = Session(client_context(**limits), name="backend.test")
        if self.made is not None:
            self.protocol.on_made = self.made
        self.layer.makeConnection(self.wire)

    def shake(self, behind: bytes = b"", step: int = 0) -> None:
        """The handshake; `behind` is sent with its last flight, all in steps of that many bytes."""
        for _ in range(5):
            if self.client.shake():
                break
            self.give(self.client.taken(), step)
            self.client.hear(self.wire.taken())
        else:
            self.fail("the layer does not answer")
        last = self.client.taken() + (self.client.record(behind) if behind else b"")
        self.give(last, step)

    def give(self, data: bytes, step: int = 0) -> None:
        """Records from the client."""
        step = step or len(data) or 1
        for at in range(0, len(data), step):
            self.layer.dataReceived(data[at : at + step])

    def alert(self) -> bytes:
        """What the client says where it cannot read a record: a fatal alert."""
        self.layer.write(b"data")
        broken = bytearray(self.wire.taken())
        broken[-1] ^= 1
        self.assertRaises(ssl.SSLError, self.client.hear, bytes(broken))
        return self.client.taken()

    def heard(self) -> bytes:
        """What the client can read of what was written."""
        self.client.hear(self.wire.taken())
        plain = bytes(self.client.plain)
        self.client.plain.clear()
        return plain

    def lose(self, kind: type[Exception]) -> Any:
        """The transport is gone; returns what the protocol was told."""
        self.layer.connectionLost(Failure(kind()))
        (reason,) = self.protocol.reasons
        return reason.value
