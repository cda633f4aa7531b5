"""What the end of a try says about the replica that had it: each try is charged to its own replica, and to no other.

Good and bad count for the circuit breaker, passive health and the strategy. What is the client's fault, or ours, says
nothing.
"""

from __future__ import annotations

from typing import Any

from vegurtx.errors import Reason

#: what a replica answers that cannot do its work; any other status is the application's own business
BAD_STATUSES = {502: "status_502", 503: "status_503", 504: "status_504"}


def judge(phase: str, service_state: Reason, response_code: int | None) -> str | None:
    """The one word for what the replica did wrong; ``""``: nothing; ``None``: this try says nothing about it.

    :param phase: of the ``checkin_service``.
    :param service_state: its ``"normal"`` or reason.
    :param response_code: the status that the client has got, if any.
    """
    if service_state == "normal":
        return BAD_STATUSES.get(response_code, "") if phase == "connected" else None  # type: ignore[arg-type]
    if phase == "connecting":
        return _word(service_state)
    if phase != "connected" and phase != "retrying":
        return None
    if response_code == 101:  # the tunnel stood; how it ends is between its two ends
        return ""
    if isinstance(service_state, tuple) and service_state[0] == "downstream" and len(service_state) > 1:
        return _word(service_state[1])
    return None


def failure_of(phase: str, service_state: Reason) -> Reason:
    """The reason with which a request ends whose last try failed so: a failed connect's bare word gets its blame."""
    return ("downstream", service_state) if phase == "connecting" else service_state


def first_byte(request: Any) -> float | None:
    """Seconds from the request's head to the first byte of the response; ``None``: none came."""
    log = request.log
    came, sent = log.event("client_first_packet_recv"), log.event("headers_sent")
    return None if came is None or sent is None or came < sent else came - sent


def _word(what: Any) -> str:
    """``("bad_chunk", detail)`` is one kind of error, whatever its details are."""
    return str(what[0] if isinstance(what, tuple) and what else what)
