"""The HTTP probe: one request on a connection of its own, and whether the answer is as expected.

`twisted.web.client.Agent` asks, without a pool; it neither follows redirects nor unpacks what is compressed. Of the
response no more is read than is needed: the head, and where text is expected in the body, up to `BODY_LIMIT`.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from vegurtx.balance.health.attempt import Attempt, tls_endpoint
from vegurtx.balance.health.reasons import reason_of
from vegurtx.balance.health.state import Outcome, statuses
from vegurtx.message import Backend

#: bytes of the body in which the expected text is looked for
BODY_LIMIT = 65_536
#: bytes of everything: head, interim responses, the framing of chunks
RESPONSE_LIMIT = 4 * BODY_LIMIT

_USER_AGENT = b"vegurtx-health-check"


def http_probe(reactor: Any, replica: Any, check: Any) -> Attempt:
    """Ask `replica` as `check` says: a `HealthCheckConfig` of the type ``http``.

    :raises TlsFilesError: a file of the replica's TLS options cannot be used.
    """
    backend = replica.backend
    attempt = Attempt(tls_endpoint(reactor, backend, check.port), RESPONSE_LIMIT)
    agent = Agent.usingEndpointFactory(reactor, _Only(attempt))
    headers = Headers(
        {
            b"Host": [(check.host or _host(replica, backend, check.port)).encode("ascii")],
            b"User-Agent": [_USER_AGENT],
            b"Accept": [b"*/*"],
        }
    )
    # The endpoint has been chosen already: of the URI, only the target counts.
    asking = agent.request(
        check.method.encode("ascii"), b"http://replica" + check.path.encode("ascii"), headers
    )
    asking.addCallback(_judge_head, attempt, check.expect)
    asking.addErrback(lambda reason: attempt.judge(Outcome(False, reason_of(reason))))
    return attempt


def _host(replica: Any, backend: Backend, port: int | None) -> str:
    """The replica's own name for the ``Host`` field, as in its URL (RFC 9110, section 7.2)."""
    if backend.path is not None:
        return "localhost"
    host: str = replica.host
    if ":" in host:
        host = f"[{host}]"
    number = port or backend.port
    return host if number == (80 if backend.tls is None else 443) else f"{host}:{number}"


def _judge_head(response: Any, attempt: Attempt, expect: Any) -> None:
    """The head is here: it may be all that we want to know."""
    code = response.code
    if response.version[:2] != (b"HTTP", 1):  # Twisted's client takes any, the proxy does not
        attempt.judge(Outcome(False, "no HTTP response"))
        return
    answer = f"status {code}" if 100 <= code <= 999 else "a malformed status"
    if not any(low <= code <= high for low, high in expect.status):
        attempt.judge(Outcome(False, f"{answer}, not {statuses(expect)}"))
    elif expect.body is None:
        attempt.judge(Outcome(True, answer))
    else:
        response.deliverBody(_Search(attempt, expect.body, answer))


class _Search(Protocol):
    """Looks for the expected text in the body."""

    def __init__(self, attempt: Attempt, wanted: str, answer: str) -> None:
        self._attempt = attempt
        self._wanted = wanted
        self._pattern = wanted.encode("utf-8")
        self._answer = answer
        self._body = bytearray()

    def dataReceived(self, data: bytes) -> None:
        """A part of the body."""
        room = BODY_LIMIT - len(self._body)
        start = max(0, len(self._body) - len(self._pattern) + 1)
        self._body += data[:room]
        if self._body.find(self._pattern, start) >= 0:
            self._attempt.judge(Outcome(True, f"{self._answer}, with the expected text"))
        elif len(data) >= room:
            self._missing(f" in its first {BODY_LIMIT} bytes")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The body is over, or broken off."""
        self._missing("")

    def _missing(self, where: str) -> None:
        self._attempt.judge(Outcome(False, f"{self._answer}, without {self._wanted!r}{where}"))


@implementer(IAgentEndpointFactory)
class _Only:
    """Leads an `Agent` to one endpoint, whatever the URI."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """See `IAgentEndpointFactory`."""
        return self._endpoint
