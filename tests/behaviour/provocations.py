"""The ways to each reason of the reasons table: what is asked, what is said, and what happens then.

``test_reasons`` plays them. Only what connects provoke is not here but there: it takes no request to fail.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError, DNSLookupError, NoRouteError

from tests.behaviour.conversation import CHUNKED_POST, GET, OK, post
from vegurtx import Backend
from vegurtx.errors import Reason

BROKEN_OFF = None
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"
DEEP_POST = b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Then(Enum):
    """What happens when everything has been said."""

    NOTHING = auto()
    BACKEND_CLOSES = auto()
    BACKEND_RESETS = auto()
    CLIENT_RESETS = auto()
    TIME_PASSES = auto()


class Provocation(NamedTuple):
    """A way to a reason."""

    reason: Reason
    #: of the client's page; `BROKEN_OFF` where none can reach it
    status: int | None
    request: bytes = GET
    #: the phase of the final check-in; a back-end is there when it is "connected"
    phase: str = "connected"
    #: the back-end's, when it has the request's head
    says: bytes = b""
    then: Then = Then.NOTHING
    #: the router's, by callback
    answers: dict[str, Any] = {}
    #: callback and how often it was asked when `then` comes
    asked: tuple[str, int] = ("init", 1)
    settings: dict[str, Any] = {}
    #: what lands in the log, as it must
    logged: type[Exception] | None = None


def silence(*_: Any) -> Deferred[Any]:
    """A callback that never answers."""
    return Deferred()


def silence_downstream(direction: str, *_: Any) -> Any:
    """Never says what is added to a response."""
    return Deferred() if direction == "downstream" else ()


def error_downstream(direction: str, *_: Any) -> Any:
    """Raises when it is asked what is added to a response."""
    if direction == "downstream":
        raise ArithmeticError
    return ()


def head(*lines: bytes, request_line: bytes = b"GET / HTTP/1.1") -> bytes:
    """A request's head."""
    return b"\r\n".join((request_line, *lines, b"", b""))


HOST = b"Host: example.org"


def bad_request(*lines: bytes, request_line: bytes = b"GET / HTTP/1.1", status: int = 400) -> Provocation:
    """A head that has parsed, and that nobody can serve."""
    return Provocation("bad_request", status, head(*lines, request_line=request_line), "lookup")


def transfer_encoding(*lines: bytes, status: int = 400, version: bytes = b"1.1") -> Provocation:
    """A coding that frames nothing."""
    request = head(HOST, *lines, request_line=b"POST / HTTP/" + version)
    return Provocation(("upstream", "invalid_transfer_encoding"), status, request, "lookup")


def bad_header(*lines: bytes) -> Provocation:
    """A Connection, Upgrade or Expect that means nothing."""
    return Provocation("bad_request_header", 400, head(HOST, *lines), "checkout")


def says(what: str | tuple[str, str], *lines: bytes, body: bytes = b"", **settings: Any) -> Provocation:
    """A response that is none."""
    response = b"\r\n".join((*lines, b"", b"")) + body
    return Provocation(("downstream", what), 502, says=response, settings=settings)


STATUS = b"HTTP/1.1 200 OK"
CHUNKED = b"Transfer-Encoding: chunked"

PROVOCATIONS = [
    # what the stages of the chain find
    Provocation("empty_host", 400, head(), "lookup"),
    Provocation("empty_host", 400, head(b"Host: "), "lookup"),
    Provocation(
        "empty_host", 400, head(b"Host:", request_line=b"GET http://example.org/ HTTP/1.1"), "lookup"
    ),
    Provocation("empty_host", 400, head(request_line=b"GET / HTTP/1.0"), "lookup"),
    bad_request(HOST, HOST),
    bad_request(b"Host: a b"),
    bad_request(HOST, b"Content-Length: x"),
    bad_request(HOST, b"Content-Length: 1", b"Content-Length: 2"),
    bad_request(HOST, request_line=b"GET * HTTP/1.1"),
    bad_request(HOST, request_line=b"GET nothing HTTP/1.1"),
    bad_request(HOST, request_line=b"CONNECT example.org:443 HTTP/1.1", status=405),
    bad_header(b"Connection: upgrade"),
    bad_header(b"Connection: upgrade", b"Upgrade: a b"),
    bad_header(b"Connection: a b"),
    bad_header(b"Expect: ()"),
    Provocation("expectation_failed", 417, head(HOST, b"Expect: 200-ok"), "checkout"),
    # what callbacks do
    Provocation("crashed", 503, phase="lookup", answers={"init": ArithmeticError}, logged=ArithmeticError),
    Provocation(
        "crashed",
        503,
        phase="lookup",
        answers={"lookup_domain_name": ArithmeticError},
        logged=ArithmeticError,
    ),
    Provocation(
        "crashed",
        503,
        phase="checkout",
        answers={"checkout_service": ArithmeticError},
        logged=ArithmeticError,
    ),
    Provocation("crashed", 503, phase="checkout", answers={"service_backend": 7}, logged=TypeError),
    Provocation(
        "crashed", 503, answers={"feature": lambda *_: fail(ArithmeticError())}, logged=ArithmeticError
    ),
    Provocation("crashed", 503, answers={"additional_headers": [("A", 7)]}, logged=TypeError),
    Provocation(
        "crashed", 503, says=OK, answers={"additional_headers": error_downstream}, logged=ArithmeticError
    ),
    # the client's side
    Provocation(
        ("upstream", "closed"),
        BROKEN_OFF,
        phase="lookup",
        answers={"lookup_domain_name": silence},
        asked=("lookup_domain_name", 1),
        then=Then.CLIENT_RESETS,
    ),
    Provocation(("upstream", "closed"), BROKEN_OFF, then=Then.CLIENT_RESETS),
    Provocation(("upstream", "closed"), BROKEN_OFF, post(5) + b"ab", then=Then.CLIENT_RESETS),
    Provocation(("upstream", "closed"), BROKEN_OFF, says=PART, then=Then.CLIENT_RESETS),
    Provocation(("upstream", "timeout"), 503, post(5) + b"ab", then=Then.TIME_PASSES),
    Provocation(("upstream", "timeout"), 503, CHUNKED_POST + b"2\r\nab\r\n", then=Then.TIME_PASSES),
    *(
        Provocation(("upstream", ("bad_chunk", what)), 400, CHUNKED_POST + body)
        for body, what in [
            (b"x\r\n", "size"),
            (b"1;a\rb\r\n", "extension"),
            (b"1\r\nabc", "delimiter"),
            (b"0\r\nno colon\r\n\r\n", "trailer"),
            (b"1;" + b"a" * 5000, "length"),
        ]
    ),
    transfer_encoding(b"Transfer-Encoding: gzip"),
    transfer_encoding(b"Transfer-Encoding: chunked, chunked"),
    transfer_encoding(b"Transfer-Encoding: chunked", b"Content-Length: 1"),
    transfer_encoding(b"Transfer-Encoding: chunked", version=b"1.0"),
    transfer_encoding(b"Transfer-Encoding: rot13, chunked", status=501),
    # the back-end's side
    Provocation(("downstream", "closed"), 503, then=Then.BACKEND_CLOSES),
    Provocation(("downstream", "closed"), 503, says=b"HTTP/1.1 200", then=Then.BACKEND_CLOSES),
    Provocation(("downstream", "closed"), BROKEN_OFF, says=PART, then=Then.BACKEND_CLOSES),
    Provocation(("downstream", "econnreset"), 503, then=Then.BACKEND_RESETS),
    Provocation(("downstream", "econnreset"), BROKEN_OFF, says=PART, then=Then.BACKEND_RESETS),
    Provocation(("downstream", "timeout"), 503, then=Then.TIME_PASSES),
    Provocation(("downstream", "timeout"), 503, post(2) + b"ab", then=Then.TIME_PASSES),
    says("status_length", STATUS.ljust(9000, b"K")),
    says("invalid_status", b"HTTP/1.1 abc"),
    says("invalid_status", b"HTTP/1.1 101 Switching Protocols", b"Connection: upgrade", b"Upgrade: x"),
    says("header_length", STATUS, b"no colon"),
    says("header_length", STATUS, b"A: " + b"b" * 600_000),
    says("header_length", STATUS, *[b"A: b"] * 1001),
    says("cookie_length", STATUS, b"Set-Cookie: ".ljust(9000, b"c")),
    says("content_length", STATUS, b"Content-Length: x"),
    says("invalid_transfer_encoding", STATUS, b"Transfer-Encoding: gzip"),
    *(
        says(("bad_chunk", what), STATUS, CHUNKED, body=body)
        for body, what in [
            (b"x\r\n", "size"),
            (b"1;a\rb\r\n", "extension"),
            (b"1\r\nabc", "delimiter"),
            (b"0\r\nno colon\r\n\r\n", "trailer"),
            (b"1;" + b"a" * 5000, "length"),
        ]
    ),
    Provocation(
        ("downstream", "non_terminal_status_after_continue"),
        502,
        DEEP_POST,
        says=CONTINUE * 2,
        answers={"feature": {"deep_continue"}},
    ),
    # neither
    Provocation(("undefined", "timeout"), 503, says=b"HTTP/1.1 200", then=Then.TIME_PASSES),
    Provocation(("undefined", "timeout"), BROKEN_OFF, says=PART, then=Then.TIME_PASSES),
    *(
        Provocation(
            ("undefined", "router_timeout"),
            503,
            phase=phase,
            answers={callback: silence},
            asked=(callback, 1),
            then=Then.TIME_PASSES,
        )
        for callback, phase in [
            ("init", "lookup"),
            ("lookup_domain_name", "lookup"),
            ("checkout_service", "checkout"),
            ("service_backend", "checkout"),
            ("feature", "connected"),
            ("additional_headers", "connected"),
        ]
    ),
    Provocation(
        ("undefined", "router_timeout"),
        503,
        says=OK,
        answers={"additional_headers": silence_downstream},
        asked=("additional_headers", 2),
        then=Then.TIME_PASSES,
    ),
]

#: what only connects provoke; they have tests of their own
CONNECTING: dict[Reason, Callable[[Backend], Any] | None] = {
    ("downstream", "connect_tries"): None,
    ("downstream", "econnrefused"): None,
    ("downstream", "etimedout"): None,
    # no address of the loopback network fails so, and no other network is to be touched
    ("downstream", "enetunreach"): lambda _: Failing(NoRouteError(errno.ENETUNREACH, "")),
    ("downstream", "ehostunreach"): lambda _: Failing(ConnectError(errno.EHOSTUNREACH, "")),
    ("downstream", "nxdomain"): lambda _: Failing(DNSLookupError("no such name")),
    ("downstream", "econnfailed"): lambda _: Failing(ConnectError(None, "for some reason")),
    ("downstream", "tls_unverified"): None,
    ("downstream", "tls_failed"): None,
    ("downstream", "tls_timeout"): None,
    ("downstream", "tls_misconfigured"): None,
}

REJECTED = [
    ("bad_request_line", 400, b"GET /\r\n\r\n"),
    ("bad_request_line", 400, b"G(T / HTTP/1.1\r\n\r\n"),
    ("bad_header", 400, head(HOST, b"no colon")),
    ("bad_header", 400, head(HOST, b"Space : x")),
    ("bad_byte", 400, head(HOST, b"A: \0")),
    ("bad_byte", 400, head(HOST, b"A: b\nC: d")),
    ("bad_byte", 400, b"GET /\0 HTTP/1.1\r\n\r\n"),
    ("version", 505, b"GET / HTTP/2.0\r\n\r\n"),
    ("version", 400, b"GET / HTTP/0.9\r\n\r\n"),
    ("line_length", 414, b"GET /".ljust(9000, b"a")),
    ("header_length", 431, head(HOST, b"A: ".ljust(9000, b"a"))),
    ("header_length", 431, head(HOST, b"A".ljust(2000, b"a") + b": b")),
    ("header_length", 431, head(HOST, *[b"A: b"] * 1001)),
    ("head_timeout", 408, b"GET / HTTP/1.1\r\nHo"),
]


class Failing:
    """An endpoint where every connect fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def connect(self, factory: Any) -> Deferred[Any]:
        """See `IStreamClientEndpoint`."""
        return fail(self.error)
