"""The TCP probe: whether somebody accepts connections. Nothing is sent."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, Protocol

from vegurtx.balance.health.attempt import Attempt, plain_endpoint
from vegurtx.balance.health.state import Outcome

_CONNECTED = Outcome(True, "connected")

#: bytes that a replica may greet us with
_MOST = 65_536


def tcp_probe(reactor: Any, replica: Any, check: Any) -> Attempt:
    """Connect to `replica` and close. Where the replica speaks TLS, there is no handshake: ``type: http`` has one.

    :param check: the `HealthCheckConfig`; of it, `port` counts here.
    """
    attempt = Attempt(plain_endpoint(reactor, replica.backend, check.port), _MOST)
    factory = Factory.forProtocol(Protocol)
    factory.noisy = False
    connecting = attempt.connect(factory)
    # A failed connect has been judged already.
    connecting.addCallbacks(lambda _: attempt.judge(_CONNECTED), lambda _: None)
    return attempt
