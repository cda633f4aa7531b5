"""The settings' one definition: DESIGN's table, text as values, and what is said about wrong ones."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vegurtx import Settings, SettingsError
from vegurtx.settings import Given, from_environment

#: the names and defaults that are promised
TABLE: dict[str, Any] = {
    "acceptors": 1024,
    "max_connections": 100_000,
    "request_id_name": "X-Request-Id",
    "request_id_max_size": 200,
    "start_time_header": "X-Request-Start",
    "connect_time_header": "Connect-Time",
    "route_time_header": "Total-Route-Time",
    "idle_timeout": 55,
    "downstream_connect_timeout": 5000,
    "downstream_timeout": 30,
    "client_tcp_buffer_limit": 1_048_576,
    "max_client_status_length": 8192,
    "max_client_header_length": 524_288,
    "max_client_cookie_length": 8192,
    "extra_socket_options": [],
    "max_request_line_length": 8192,
    "max_header_name_length": 1000,
    "max_header_value_length": 8192,
    "max_headers": 1000,
    "timeout": 60_000,
}
OURS: dict[str, Any] = {
    "router_timeout": 30_000,
    "max_connect_tries": 10,
    "pool_idle_timeout": 60,
    "pool_max_idle": 4096,
    "pool_max_idle_per_backend": 512,
    "max_response_headers": 1000,
    "max_chunk_line_length": 4096,
    "max_head_length": 1_048_576,
    "linger_timeout": 5,
    "retry_buffer_limit": 65_536,
    "trusted_proxies": [],
}


class Definition(SynchronousTestCase):
    """Names, defaults, and what is generated from them."""

    def test_defaults(self) -> None:
        """All that is promised is there, with its default."""
        settings = Settings()
        for name, default in {**TABLE, **OURS}.items():
            self.assertEqual(getattr(settings, name), default, name)

    def test_entries(self) -> None:
        """Every entry has an option, a description, what is allowed, and a number of something has a unit."""
        for entry in Settings.entries():
            self.assertEqual(entry.option, entry.name.replace("_", "-"))
            self.assertTrue(entry.description and entry.allowed)
            if isinstance(entry.default, int | float):
                self.assertTrue(entry.unit, entry.name)

    def test_immutable(self) -> None:
        """Settings do not change under a running proxy."""
        settings = Settings()
        with self.assertRaises(ValueError):
            settings.idle_timeout = 1  # type: ignore[misc]
        self.assertEqual(settings.idle_timeout, 55)


class Values(SynchronousTestCase):
    """Text as well as values."""

    def test_text(self) -> None:
        """What comes from a command line is text."""
        settings = Settings.from_mapping({"idle_timeout": "0.5", "max_headers": "7", "timeout": "1500"})
        self.assertEqual((settings.idle_timeout, settings.max_headers, settings.timeout), (0.5, 7, 1500))

    def test_no_limit(self) -> None:
        """0 is allowed where vegur allows it."""
        settings = Settings.from_mapping({"idle_timeout": 0, "downstream_timeout": "0"})
        self.assertEqual((settings.idle_timeout, settings.downstream_timeout), (0, 0))

    def test_lists(self) -> None:
        """Networks and socket options, as lists and as text."""
        settings = Settings.from_mapping(
            {"trusted_proxies": "10.0.0.0/8, ::1", "extra_socket_options": "6:1:1,1:0x9:1"}
        )
        self.assertEqual(list(settings.trusted_proxies), ["10.0.0.0/8", "::1"])
        self.assertEqual(list(settings.extra_socket_options), [(6, 1, 1), (1, 9, 1)])
        settings = Settings.from_mapping({"extra_socket_options": [(6, 1, b"x")], "trusted_proxies": []})
        self.assertEqual(list(settings.extra_socket_options), [(6, 1, b"x")])

    def test_environment(self) -> None:
        """Its names have a prefix; what is not ours is left alone."""
        variables = {"VEGURTX_IDLE_TIMEOUT": "3", "VEGURTX_PORT": "tcp://10.0.0.1:80", "IDLE_TIMEOUT": "4"}
        self.assertEqual(from_environment(variables), {"idle_timeout": Given("3", "VEGURTX_IDLE_TIMEOUT")})


class Sources(SynchronousTestCase):
    """Several sources of settings."""

    OPTIONS = {"idle_timeout": Given("1", "--idle-timeout")}
    ENVIRONMENT = {"idle_timeout": Given("2", "VEGURTX_IDLE_TIMEOUT"), "max_headers": Given("2", "VEGURTX_X")}
    FILE = {name: Given(3, "f") for name in ("idle_timeout", "max_headers", "downstream_timeout")}

    def test_the_first_wins(self) -> None:
        """Setting by setting."""
        settings = Settings.from_sources(self.OPTIONS, self.ENVIRONMENT, self.FILE)
        self.assertEqual(
            (settings.idle_timeout, settings.max_headers, settings.downstream_timeout, settings.timeout),
            (1, 2, 3, 60_000),
        )

    def test_problems_say_where(self) -> None:
        """Each line begins with what the user calls the place of the value."""
        sources = (
            {"idle_timeout": Given("x", "--idle-timeout")},
            {
                "idle_timeout": Given("y", "VEGURTX_IDLE_TIMEOUT"),
                "max_headers": Given("0", "VEGURTX_MAX_HEADERS"),
            },
            {
                "nope": Given(1, "proxy.yaml: settings.nope"),
                "request_id_name": Given("host", "proxy.yaml: settings.r"),
            },
        )
        lines = self.assertRaises(SettingsError, Settings.from_sources, *sources).problems
        self.assertEqual(
            sorted(lines),
            [
                "--idle-timeout: 'x' is not allowed; it must be a number from 0 to 86400",
                "VEGURTX_MAX_HEADERS: '0' is not allowed; it must be a whole number from 1 to 2147483647",
                "proxy.yaml: settings.nope: there is no such setting",
            ],
        )
        lines = self.assertRaises(
            SettingsError, Settings.from_sources, {}, {}, {"request_id_name": sources[2]["request_id_name"]}
        ).problems
        self.assertEqual(
            lines, ["proxy.yaml: settings.r: 'host' is not allowed; the proxy needs this header itself"]
        )


class Problems(SynchronousTestCase):
    """A line for each problem: the key, the value, what is allowed."""

    def problems(self, **values: Any) -> list[str]:
        """What `from_mapping` says about them."""
        return self.assertRaises(SettingsError, Settings.from_mapping, values).problems

    def test_unknown(self) -> None:
        """A name that is none."""
        self.assertEqual(self.problems(zzz=1), ["zzz: there is no such setting"])

    def test_did_you_mean(self) -> None:
        """A name that is nearly one."""
        line = "idle_timeot: there is no such setting; did you mean 'idle_timeout'?"
        self.assertEqual(self.problems(idle_timeot=1), [line])

    def test_each_has_a_line(self) -> None:
        """All at once, so that a user need not try again and again."""
        problems = self.problems(idle_timeout="x", max_headers=0, request_id_name="a b", nope=1)
        self.assertEqual(
            sorted(line.partition(":")[0] for line in problems),
            sorted(["idle_timeout", "max_headers", "request_id_name", "nope"]),
        )

    def test_number(self) -> None:
        """Bounds are said."""
        for value in (-1, "abc", 86_401, float("nan"), float("inf"), None, [1]):
            line = f"idle_timeout: {value!r} is not allowed; it must be a number from 0 to 86400"
            self.assertEqual(self.problems(idle_timeout=value), [line])

    def test_whole_number(self) -> None:
        """A fraction of a header is none."""
        line = "max_headers: 1.5 is not allowed; it must be a whole number from 1 to 2147483647"
        self.assertEqual(self.problems(max_headers=1.5), [line])

    def test_header_name(self) -> None:
        """RFC 9110 section 5.1: a token."""
        for value in ("", "a b", "a:", "ä", "a\r\nb"):
            line = f"request_id_name: {value!r} is not allowed; it must be the name of a header"
            self.assertEqual(self.problems(request_id_name=value), [line])

    def test_truth_values(self) -> None:
        """YAML's ``yes`` is no number, although Python counts with it."""
        self.assertEqual(
            self.problems(max_headers=True),
            ["max_headers: True is not allowed; it must be a whole number from 1 to 2147483647"],
        )
        (line,) = self.problems(idle_timeout=False)
        self.assertEqual(line, "idle_timeout: False is not allowed; it must be a number from 0 to 86400")

    def test_own_headers_differ(self) -> None:
        """Two settings cannot name one header; the one that was chosen is to blame, whatever its case."""
        line = "connect_time_header: 'x-REQUEST-start' is not allowed; it is start_time_header already"
        self.assertEqual(self.problems(connect_time_header="x-REQUEST-start"), [line])
        line = "request_id_name: 'Connect-Time' is not allowed; it is connect_time_header already"
        self.assertEqual(self.problems(request_id_name="Connect-Time"), [line])
        (line,) = self.problems(route_time_header="X-A", start_time_header="x-a")
        self.assertTrue(line.endswith(" already"), line)
        Settings.from_mapping({"request_id_name": "Connect-Time", "connect_time_header": "X-C"})

    def test_the_proxys_headers(self) -> None:
        """None of the four can be a header that the proxy needs itself: framing, the connection's, forwarding."""
        names = ("request_id_name", "start_time_header", "connect_time_header", "route_time_header")
        fields = ("Host", "Content-Length", "transfer-encoding", "CONNECTION", "TE", "X-Forwarded-For", "Via")
        for name in names:
            for field in fields:
                line = f"{name}: {field!r} is not allowed; the proxy needs this header itself"
                self.assertEqual(self.problems(**{name: field}), [line])

    def test_lists(self) -> None:
        """Networks and socket options."""
        (line,) = self.problems(trusted_proxies="10.0.0.0/8,10.0.0.1/8")
        self.assertIn("networks such as 10.0.0.0/8", line)
        (line,) = self.problems(extra_socket_options="6:1")
        self.assertIn("LEVEL:NAME:VALUE", line)

    def test_long_value_is_cut(self) -> None:
        """A line stays a line."""
        (line,) = self.problems(request_id_name=" " * 10_000)
        self.assertLess(len(line), 200)

    @given(
        st.sampled_from(sorted({**TABLE, **OURS})),
        st.text() | st.integers() | st.floats() | st.booleans() | st.none(),
    )
    def test_anything(self, name: str, value: Any) -> None:
        """Settings, or a `SettingsError` of one line that names the key; nothing else."""
        try:
            Settings.from_mapping({name: value})
        except SettingsError as error:
            self.assertEqual(len(error.problems), 1)
            self.assertTrue(error.problems[0].startswith(f"{name}: "))
            self.assertNotIn("\n", error.problems[0])
