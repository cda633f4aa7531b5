"""``docs/coming-from-vegur.md``: every name of ours exists, no name of vegur's is forgotten, and the port runs.

The tables are read cell by cell. What stands in our column is looked up, or evaluated on a request that has been
served; what a header's cell says happens to a request and a response that have all of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import vegurtx
from vegurtx import IRouter, RouteError, Settings, default_middlewares, service
from vegurtx.errors import REASONS, entry
from vegurtx.testing import MemoryProxy, answering, response_bytes, router_to

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "coming-from-vegur.md").read_text("utf-8")
OK = response_bytes(200, b"hello")

CALLBACKS = (
    "init/2", "lookup_domain_name/3", "checkout_service/3", "service_backend/3", "checkin_service/6",
    "feature/2", "additional_headers/4", "error_page/4", "terminate/3",
)  # fmt: skip
#: vegur's application environment, and the options of its listeners
SETTINGS = (
    "acceptors", "max_connections", "request_id_name", "request_id_max_size", "start_time_header",
    "connect_time_header", "route_time_header", "idle_timeout", "downstream_connect_timeout",
    "downstream_first_read_timeout", "client_tcp_buffer_limit", "max_client_status_length",
    "max_client_header_length", "max_client_cookie_length", "extra_socket_options", "max_request_line_length",
    "max_header_name_length", "max_header_value_length", "max_headers", "timeout",
)  # fmt: skip
#: what vegur's modules export for routers, middlewares and programs
FUNCTIONS = {
    "vegur": (
        "start_http", "start_https", "start_proxy", "stop_http", "stop_https", "stop_proxy", "defaults",
        "default_middlewares",
    ),
    "vegur_req": (
        "start_time", "start_to_proxy_duration", "request_id", "peer", "proxy_peer", "route_duration",
        "connect_duration", "service_duration", "total_duration", "send_headers_duration",
        "request_proxy_duration", "response_proxy_duration", "pre_connect", "pre_proxy", "bytes_recv",
        "bytes_sent", "method", "path", "raw_path", "header", "response_code", "response_headers",
        "connection_info",
    ),
    "vegur_req_log": (
        "new", "start_time", "start_to_proxy_duration", "connect_duration", "log", "stamp", "timestamp_diff",
        "record", "linear_report", "linear_summary", "flatten_report", "event_duration", "event", "merge",
    ),
    "vegur_request_log": ("stamp", "log", "get_log_value", "total_routing_time"),
    "vegur_utils": ("handle_error", "peer_ip_port"),
}  # fmt: skip
MIDDLEWARES = (
    "vegur_validate_headers", "vegur_lookup_domain_middleware", "vegur_continue_middleware",
    "vegur_upgrade_middleware", "vegur_lookup_service_middleware", "vegur_proxy_middleware",
)  # fmt: skip
EVENTS = (
    "accepted", "pre_connect", "connect_time", "pre_proxy", "headers_formatted", "headers_sent",
    "service_time", "responded", "client_connect", "client_close", "client_first_packet_sent",
    "client_last_packet_sent", "client_first_packet_recv", "client_last_packet_recv",
)  # fmt: skip
#: the words of `vegur_stub`'s error table that are atoms, and those that have a blame
STUB_WORDS = (
    "not_found", "no_route_id", "{backlog_timeout, _, _}", "{backlog_too_deep, _, _}", "{conn_limit_reached, _, _}",
    "route_lookup_failed", "no_web_processes", "crashed", "backends_quarantined", "backends_starting",
    "backends_idle", "app_not_found", "app_lookup_failed", "maintainance_mode", "econn_timeout",
    "econn_refused", "app_blank", "expectation_failed", "empty_host", "bad_request", "bad_request_header",
)  # fmt: skip
STUB_BLAMES = (
    "{upstream, closed}", "{upstream, etimedout}", "{upstream, enotconn}", "{upstream, timeout}",
    "{upstream, {bad_chunk, _}}", "{upstream, invalid_transfer_encoding}", "{downstream, closed}",
    "{downstream, etimedout}", "{downstream, enotconn}", "{downstream, econnrefused}",
    "{downstream, timeout}", "{downstream, invalid_status}", "{downstream, content_length}",
    "{downstream, cookie_length}", "{downstream, header_length}", "{downstream, status_length}",
    "{downstream, {bad_chunk, _}}", "{downstream, non_terminal_status_after_continue}",
    "{undefined, timeout}",
)  # fmt: skip


def section(heading: str) -> str:
    """What stands under a heading."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def tables(heading: str) -> list[list[list[str]]]:
    """The tables under a heading, a list of rows each, without their heads."""
    found = re.findall(r"(?:^\|.*\n)+", section(heading), re.M)
    return [
        [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
        for table in found
    ]


def codes(cell: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def first_words(rows: list[list[str]]) -> list[str]:
    """Of each row the first name in the first cell."""
    return [codes(row[0])[0] for row in rows]


def head(lines: list[tuple[str, str]]) -> bytes:
    """Field lines."""
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in lines)


class Names(SynchronousTestCase):
    """Our columns."""

    def served(self) -> Any:
        """A request with a body that has been served."""
        proxy = MemoryProxy(router_to(vegurtx.Backend("127.0.0.1", 8081)))
        self.addCleanup(proxy.stop)
        proxy.backend("127.0.0.1", 8081, answering(OK))
        proxy.client().ask("POST", "http://shop.example/a?b", body=b"hi")
        return proxy.of("terminate")[0].request

    def test_callbacks(self) -> None:
        """The signatures are the interface's, and there are nine."""
        rows = tables("Callbacks")[0]
        contract: Any = IRouter
        signatures = {
            f"{name}({', '.join(contract[name].getSignatureInfo()['positional'])})"
            for name in contract.names()
        }
        self.assertEqual({codes(row[1])[0] for row in rows}, signatures)
        self.assertEqual(tuple(first_words(rows)), CALLBACKS)

    def test_answers(self) -> None:
        """What a callback returns or raises can be written so."""
        given = {
            "state": None, "domain_group": "group", "service": 1, "domain": "shop.example", "reason": "mine",
            "host": "127.0.0.1", "port": 8081, "code": 404, "headers": [], "body": b"",
        }  # fmt: skip
        for row in tables("Callbacks")[1]:
            eval(
                codes(row[1])[0],
                vars(vegurtx) | {name: getattr(vegurtx, name) for name in dir(vegurtx)},
                given,
            )

    def test_starting(self) -> None:
        """Each function and class, and each argument of theirs."""
        for row in tables("Starting and stopping")[0]:
            for code in codes(row[1]):
                name, _, attribute = code.partition("(")[0].removesuffix("=").partition(".")
                if code.endswith("="):
                    self.assertIn(name, vegurtx.start_http.__kwdefaults__)
                else:
                    found = getattr(vegurtx, name, None) or getattr(service, name)
                    self.assertTrue(not attribute or hasattr(found, attribute), code)

    def test_settings(self) -> None:
        """Each is a setting; all of vegur's stand in the table, and none of those beneath it."""
        ours = {entry.name for entry in Settings.entries()}
        rows = tables("Settings")[0]
        named = {code for row in rows for code in codes(row[1])}
        self.assertEqual(named - ours, set())
        self.assertEqual(set(SETTINGS) - set(first_words(rows)), set())
        for vegurs in SETTINGS:
            self.assertIn(vegurs.replace("downstream_first_read", "downstream"), named)
        beneath = codes(section("Settings").split("\nNew ones, ")[1])
        self.assertEqual(set(beneath) - (ours - named), set())

    def test_middlewares(self) -> None:
        """The default chain, stage by stage."""
        rows = tables("Middlewares")[0]
        self.assertEqual(tuple(first_words(rows)[:6]), MIDDLEWARES)
        self.assertEqual(
            [codes(row[1]) for row in rows],
            [[type(stage).__name__] for stage in default_middlewares()] + [[]],
        )

    def test_request_and_log(self) -> None:
        """Each expression has a value: the attributes, the log's methods, the events that they name."""
        request = self.served()
        names = {"request": request, "log": request.log}
        for table in (tables("The request")[0], tables("The request log")[0]):
            for row in table:
                for code in codes(row[1]) + [each for each in codes(row[2]) if each.startswith("request.")]:
                    value = eval(code, names)
                    if not re.search(r"\.(tls|headers|proxy_peer|stamp)\b", code):  # None may be right there
                        self.assertIsNotNone(value, (row[0], code))

    def test_events(self) -> None:
        """Ours are those of a request that was served, all of them."""
        rows = tables("The request log")[1]
        self.assertEqual(
            {name for _, name, _ in self.served().log}, {code for row in rows for code in codes(row[1])}
        )
        self.assertEqual(set(EVENTS) - {code for row in rows for code in codes(row[0])}, set())

    def test_reasons(self) -> None:
        """Each reason of the table once, with its status."""
        rows = tables("Reasons")[0]
        found = []
        for row in rows:
            (code,) = codes(row[1])
            reason = eval(code, {"what": "size"})
            RouteError(reason)
            self.assertEqual(int(row[3]), entry(reason).status, code)
            detailed = isinstance(reason[1], tuple)  # ("upstream", ("bad_chunk", what))
            found.append((reason[0], reason[1][0]) if detailed else reason)
        self.assertEqual(found.pop(), "any other word")
        self.assertEqual(sorted(map(str, found)), sorted(map(str, REASONS)))


class Vegur(SynchronousTestCase):
    """vegur's columns: nothing is forgotten."""

    def test_functions(self) -> None:
        """Every exported function."""
        for module, names in FUNCTIONS.items():
            for name in names:
                self.assertRegex(PAGE, rf"`{module}:{name}/\d")

    def test_reasons(self) -> None:
        """Every word of its error table."""
        said = {code for row in tables("Reasons")[0] for code in codes(row[0])}
        self.assertEqual({*STUB_WORDS, *STUB_BLAMES} - said, set())

    def test_links(self) -> None:
        """They lead somewhere."""
        headings = re.findall(r"^## (.*)", PAGE, re.M)
        anchors = {re.sub(r"[^a-z -]", "", line.lower()).replace(" ", "-") for line in headings}
        for target in re.findall(r"\]\(([^)]+)\)", PAGE):
            if target.startswith("#"):
                self.assertIn(target[1:], anchors)
            elif not target.startswith("https:"):
                self.assertTrue((DOCS / target).exists(), target)


class Headers(SynchronousTestCase):
    """What the tables say of headers happens."""

    def assert_done(self, heading: str, sent: dict[str, str], received: Any) -> None:
        """Each header of the table was treated as its cell says."""
        rows = tables(heading)[0]
        self.assertEqual({codes(row[0])[0] for row in rows}, set(sent))
        for row in rows:
            name, said = codes(row[0])[0], row[1]
            values = received.all(name)
            if said.startswith("removed"):
                self.assertEqual(values, [], name)
            elif said.startswith("kept"):
                self.assertEqual(values, [sent[name]], name)
            elif said.startswith("appended to"):
                self.assertEqual(values, [f"{sent[name]}, {values[0].rpartition(', ')[2]}"], name)
            else:
                self.assertRegex(said, "^(added|replaced)")
                self.assertEqual((len(values), sent[name] in values), (1, False), (name, values))

    def test_both_ways(self) -> None:
        """A request and a response with every header of the tables."""
        upstream = dict.fromkeys((codes(row[0])[0] for row in tables("Headers to the back-end")[0]), "theirs")
        upstream |= {"Host": "Shop.Example:80", "Connection": "keep-alive, x-hop", "Expect": "100-continue",
                     "Content-Length": "2"}  # fmt: skip
        downstream = dict.fromkeys((codes(row[0])[0] for row in tables("Headers to the client")[0]), "theirs")
        downstream |= {"Connection": "close"}
        router = router_to(
            vegurtx.Backend("127.0.0.1", 8081),
            feature=lambda name, request, state: name == "peer_port",
        )
        proxy = MemoryProxy(router)
        self.addCleanup(proxy.stop)
        backend = proxy.backend("127.0.0.1", 8081)
        client = proxy.client()
        client.send(b"POST / HTTP/1.1\r\n" + head(list(upstream.items())) + b"\r\nhi")
        server = backend.accept()
        self.assert_done("Headers to the back-end", upstream, server.receive_request())
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + head(list(downstream.items())) + b"\r\n")
        self.assert_done("Headers to the client", downstream, client.receive_response())

    def test_where_nothing_came(self) -> None:
        """A bare request gets all that is added, a bare response `Server` alone."""
        proxy = MemoryProxy(router_to(vegurtx.Backend("127.0.0.1", 8081), feature=True))
        self.addCleanup(proxy.stop)
        backend = proxy.backend("127.0.0.1", 8081)
        client = proxy.client()
        client.send(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        server = backend.accept()
        added = [
            codes(row[0])[0]
            for row in tables("Headers to the back-end")[0]
            if re.match("added|appended|replaced", row[1])
        ]
        names = [name for name, _ in server.receive_request().headers]
        self.assertEqual(sorted(names), sorted(["Host", *added]))
        server.send(b"HTTP/1.1 200 OK\r\n\r\n")
        self.assertEqual(
            client.receive_head(),
            b"HTTP/1.1 200 OK\r\nVia: 1.1 vegur\r\nServer: vegur\r\nConnection: close\r\n\r\n",
        )


class Port(SynchronousTestCase):
    """The router of the page."""

    def setUp(self) -> None:
        names: dict[str, Any] = {}
        (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
        exec(compile(block, "coming-from-vegur.md", "exec"), names)
        self.router = names["ShopRouter"]()
        self.proxy = MemoryProxy(self.router)
        self.addCleanup(self.proxy.stop)
        self.first, self.second = (
            self.proxy.backend("127.0.0.1", port, answering(OK)) for port in (8081, 8082)
        )
        self.client = self.proxy.client()

    def test_answers(self) -> None:
        """The redirect, the two pages, a request that is served."""
        redirect = self.client.ask("GET", "http://www.shop.example/a?b")
        self.assertEqual((redirect.status, redirect.header("Location")), (301, "http://shop.example/a?b"))
        self.assertEqual(self.client.ask("GET", "http://other.example/").status, 404)
        closed = self.client.ask("GET", "http://closed.example/")
        self.assertEqual(
            (closed.status, closed.header("Retry-After"), closed.body), (503, "60", b"Back soon.\n")
        )
        served = self.client.ask("GET", "http://shop.example/")
        self.assertEqual((served.body, served.header("X-Connect")), (b"hello", "0"))
        self.assertEqual(self.router.totals, [("normal", 0), ("error", 0), ("error", 0), ("normal", 0)])
        self.assertEqual(self.proxy.pooled, 1)

    def test_failed_connects(self) -> None:
        """Each back-end is tried once, and its failure noted."""
        self.first.refuses()
        self.assertEqual(self.client.ask("GET", "http://shop.example/").body, b"hello")
        self.assertEqual(self.router.failed, {8081: "econnrefused"})
        self.second.refuses()
        self.assertEqual(self.proxy.client().ask("GET", "http://shop.example/").status, 200)  # from the pool
        self.proxy.advance(61)
        self.assertEqual(self.proxy.client().ask("GET", "http://shop.example/").status, 502)
        self.assertEqual(self.proxy.of("error_page")[0].arguments[0], ("no_backend", 2))

    def test_deep_continue(self) -> None:
        """The feature is on."""
        self.client.send(
            b"POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        self.assertEqual(self.client.received, b"")
        self.client.send(b"hi")
        self.assertEqual(self.client.receive_response().body, b"hello")
