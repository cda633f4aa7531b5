"""Why a probe found nothing, in our own words."""

from __future__ import annotations

import errno

from OpenSSL import SSL
from twisted.internet import error
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase
from twisted.web.client import ResponseNeverReceived

from vegurtx.balance.health.reasons import reason_of


class Reasons(TestCase):
    """One short line for each, and nothing of what the other side said."""

    def test_words(self) -> None:
        """Twisted's errors, and the kernel's by their number."""
        for problem, words in (
            (error.ConnectionRefusedError(), "connection refused"),
            (error.TimeoutError(), "timeout"),
            (error.NoRouteError(), "no route to the host"),
            (error.DNSLookupError("x"), "its name has no address"),
            (error.ConnectError(errno.EACCES, "x"), "permission denied"),
            (OSError(errno.EMFILE, "x"), "too many open files"),
            (SSL.Error([("SSL routines", "", "wrong version number")]), "TLS failed: wrong version number"),
            (SSL.Error(), "TLS failed: connection broken off in the handshake"),
        ):
            self.assertEqual(reason_of(Failure(problem)), words)

    def test_within(self) -> None:
        """What the HTTP client wraps."""
        inner = Failure(error.ConnectionLost())
        self.assertEqual(reason_of(Failure(ResponseNeverReceived([inner]))), "connection lost")

    def test_nothing_of_the_response(self) -> None:
        """An error's own text may have the response in it."""
        for problem in (RuntimeError("\x1b[31m evil\n"), ValueError("evil"), ResponseNeverReceived([])):
            self.assertNotIn("evil", reason_of(Failure(problem)))
