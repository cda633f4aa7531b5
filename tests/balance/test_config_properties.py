"""What holds for any text at all: it loads, or `ConfigError` says why; and a valid configuration survives its file."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.balance.config import ConfigError, ServiceConfig, json_schema, load


def _keys() -> list[str]:
    """Every key of every section, from the schema."""
    schema = json_schema()
    return sorted(
        {key for section in [schema, *schema["$defs"].values()] for key in section.get("properties", {})}
    )


_WORDS = st.sampled_from(
    [
        "/",
        "/api",
        "http://a",
        "https://b:1",
        "unix:/s",
        "a",
        "GET",
        "*.a",
        "(",
        "http",
        "true",
        "200-399",
        "",
        "\x00",
    ]
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | _WORDS | st.text(max_size=20)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_keys()) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=30,
)
_SERVICE = st.dictionaries(st.sampled_from(sorted(ServiceConfig.model_fields)), _VALUES, max_size=8)
_YAML = (
    "services:",
    "\n  - ",
    "\n    ",
    "name: a",
    "matcher: /",
    "replicas:",
    "url: http://a",
    "<<: *a",
    "\n---\n",
)
_PIECES = st.sampled_from([*_YAML, *"[]{}:,|>?-#%*&!'\"\t\r\x85\ufeff", "&a ", "*a", ": ", "- ", "? ", ", "])

_seconds = st.integers(1, 1000) | st.floats(0.5, 1000, allow_subnormal=False)
_path = st.from_regex(r"/[a-z/]{0,8}", fullmatch=True)
_name = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
_valid = st.fixed_dictionaries(
    {
        "matcher": _path
        | st.lists(_path, min_size=1, max_size=3)
        | st.builds(lambda p: {"path": p, "host": ["a.b"]}, _path),
        "replicas": st.lists(
            st.builds(
                lambda host, port, weight: {"url": f"http://{host}:{port}", "weight": weight},
                _name,
                st.integers(1, 65535),
                st.integers(1, 1000) | st.floats(0.5, 1e6) | st.integers(1, 99).map(str),
            ),
            min_size=1,
            max_size=4,
        ),
    },
    optional={
        "queue": st.booleans()
        | st.fixed_dictionaries({"length": st.integers(1, 9), "timeout": st.floats(0.5, 29)}),
        "retries": st.booleans() | st.fixed_dictionaries({"attempts": st.integers(1, 9)}),
        "connect_timeout": _seconds,
        "strategy": st.sampled_from(["Random", {"name": "ConsistentHash", "on": "path"}]),
        "panic_threshold": st.floats(0, 1),
        "headers": st.fixed_dictionaries(
            {"request": st.fixed_dictionaries({"set": st.dictionaries(_name, _name)})}
        ),
    },
)


class AnyText(SynchronousTestCase):
    """Nothing but `ConfigError` comes out."""

    def load(self, text: str) -> None:
        try:
            load(text, "f.yaml")
        except ConfigError as error:
            self.assertTrue(error.problems)
            for line in error.problems:
                self.assertTrue(line.startswith(("f.yaml:", "... and ")), line)
                self.assertTrue(line.isprintable(), ascii(line))

    @settings(deadline=None)
    @given(st.text(max_size=200))
    @example("\ud800")
    @example("a: \x07")
    @example("\ufeffa: 1")
    def test_text(self, text: str) -> None:
        """Any characters."""
        self.load(text)

    @settings(deadline=None)
    @given(st.lists(_PIECES, max_size=30).map("".join))
    def test_pieces(self, text: str) -> None:
        """Pieces of YAML in any order."""
        self.load(text)

    @settings(deadline=None)
    @given(_VALUES)
    def test_values(self, value: Any) -> None:
        """Well-formed files whose values are anything, anywhere."""
        self.load(json.dumps(value))

    @settings(deadline=None, max_examples=100)
    @given(st.lists(_SERVICE, max_size=3), _VALUES, _VALUES)
    def test_services(self, services: list[Any], splits: Any, options: Any) -> None:
        """Services of known keys with any values."""
        self.load(json.dumps({"services": services, "splits": splits, "settings": options}))


class RoundTrip(SynchronousTestCase):
    """What is valid."""

    @settings(deadline=None, max_examples=50)
    @given(st.lists(_valid, min_size=1, max_size=4))
    def test_round_trip(self, services: list[dict[str, Any]]) -> None:
        """A configuration that is written down as its models have it loads as the same one."""
        named = [{"name": f"s{index}", **service} for index, service in enumerate(services)]
        first = load(json.dumps({"services": named}), "f")
        dumped = first.model_dump(mode="json", exclude_defaults=True)
        for service in dumped["services"]:
            # What is off is none in a model, and false in a file.
            service.update({key: False for key, value in service.items() if value is None})
        again = load(json.dumps(dumped), "f")
        self.assertEqual(first.services, again.services)
        self.assertEqual(len(first.services), len(services))
