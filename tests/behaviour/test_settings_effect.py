"""Every setting has a test that it takes effect, and this is the map."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from twisted.trial.unittest import TestCase

from vegurtx import Settings

TESTS = Path(__file__).resolve().parent.parent
SOCKETS = "behaviour/test_settings_effect_sockets.py"
LIMITS = "behaviour/test_settings_effect_limits.py"
IDS = "behaviour/test_request_ids.py"
BAD = "behaviour/test_bad_responses.py"
HEADS = "behaviour/test_limits.py"
TIMEOUTS = "behaviour/test_timeouts.py"

#: for each setting the tests, as ``(file, class, method)``, that set it, and see the proxy behave otherwise
EFFECTS: dict[str, list[tuple[str, str, str]]] = {
    "acceptors": [(SOCKETS, "Listening", "test_acceptors")],
    "max_connections": [
        (SOCKETS, "Listening", "test_max_connections"),
        (SOCKETS, "Listening", "test_enough_room"),
        (SOCKETS, "Listening", "test_max_connections_behind_proxies"),
    ],
    "request_id_name": [(IDS, "RequestIds", "test_settings")],
    "request_id_max_size": [(IDS, "RequestIds", "test_settings")],
    "start_time_header": [(IDS, "Times", "test_settings")],
    "connect_time_header": [(IDS, "Times", "test_settings")],
    "route_time_header": [(IDS, "Times", "test_settings")],
    "idle_timeout": [
        (TIMEOUTS, "Requests", "test_body_awaited"),
        (LIMITS, "Timeouts", "test_idle_in_the_response"),
        ("behaviour/test_tunnel.py", "Silence", "test_no_byte_either_way"),
    ],
    "downstream_connect_timeout": [("behaviour/test_connect.py", "FailedConnects", "test_timeout")],
    "downstream_timeout": [
        (TIMEOUTS, "Responses", "test_first_byte"),
        (LIMITS, "Timeouts", "test_downstream_after_an_upload"),
    ],
    "client_tcp_buffer_limit": [
        (SOCKETS, "BackEnds", "test_client_tcp_buffer_limit"),
        (SOCKETS, "BackEnds", "test_buffer_bounds_what_is_read"),
    ],
    "max_client_status_length": [(BAD, "BadResponses", "test_status_length_setting")],
    "max_client_header_length": [(BAD, "BadResponses", "test_field_without_end")],
    "max_client_cookie_length": [
        (LIMITS, "Responses", "test_cookie_length"),
        (LIMITS, "Responses", "test_each_cookie"),
    ],
    "extra_socket_options": [
        (SOCKETS, "BackEnds", "test_extra_socket_options"),
        (SOCKETS, "BackEnds", "test_impossible_option"),
    ],
    "max_request_line_length": [(HEADS, "RequestLines", "test_setting")],
    "max_header_name_length": [(HEADS, "Headers", "test_settings")],
    "max_header_value_length": [(HEADS, "Headers", "test_settings")],
    "max_headers": [(HEADS, "Headers", "test_settings")],
    "timeout": [
        (TIMEOUTS, "ClientConnections", "test_says_nothing"),
        (TIMEOUTS, "ClientConnections", "test_head_deadline"),
        (TIMEOUTS, "NoLimit", "test_zero"),
    ],
    "router_timeout": [
        ("behaviour/test_router_timeouts.py", "Routers", "test_each_callback"),
        (LIMITS, "Timeouts", "test_router"),
    ],
    "max_connect_tries": [("behaviour/test_connect.py", "FailedConnects", "test_cap")],
    "pool_idle_timeout": [("behaviour/test_pool.py", "Reuse", "test_idle_limit")],
    "pool_max_idle": [
        ("behaviour/test_pool.py", "Reuse", "test_bounds"),
        ("behaviour/test_pool.py", "Reuse", "test_bound_over_back_ends"),
    ],
    "pool_max_idle_per_backend": [("behaviour/test_pool.py", "Reuse", "test_bounds")],
    "max_response_headers": [(LIMITS, "Responses", "test_count")],
    "max_chunk_line_length": [(HEADS, "Chunks", "test_setting")],
    "max_head_length": [(HEADS, "Headers", "test_settings")],
    "linger_timeout": [
        ("behaviour/test_early_responses.py", "EarlyResponses", "test_not_for_ever"),
        (LIMITS, "Linger", "test_zero"),
    ],
    "hard_stop_after": [("ops/test_workers_drain.py", "Drain", "test_hard_stop")],
    "retry_buffer_limit": [("behaviour/test_silent_retry.py", "SilentRetry", "test_buffer_bound")],
    "trusted_proxies": [
        ("behaviour/test_forwarded_fields.py", "ForwardedFor", "test_trusted"),
        ("behaviour/test_forwarded_fields.py", "ForwardedFor", "test_not_trusted"),
    ],
}


@cache
def source_of(file: str) -> tuple[str, ast.Module]:
    """A test file's text and its tree."""
    text = (TESTS / file).read_text("utf-8")
    return text, ast.parse(text)


def source_of_test(file: str, case: str, method: str) -> str:
    """The text of one test; empty where there is none."""
    text, tree = source_of(file)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == case:
            for each in node.body:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name == method:
                    return ast.get_source_segment(text, each) or ""
    return ""


class Map(TestCase):
    """The map is whole, and true."""

    def test_every_setting(self) -> None:
        """A setting that is added needs a test that it takes effect; one that is gone leaves no entry."""
        self.assertEqual({entry.name for entry in Settings.entries()}, set(EFFECTS))
        self.assertTrue(all(EFFECTS.values()))

    def test_every_test(self) -> None:
        """Each test exists, and sets what it is said to test."""
        wrong = [
            (setting, *place)
            for setting, places in EFFECTS.items()
            for place in places
            if f"{setting}=" not in (text := source_of_test(*place)) and f'"{setting}":' not in text
        ]
        self.assertEqual(wrong, [])
