"""The reasons table: every way in which a request can fail, in one place.

A *reason* is a ``str`` or a tuple whose first item is a ``str``. What the proxy itself finds wrong has the
form ``(blame, what)``: ``"upstream"`` blames the client's side, ``"downstream"`` the back-end's,
``"undefined"`` neither (vegur's words). A router raises `RouteError` with reasons of its own, too.

The tables say what each reason means, whom it blames and which status the default error page has;
`vegurtx.Router`, the chain and ``docs/errors.md`` all read them here. Source of the names and of most
statuses: vegur's stub router.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

Reason: TypeAlias = str | tuple[Any, ...]


class RouteError(Exception):
    """Raised by a router or a middleware: this request cannot be served, for `reason`.

    :param reason: a ``str``, or a tuple whose first item is a ``str``; it reaches ``error_page`` and
        ``checkin_service`` as it is.
    :param code: the status which the default error page shall have; without it, the reasons table decides.
    :raises TypeError: the reason has another form.
    """

    def __init__(self, reason: Reason, code: int | None = None) -> None:
        if not is_reason(reason):
            raise TypeError(f"a reason is a str, or a tuple that begins with a str, not {reason!r}")
        super().__init__(reason)
        self.reason = reason
        self.code = code


class ConnectFailed(Exception):
    """A back-end could not be reached (rule 22).

    :param what: the bare word that ``checkin_service`` gets.
    :param detail: one line for the log, where the word does not say all; what of it a peer has said is escaped.
    """

    def __init__(self, what: str, detail: str = "") -> None:
        super().__init__(what, detail)
        self.what = what
        self.detail = detail


def is_reason(value: object) -> bool:
    """Whether `value` has the form of a reason."""
    return isinstance(value, str) or (isinstance(value, tuple) and bool(value) and isinstance(value[0], str))


class Entry(NamedTuple):
    """One line of a table."""

    #: of the default error page
    status: int
    meaning: str
    #: ``"upstream"``, ``"downstream"`` or ``"undefined"``; of a tuple, its first item
    blame: str = "undefined"
    #: the code that Heroku's router logs for it; empty where none fits
    code: str = ""
    #: ``"proxy"``: the proxy itself produces it; ``"router"``: a word for routers, which the proxy never says
    origin: str = "proxy"


def _upstream(status: int, code: str, meaning: str) -> Entry:
    return Entry(status, meaning, "upstream", code)


def _downstream(status: int, code: str, meaning: str) -> Entry:
    return Entry(status, meaning, "downstream", code)


def _undefined(status: int, code: str, meaning: str) -> Entry:
    return Entry(status, meaning, "undefined", code)


def _connect(code: str, meaning: str) -> Entry:
    return Entry(503, meaning, "downstream", code, "router")


def _routers(status: int, code: str, meaning: str) -> Entry:
    return Entry(status, meaning, "undefined", code, "router")


#: ``reason → its line``. A second item that varies (``("bad_chunk", what)``) is looked up by its first.
REASONS: dict[Reason, Entry] = {
    # what the stages of the chain find in a head that has parsed
    "empty_host": _upstream(400, "H26", "The request's Host is empty or missing."),
    "bad_request": _upstream(
        400, "H26", "Several or malformed Hosts, a bad Content-Length or target; CONNECT (status 405)."
    ),
    "bad_request_header": _upstream(400, "H26", "Connection, Upgrade or Expect is malformed."),
    "expectation_failed": _upstream(417, "H26", "Expect asks for something other than 100-continue."),
    # the client's side
    ("upstream", "closed"): _upstream(503, "H27", "The client left before the end: nobody sees the page."),
    ("upstream", "timeout"): _upstream(
        503, "H28", "The client sent nothing for `idle_timeout` while its body was awaited."
    ),
    ("upstream", "bad_chunk"): _upstream(400, "H26", "The client's chunked body is malformed."),
    ("upstream", "invalid_transfer_encoding"): _upstream(
        400, "H26", "Transfer-Encoding is not just `chunked`, or is out of place (unknown coding: 501)."
    ),
    # the back-end's side
    ("downstream", "connect_tries"): _downstream(
        503, "H10", "`max_connect_tries` connects failed, and the router went on."
    ),
    ("downstream", "closed"): _downstream(503, "H13", "The back-end closed before or inside its response."),
    ("downstream", "econnreset"): _downstream(
        503, "H18", "The back-end reset the connection before or inside its response."
    ),
    ("downstream", "timeout"): _downstream(
        503, "H12", "No response byte within `downstream_timeout`, or no byte taken for `idle_timeout`."
    ),
    ("downstream", "status_length"): _downstream(
        502, "H25", "The status line is longer than `max_client_status_length`."
    ),
    ("downstream", "invalid_status"): _downstream(
        502, "H17", "The status line is malformed, or a 101 came unasked."
    ),
    ("downstream", "header_length"): _downstream(
        502, "H25", "A response header is malformed or too long, or there are too many."
    ),
    ("downstream", "cookie_length"): _downstream(
        502, "H25", "A Set-Cookie is longer than `max_client_cookie_length`."
    ),
    ("downstream", "content_length"): _downstream(
        502, "H17", "The response's Content-Length is malformed or contradictory."
    ),
    ("downstream", "invalid_transfer_encoding"): _downstream(
        502, "H17", "The response's Transfer-Encoding is not `chunked`, or is out of place."
    ),
    ("downstream", "bad_chunk"): _downstream(502, "H17", "The back-end's chunked body is malformed."),
    ("downstream", "non_terminal_status_after_continue"): _downstream(
        502, "H17", "A second 100 after a 100 that was passed on."
    ),
    # neither
    "crashed": _undefined(
        503, "H99", "A callback or a stage raised something, or returned what it must not. See the log."
    ),
    ("undefined", "timeout"): _undefined(503, "H15", "No byte either way for `idle_timeout`."),
    ("undefined", "router_timeout"): _undefined(
        503, "H99", "A router callback or a stage did not answer in `router_timeout`."
    ),
    # what a router may raise, with vegur's statuses
    "not_found": _routers(404, "", "The router knows no such domain."),
    "app_not_found": _routers(404, "", "The router knows no such application."),
    "no_route_id": _routers(502, "", "The router has no route."),
    # the load balancer's
    "no_replica": _routers(503, "H10", "No replica of the service is available."),
    "circuit_open": _routers(503, "H10", "The service's circuit breaker is open."),
    "backlog_too_deep": _routers(503, "H11", "All replicas are full, and so is the queue, or there is none."),
    "backlog_timeout": _routers(503, "H12", "The request waited in the queue for its whole `timeout`."),
    # failed connects: `checkin_service` gets the bare word, and a router that gives up may raise it with its
    # blame. Any other errno has its name, too: `eacces`, `enoent`.
    ("downstream", "econnrefused"): _connect("H21", "The back-end refused the connection."),
    ("downstream", "etimedout"): _connect(
        "H19", "The connect took longer than `downstream_connect_timeout`."
    ),
    ("downstream", "ehostunreach"): _connect("H19", "No way leads to the back-end's host."),
    ("downstream", "enetunreach"): _connect("H19", "No way leads to the back-end's network."),
    ("downstream", "nxdomain"): _connect("H99", "The back-end's name has no address."),
    ("downstream", "econnfailed"): _connect("H99", "The connect failed in a way that has no other word."),
    ("downstream", "tls_unverified"): _connect(
        "H21", "The back-end's certificate is of an unknown authority, out of its dates, or for another name."
    ),
    ("downstream", "tls_failed"): _connect(
        "H21", "The TLS handshake was refused, or what answered is no TLS."
    ),
    ("downstream", "tls_timeout"): _connect(
        "H19", "Connected, but no end of the TLS handshake within `downstream_connect_timeout`."
    ),
    ("downstream", "tls_misconfigured"): _connect(
        "H99", "A file which the back-end's `BackendTLS` names cannot be used. See the log."
    ),
}

#: What is no request, and is answered by the proxy alone: no callback is called. ``word → its line``.
REJECTIONS: dict[str, Entry] = {
    "bad_request_line": _upstream(400, "H26", "The request line is malformed."),
    "bad_header": _upstream(400, "H26", "A header is malformed."),
    "bad_byte": _upstream(400, "H26", "A control character, or a CR or LF that ends no line."),
    "version": _upstream(505, "H26", "The major version is not 1 (that of HTTP/0.9: 400)."),
    "line_length": _upstream(414, "H26", "The request line is longer than `max_request_line_length`."),
    "header_length": _upstream(
        431, "H26", "A header is too long, or there are too many, or all together is."
    ),
    "head_timeout": _upstream(408, "H28", "The head did not come whole within `timeout`."),
}

#: The line for every reason that the table does not have (vegur's catch-all).
UNKNOWN = Entry(503, "A reason of the router's own.", origin="router")


def entry(reason: Reason) -> Entry:
    """The table's line for `reason`; `UNKNOWN` where it has none."""
    try:
        found = REASONS.get(reason)
        if found is None and isinstance(reason, tuple) and len(reason) == 2 and isinstance(reason[1], tuple):
            found = REASONS.get((reason[0], reason[1][0]))
    except (TypeError, IndexError):  # a router's reason may hold what cannot be hashed, or an empty tuple
        found = None
    return UNKNOWN if found is None else found
