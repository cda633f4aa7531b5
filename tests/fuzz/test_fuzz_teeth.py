"""A target that finds nothing in broken code is worth nothing: each finds a mistake that is put in on purpose."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from twisted.trial.unittest import TestCase

from fuzz import reading
from fuzz.registry import TARGETS
from fuzz.targets import chunked_body, config_file, forwarded_fields, paths
from vegurtx.balance.config import Config, ConfigError
from vegurtx.balance.matching import normal_form
from vegurtx.balance.sticky import StickySessions
from vegurtx.net import backend
from vegurtx.net.backend import BackendConnection
from vegurtx.proxy import additional, factory, upstream
from vegurtx.wire import chunked, framing, proxy_protocol, target
from vegurtx.wire.errors import BadHead
from vegurtx.wire.partial import RequestHeadBuffer, ResponseHeadBuffer

pytestmark = pytest.mark.once


class Teeth(TestCase):
    """One mistake after the other."""

    def found(self, name: str) -> list[str]:
        """Which inputs of the corpus show a mistake."""
        check = TARGETS[name].check()
        shown = []
        for path in TARGETS[name].inputs():
            try:
                check(path.read_bytes())
            except Exception:
                shown.append(path.name)
        return shown

    def mistaken(self, name: str, place: Any, attribute: str, mistake: Any) -> None:
        """The corpus of the target `name` is clean, and shows the mistake."""
        self.assertEqual(self.found(name), [])
        patch = self.patch(place, attribute, mistake)
        self.assertNotEqual(self.found(name), [])
        patch.restore()

    def test_length_beats_coding(self) -> None:
        """Request framing that lets Content-Length win over Transfer-Encoding."""

        def lax(head: Any) -> int:
            length = head.known.get(b"content-length", b"")
            return int(length) if length.isdigit() else framing.request_framing(head)

        self.mistaken("request_head", reading, "request_framing", lax)

    def test_request_heads_in_segments(self) -> None:
        """A buffer that forgets what is wrong when it comes in a later segment."""
        feed = RequestHeadBuffer.feed

        def forgetful(buffer: RequestHeadBuffer, data: bytes) -> bytes | None:
            try:
                return feed(buffer, data)
            except BadHead:
                if len(buffer) > len(data):
                    return None
                raise

        self.mistaken("request_head", RequestHeadBuffer, "feed", forgetful)

    def test_memory_of_a_response(self) -> None:
        """A buffer without limits."""
        feed = ResponseHeadBuffer.feed

        def greedy(buffer: ResponseHeadBuffer, data: bytes) -> bytes | None:
            try:
                return feed(buffer, data)
            except BadHead as error:
                if error.what.endswith("length"):
                    return None
                raise

        self.mistaken("response_head", ResponseHeadBuffer, "feed", greedy)

    def test_bare_line_feeds(self) -> None:
        """A decoder that takes LF for the end of a size line."""
        lax = re.compile(rb"([0-9A-Fa-f]{1,16}+)(?:;[^\n]*)?+\r?\n").match
        self.mistaken("chunked_body", chunked, "_size_line", lax)

    def test_trailers(self) -> None:
        """Trailers that all go on."""
        self.mistaken("chunked_body", chunked_body, "forwardable_trailers", lambda block: block)

    def test_checksum(self) -> None:
        """A checksum that always fits."""

        def unchecked(header: bytes, tlvs_at: int) -> None:
            return None

        self.mistaken("proxy_header", proxy_protocol, "_tls", unchecked)

    def test_user_information(self) -> None:
        """A host that may have a user before it."""
        lax = re.compile(rb"([^/\[]+?|\[([0-9A-Fa-f:.]++)\])(?::([0-9]{0,5}))?").fullmatch
        target._remembered_host.cache_clear()
        self.addCleanup(target._remembered_host.cache_clear)
        self.assertEqual(self.found("host_and_target"), [])
        target._remembered_host.cache_clear()
        self.patch(target, "_host", lax)
        self.assertNotEqual(self.found("host_and_target"), [])

    def test_line_ends_in_fields(self) -> None:
        """A router that may write a CR LF into a value."""
        self.mistaken("field_lists", additional, "valid_field", lambda name, value: True)

    def test_believed_strangers(self) -> None:
        """A proxy that drops no claims of strangers."""
        self.mistaken("forwarded_fields", upstream, "_CLAIMED", frozenset())

    def test_names_that_stay(self) -> None:
        """Names that Connection takes away though they must stay."""
        self.mistaken("forwarded_fields", forwarded_fields._PROXIES[False], "own_names", frozenset())

    def test_guessed_cookies(self) -> None:
        """A sticky session that is found without its signature."""
        replica_of = StickySessions.replica_of

        def careless(sessions: StickySessions, request: Any) -> Any:
            found = replica_of(sessions, request)
            values = request.headers.getall(b"cookie")
            return found or (sessions._service.replicas[0] if b"vegurtx=0" in b"".join(values) else None)

        self.mistaken("cookies", StickySessions, "replica_of", careless)

    def test_no_normal_form(self) -> None:
        """A normal form that knows nothing of dots behind escapes."""

        def blind(path: str) -> str | None:
            found = normal_form(path)
            return path if found is None else found

        self.mistaken("paths", paths, "normal_form", blind)

    def test_config_that_raises(self) -> None:
        """A loader that lets another exception out."""

        def rude(text: str, filename: str) -> Config:
            if "regex" in text:
                raise KeyError("regex")
            raise ConfigError([f"{filename}:1: no"])

        self.mistaken("config_file", config_file, "load", rude)

    def test_connection_names_the_length(self) -> None:
        """A proxy whose client can take the length out of its request by naming it in Connection."""
        self.mistaken("proxied_request", factory, "own_names", lambda configured: frozenset())

    def test_hop_by_hop(self) -> None:
        """A proxy that passes on what belongs to the client's connection."""
        self.mistaken("proxied_request", factory, "TAKE", factory.TAKE - {b"keep-alive", b"proxy-connection"})

    def test_surplus_answers(self) -> None:
        """A connection that goes to the pool with bytes behind its response."""

        def careless(connection: BackendConnection) -> bool:
            connection._receiver = None
            connection.reused = True
            return True

        self.mistaken("proxied_response", BackendConnection, "rest", careless)

    def test_hidden_truncation(self) -> None:
        """A response that breaks off, and looks whole to the client."""

        def short(head: Any, method: bytes) -> int:
            found = framing.response_framing(head, method)
            return min(found, 2) if found > 0 else found

        self.mistaken("proxied_response", backend, "response_framing", short)

    def test_nobody_is_left_out(self) -> None:
        """Each target has shown that it bites."""
        source = Path(__file__).read_text("utf-8")
        for name in TARGETS:
            self.assertIn(f'("{name}"', source, name)
