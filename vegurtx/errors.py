"""The reasons table: every way in which a request can fail, in one place.

A *reason* is a ``str`` or a tuple whose first item is a ``str``. What the proxy itself finds wrong has the form
``(blame, what)``: ``"upstream"`` blames the client's side, ``"downstream"`` the back-end's, ``"undefined"`` neither
(vegur's words). A router raises `RouteError` with reasons of its own, too.

The table says what each reason means and which status the default error page has; `vegurtx.Router`, the chain and
``docs/errors.md`` all read it here. Source of the names and of most statuses: vegur's stub router.
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
    """A back-end could not be reached. `what` is the bare word that ``checkin_service`` gets (rule 22)."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def is_reason(value: object) -> bool:
    """Whether `value` has the form of a reason."""
    return isinstance(value, str) or (isinstance(value, tuple) and bool(value) and isinstance(value[0], str))


class Entry(NamedTuple):
    """One line of the reasons table."""

    status: int
    meaning: str


#: ``reason → status and meaning``. A second item that varies (``("bad_chunk", what)``) is looked up by its first.
REASONS: dict[Reason, Entry] = {
    # what the stages of the chain find in a head that has parsed
    "empty_host": Entry(400, "The request's Host is empty or missing."),
    "bad_request": Entry(400, "Several or malformed Hosts, a bad Content-Length or target; CONNECT (405)."),
    "bad_request_header": Entry(400, "Connection, Upgrade or Expect is malformed."),
    "expectation_failed": Entry(417, "Expect asks for something other than 100-continue."),
    # what a router may raise, with vegur's statuses
    "not_found": Entry(404, "The router knows no such domain."),
    "app_not_found": Entry(404, "The router knows no such application."),
    "no_route_id": Entry(502, "The router has no route."),
    "crashed": Entry(503, "A callback or a stage raised something, or returned what it must not. See the log."),
    # the client's side
    ("upstream", "closed"): Entry(503, "The client left before the end."),
    ("upstream", "timeout"): Entry(503, "The client sent nothing for `idle_timeout` while its body was awaited."),
    ("upstream", "bad_chunk"): Entry(400, "The client's chunked body is malformed."),
    ("upstream", "invalid_transfer_encoding"): Entry(
        400, "Transfer-Encoding is not exactly `chunked`, or stands where it must not (unknown coding: 501)."
    ),
    # the back-end's side
    ("downstream", "connect_tries"): Entry(503, "`max_connect_tries` connects failed, and the router went on."),
    ("downstream", "closed"): Entry(503, "The back-end closed before or inside its response."),
    ("downstream", "econnreset"): Entry(503, "The back-end reset the connection before or inside its response."),
    ("downstream", "timeout"): Entry(503, "No response byte within `downstream_timeout`."),
    ("downstream", "status_length"): Entry(502, "The status line is longer than `max_client_status_length`."),
    ("downstream", "invalid_status"): Entry(502, "The status line is malformed, or a 101 came unasked."),
    ("downstream", "header_length"): Entry(502, "A response header is malformed or too long, or there are too many."),
    ("downstream", "cookie_length"): Entry(502, "A Set-Cookie is longer than `max_client_cookie_length`."),
    ("downstream", "content_length"): Entry(502, "The response's Content-Length is malformed or contradictory."),
    ("downstream", "invalid_transfer_encoding"): Entry(502, "The response's Transfer-Encoding is not `chunked`."),
    ("downstream", "bad_chunk"): Entry(502, "The back-end's chunked body is malformed."),
    ("downstream", "non_terminal_status_after_continue"): Entry(502, "A second 100 after a 100 that was passed on."),
    # neither
    ("undefined", "timeout"): Entry(503, "No byte either way for `idle_timeout`."),
    ("undefined", "router_timeout"): Entry(503, "A router callback or a stage did not answer in `router_timeout`."),
}

#: The status for every reason that the table does not have (vegur's catch-all).
UNKNOWN = Entry(503, "A reason of the router's own.")


def entry(reason: Reason) -> Entry:
    """The table's line for `reason`; `UNKNOWN` where it has none."""
    try:
        found = REASONS.get(reason)
        if found is None and isinstance(reason, tuple) and len(reason) == 2 and isinstance(reason[1], tuple):
            found = REASONS.get((reason[0], reason[1][0]))
    except (TypeError, IndexError):  # a router's reason may hold what cannot be hashed, or an empty tuple
        found = None
    return UNKNOWN if found is None else found
