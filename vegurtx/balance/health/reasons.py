"""Why a probe found nothing, in our own words.

Nothing that the other side sent is in them: they go to the log and to the admin API.
"""

from __future__ import annotations

import os
from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived
from twisted.web.error import SchemeNotSupported

_WORDS: list[tuple[type[BaseException], str]] = [
    (error.ConnectionRefusedError, "connection refused"),
    (error.TimeoutError, "timeout"),
    (error.NoRouteError, "no route to the host"),
    (error.DNSLookupError, "its name has no address"),
    (error.UnknownHostError, "its name has no address"),
    (UnicodeError, "its name has no address"),
    (VerificationError, "TLS failed: the certificate is for another name"),
    (error.ConnectionLost, "connection lost"),
    (error.ConnectionDone, "connection closed before the end of the response"),
    (SchemeNotSupported, "no such kind of probe"),
]


def reason_of(failure: Failure, connected: bool = True) -> str:
    """One short line for a failed connect, a broken connection or a response that is none.

    :param connected: whether there was a connection.
    """
    problem: Any = failure.value
    if isinstance(problem, ValueError) and not connected:  # what the resolver does not even try
        return "its name has no address"
    for inner in getattr(problem, "reasons", None) or ():
        if isinstance(inner, Failure):  # the first one says what happened, the others what came of it
            return reason_of(inner)
    for kind, words in _WORDS:
        if isinstance(problem, kind):
            return words
    if isinstance(problem, SSL.Error):
        return f"TLS failed: {_openssl(problem)}"
    number = getattr(problem, "osError", None) or getattr(problem, "errno", None)
    if isinstance(number, int):
        return os.strerror(number).lower()
    return "no HTTP response" if _is_parse_error(problem) else type(problem).__name__


def _openssl(problem: SSL.Error) -> str:
    """OpenSSL's own word for it, out of its table."""
    errors = problem.args[0] if problem.args and isinstance(problem.args[0], list) else []
    words = [entry[2] for entry in errors if isinstance(entry, tuple) and len(entry) == 3 and entry[2]]
    return str(words[0]) if words else "connection broken off in the handshake"


def _is_parse_error(problem: object) -> bool:
    """Twisted has no public name for what its client raises on malformed responses: `ParseError` and `ValueError`."""
    return isinstance(problem, ValueError | ResponseNeverReceived) or type(problem).__name__ in (
        "ParseError",
        "BadResponseVersion",
        "BadHeaders",
        "_DataLoss",
        "PotentialDataLoss",
    )
