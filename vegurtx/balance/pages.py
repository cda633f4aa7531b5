"""The balancer's error pages: the reasons table's status, and one line of text that says what happened."""

from __future__ import annotations

from http import HTTPStatus

from vegurtx.errors import Reason, entry
from vegurtx.message import ErrorPage

#: what the balancer itself says no with
TEXTS = {
    "not_found": "No service is configured for this request.",
    "no_replica": "No replica of the service is available.",
    "backlog_too_deep": "The service has all the requests that it can take.",
    "backlog_timeout": "No replica of the service became free in time.",
    "circuit_open": "The service has failed too often, and gets no requests for a while.",
}
_STATUSES = {reason: 404 if reason == "not_found" else 503 for reason in TEXTS}
_HEADERS = (("Content-Type", "text/plain; charset=utf-8"),)


def page_for(reason: Reason, suggested: int | None) -> ErrorPage:
    """The page for `reason`. Nothing of the request is in it.

    :param suggested: the status that the stage which refused the request would like.
    """
    known = reason if isinstance(reason, str) and reason in TEXTS else None
    code = suggested or (entry(reason).status if known is None else _STATUSES[known])
    text = _phrase(code) if known is None else TEXTS[known]
    return ErrorPage(code, _HEADERS, f"{text}\n".encode())


def _phrase(code: int) -> str:
    try:
        return f"{HTTPStatus(code).phrase}."
    except ValueError:
        return "The request cannot be served."
