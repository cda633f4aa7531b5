"""What the end of a try says about its replica."""

from __future__ import annotations

from typing import Any

from balance_fakes import FakeLog, FakeRequest
from twisted.trial.unittest import TestCase

from vegurtx.balance.outcome import failure_of, first_byte, judge


class Judging(TestCase):
    """Good, bad, or nothing."""

    def test_rows(self) -> None:
        """Each way in which a try can end."""
        rows: list[tuple[str, Any, int | None, str | None]] = [
            ("connected", "normal", 200, ""),
            ("connected", "normal", 404, ""),
            ("connected", "normal", 500, ""),
            ("connected", "normal", 502, "status_502"),
            ("connected", "normal", 503, "status_503"),
            ("connected", "normal", 504, "status_504"),
            ("connected", "normal", 101, ""),
            ("connecting", "econnrefused", None, "econnrefused"),
            ("retrying", ("downstream", "closed"), None, "closed"),
            ("retrying", ("downstream", "timeout"), None, "timeout"),
            ("connected", ("downstream", "econnreset"), 200, "econnreset"),
            ("connected", ("downstream", ("bad_chunk", "xyz")), 200, "bad_chunk"),
            # not the replica's fault
            ("connected", ("upstream", "closed"), None, None),
            ("connected", ("upstream", "timeout"), None, None),
            ("connected", ("undefined", "timeout"), 200, None),
            ("connected", "crashed", None, None),
            ("connected", ("undefined", "router_timeout"), None, None),
            ("checkout", ("upstream", "closed"), None, None),
            ("checkout", ("downstream", "connect_tries"), None, None),
            ("checkout", "normal", 503, None),
            # a tunnel that stood
            ("connected", ("downstream", "econnreset"), 101, ""),
            ("connected", ("undefined", "timeout"), 101, ""),
        ]
        for phase, state, code, expected in rows:
            self.assertEqual(judge(phase, state, code), expected, (phase, state, code))

    def test_words_are_bounded(self) -> None:
        """Whatever a peer's bytes were, the word that is counted is the proxy's."""
        words = {judge("connected", ("downstream", ("bad_chunk", str(number))), 200) for number in range(100)}
        self.assertEqual(words, {"bad_chunk"})

    def test_reason_for_the_client(self) -> None:
        """A failed connect's bare word gets its blame; other reasons have theirs."""
        self.assertEqual(failure_of("connecting", "econnrefused"), ("downstream", "econnrefused"))
        self.assertEqual(failure_of("retrying", ("downstream", "closed")), ("downstream", "closed"))


class FirstByte(TestCase):
    """Seconds to the first byte."""

    def test_seconds(self) -> None:
        """From the head's being sent to the first byte of the same try; nothing where none came."""
        request = FakeRequest()
        for events, expected in [
            ({"headers_sent": 10.0, "client_first_packet_recv": 10.25}, 0.25),
            ({"headers_sent": 10.0}, None),
            ({}, None),
            ({"headers_sent": 10.0, "client_first_packet_recv": 9.0}, None),  # an earlier try's
        ]:
            request.log = FakeLog(**events)
            self.assertEqual(first_byte(request), expected)
