"""The targets under hypothesis, which is there on every Python: corpus inputs, changed by their dictionary's words.

``VEGURTX_TEST_EXAMPLES`` sets the number of examples, and makes them new ones each time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from fuzz.registry import TARGETS, Target
from fuzz.segments import MARK

pytestmark = pytest.mark.once

EXAMPLES = os.environ.get("VEGURTX_TEST_EXAMPLES")


def words(target: Target) -> list[bytes]:
    """The words of its dictionary."""
    found = re.findall(r'^"(.*)"$', target.dictionary.read_text("ascii"), re.MULTILINE)
    return [word.encode("ascii").decode("unicode_escape").encode("latin-1") for word in found]


@st.composite
def inputs(draw: st.DrawFn, target: Target, seeds: list[bytes], pieces: list[bytes]) -> bytes:
    """An input of the corpus with up to six pieces put in, taken out or replaced."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.sampled_from([0, 0, 1, 2, 8]))
        piece = draw(st.sampled_from(pieces) | st.binary(max_size=3))
        data = data[:at] + piece + data[at + gone :]
    return data[: target.longest]


def trial(name: str, examples: int) -> Callable[[TestCase], None]:
    """A test of one target."""
    target = TARGETS[name]
    seeds = [path.read_bytes() for path in target.inputs()]
    pieces = [*words(target), MARK, b""]
    check = target.check()

    @settings(
        max_examples=int(EXAMPLES or examples),
        derandomize=EXAMPLES is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(target, seeds, pieces))
    def tried(data: bytes) -> None:
        check(data)

    return lambda case: tried()


class ChangedInputs(TestCase):
    """All claims hold for inputs that are near those of the corpora."""

    def test_request_head(self) -> None:
        """Streams of requests."""
        trial("request_head", 400)(self)

    def test_response_head(self) -> None:
        """Responses."""
        trial("response_head", 400)(self)

    def test_chunked_body(self) -> None:
        """Chunked bodies."""
        trial("chunked_body", 400)(self)

    def test_proxy_header(self) -> None:
        """PROXY headers."""
        trial("proxy_header", 400)(self)

    def test_host_and_target(self) -> None:
        """Targets and hosts."""
        trial("host_and_target", 600)(self)

    def test_field_lists(self) -> None:
        """Lists in values, and fields."""
        trial("field_lists", 600)(self)

    def test_forwarded_fields(self) -> None:
        """Forwarding fields."""
        trial("forwarded_fields", 300)(self)

    def test_cookies(self) -> None:
        """Cookies."""
        trial("cookies", 400)(self)

    def test_paths(self) -> None:
        """Paths."""
        trial("paths", 400)(self)

    def test_config_file(self) -> None:
        """Configuration files."""
        trial("config_file", 100)(self)

    def test_proxied_request(self) -> None:
        """Requests through the proxy."""
        trial("proxied_request", 300)(self)

    def test_proxied_response(self) -> None:
        """Responses through the proxy."""
        trial("proxied_response", 300)(self)

    def test_none_is_left_out(self) -> None:
        """Each target has a test here."""
        tested = {name.removeprefix("test_") for name in dir(self) if name.startswith("test_")}
        self.assertEqual(tested - {"none_is_left_out"}, set(TARGETS))
