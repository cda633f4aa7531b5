"""The reasons table, line by line: each reason is provoked for real, and no other one can be.

A `Provocation` says what the client asks, what the back-end says, and what happens then; the test looks at
what `error_page` was asked, how the final check-in and `terminate` saw the request end, and what the client
got.
"""

from __future__ import annotations

import ast
import errno
from collections.abc import Callable, Iterator
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError, DNSLookupError, NoRouteError

import vegurtx
from tests.behaviour.conversation import CHUNKED_POST, GET, OK, Conversation, Ending, post
from vegurtx import Backend, RouteError
from vegurtx.cli.reasons_docs import errors_page
from vegurtx.errors import REASONS, REJECTIONS, Reason, entry
from vegurtx.testing import RecordingRouter, ScriptedConnection, parse_response_head, router_to
from vegurtx.wire.errors import BadHead

PACKAGE = Path(vegurtx.__file__).parent
BROKEN_OFF = None
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"
DEEP_POST = b"POST / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Then(Enum):
    """What happens when everything has been said."""

    NOTHING = auto()
    BACKEND_CLOSES = auto()
    BACKEND_RESETS = auto()
    CLIENT_RESETS = auto()
    TIME_PASSES = auto()


class Provocation(NamedTuple):
    """A way to a reason."""

    reason: Reason
    #: of the client's page; `BROKEN_OFF` where none can reach it
    status: int | None
    request: bytes = GET
    #: the phase of the final check-in; a back-end is there when it is "connected"
    phase: str = "connected"
    #: the back-end's, when it has the request's head
    says: bytes = b""
    then: Then = Then.NOTHING
    #: the router's, by callback
    answers: dict[str, Any] = {}
    #: callback and how often it was asked when `then` comes
    asked: tuple[str, int] = ("init", 1)
    settings: dict[str, Any] = {}
    #: what lands in the log, as it must
    logged: type[Exception] | None = None


def silence(*_: Any) -> Deferred[Any]:
    """A callback that never answers."""
    return Deferred()


def silence_downstream(direction: str, *_: Any) -> Any:
    """Never says what is added to a response."""
    return Deferred() if direction == "downstream" else ()


def error_downstream(direction: str, *_: Any) -> Any:
    """Raises when it is asked what is added to a response."""
    if direction == "downstream":
        raise ArithmeticError
    return ()


def head(*lines: bytes, request_line: bytes = b"GET / HTTP/1.1") -> bytes:
    """A request's head."""
    return b"\r\n".join((request_line, *lines, b"", b""))


HOST = b"Host: example.org"


def bad_request(*lines: bytes, request_line: bytes = b"GET / HTTP/1.1", status: int = 400) -> Provocation:
    """A head that has parsed, and that nobody can serve."""
    return Provocation("bad_request", status, head(*lines, request_line=request_line), "lookup")


def transfer_encoding(*lines: bytes, status: int = 400, version: bytes = b"1.1") -> Provocation:
    """A coding that frames nothing."""
    request = head(HOST, *lines, request_line=b"POST / HTTP/" + version)
    return Provocation(("upstream", "invalid_transfer_encoding"), status, request, "lookup")


def bad_header(*lines: bytes) -> Provocation:
    """A Connection, Upgrade or Expect that means nothing."""
    return Provocation("bad_request_header", 400, head(HOST, *lines), "checkout")


def says(what: str | tuple[str, str], *lines: bytes, body: bytes = b"", **settings: Any) -> Provocation:
    """A response that is none."""
    response = b"\r\n".join((*lines, b"", b"")) + body
    return Provocation(("downstream", what), 502, says=response, settings=settings)


STATUS = b"HTTP/1.1 200 OK"
CHUNKED = b"Transfer-Encoding: chunked"

PROVOCATIONS = [
    # what the stages of the chain find
    Provocation("empty_host", 400, head(), "lookup"),
    Provocation("empty_host", 400, head(b"Host: "), "lookup"),
    Provocation(
        "empty_host", 400, head(b"Host:", request_line=b"GET http://example.org/ HTTP/1.1"), "lookup"
    ),
    Provocation("empty_host", 400, head(request_line=b"GET / HTTP/1.0"), "lookup"),
    bad_request(HOST, HOST),
    bad_request(b"Host: a b"),
    bad_request(HOST, b"Content-Length: x"),
    bad_request(HOST, b"Content-Length: 1", b"Content-Length: 2"),
    bad_request(HOST, request_line=b"GET * HTTP/1.1"),
    bad_request(HOST, request_line=b"GET nothing HTTP/1.1"),
    bad_request(HOST, request_line=b"CONNECT example.org:443 HTTP/1.1", status=405),
    bad_header(b"Connection: upgrade"),
    bad_header(b"Connection: upgrade", b"Upgrade: a b"),
    bad_header(b"Connection: a b"),
    bad_header(b"Expect: ()"),
    Provocation("expectation_failed", 417, head(HOST, b"Expect: 200-ok"), "checkout"),
    # what callbacks do
    Provocation("crashed", 503, phase="lookup", answers={"init": ArithmeticError}, logged=ArithmeticError),
    Provocation(
        "crashed",
        503,
        phase="lookup",
        answers={"lookup_domain_name": ArithmeticError},
        logged=ArithmeticError,
    ),
    Provocation(
        "crashed",
        503,
        phase="checkout",
        answers={"checkout_service": ArithmeticError},
        logged=ArithmeticError,
    ),
    Provocation("crashed", 503, phase="checkout", answers={"service_backend": 7}, logged=TypeError),
    Provocation(
        "crashed", 503, answers={"feature": lambda *_: fail(ArithmeticError())}, logged=ArithmeticError
    ),
    Provocation("crashed", 503, answers={"additional_headers": [("A", 7)]}, logged=TypeError),
    Provocation(
        "crashed", 503, says=OK, answers={"additional_headers": error_downstream}, logged=ArithmeticError
    ),
    # the client's side
    Provocation(
        ("upstream", "closed"),
        BROKEN_OFF,
        phase="lookup",
        answers={"lookup_domain_name": silence},
        asked=("lookup_domain_name", 1),
        then=Then.CLIENT_RESETS,
    ),
    Provocation(("upstream", "closed"), BROKEN_OFF, then=Then.CLIENT_RESETS),
    Provocation(("upstream", "closed"), BROKEN_OFF, post(5) + b"ab", then=Then.CLIENT_RESETS),
    Provocation(("upstream", "closed"), BROKEN_OFF, says=PART, then=Then.CLIENT_RESETS),
    Provocation(("upstream", "timeout"), 503, post(5) + b"ab", then=Then.TIME_PASSES),
    Provocation(("upstream", "timeout"), 503, CHUNKED_POST + b"2\r\nab\r\n", then=Then.TIME_PASSES),
    *(
        Provocation(("upstream", ("bad_chunk", what)), 400, CHUNKED_POST + body)
        for body, what in [
            (b"x\r\n", "size"),
            (b"1;a\rb\r\n", "extension"),
            (b"1\r\nabc", "delimiter"),
            (b"0\r\nno colon\r\n\r\n", "trailer"),
            (b"1;" + b"a" * 5000, "length"),
        ]
    ),
    transfer_encoding(b"Transfer-Encoding: gzip"),
    transfer_encoding(b"Transfer-Encoding: chunked, chunked"),
    transfer_encoding(b"Transfer-Encoding: chunked", b"Content-Length: 1"),
    transfer_encoding(b"Transfer-Encoding: chunked", version=b"1.0"),
    transfer_encoding(b"Transfer-Encoding: rot13, chunked", status=501),
    # the back-end's side
    Provocation(("downstream", "closed"), 503, then=Then.BACKEND_CLOSES),
    Provocation(("downstream", "closed"), 503, says=b"HTTP/1.1 200", then=Then.BACKEND_CLOSES),
    Provocation(("downstream", "closed"), BROKEN_OFF, says=PART, then=Then.BACKEND_CLOSES),
    Provocation(("downstream", "econnreset"), 503, then=Then.BACKEND_RESETS),
    Provocation(("downstream", "econnreset"), BROKEN_OFF, says=PART, then=Then.BACKEND_RESETS),
    Provocation(("downstream", "timeout"), 503, then=Then.TIME_PASSES),
    Provocation(("downstream", "timeout"), 503, post(2) + b"ab", then=Then.TIME_PASSES),
    says("status_length", STATUS.ljust(9000, b"K")),
    says("invalid_status", b"HTTP/1.1 abc"),
    says("invalid_status", b"HTTP/1.1 101 Switching Protocols", b"Connection: upgrade", b"Upgrade: x"),
    says("header_length", STATUS, b"no colon"),
    says("header_length", STATUS, b"A: " + b"b" * 600_000),
    says("header_length", STATUS, *[b"A: b"] * 1001),
    says("cookie_length", STATUS, b"Set-Cookie: ".ljust(9000, b"c")),
    says("content_length", STATUS, b"Content-Length: x"),
    says("invalid_transfer_encoding", STATUS, b"Transfer-Encoding: gzip"),
    *(
        says(("bad_chunk", what), STATUS, CHUNKED, body=body)
        for body, what in [
            (b"x\r\n", "size"),
            (b"1;a\rb\r\n", "extension"),
            (b"1\r\nabc", "delimiter"),
            (b"0\r\nno colon\r\n\r\n", "trailer"),
            (b"1;" + b"a" * 5000, "length"),
        ]
    ),
    Provocation(
        ("downstream", "non_terminal_status_after_continue"),
        502,
        DEEP_POST,
        says=CONTINUE * 2,
        answers={"feature": {"deep_continue"}},
    ),
    # neither
    Provocation(("undefined", "timeout"), 503, says=b"HTTP/1.1 200", then=Then.TIME_PASSES),
    Provocation(("undefined", "timeout"), BROKEN_OFF, says=PART, then=Then.TIME_PASSES),
    *(
        Provocation(
            ("undefined", "router_timeout"),
            503,
            phase=phase,
            answers={callback: silence},
            asked=(callback, 1),
            then=Then.TIME_PASSES,
        )
        for callback, phase in [
            ("init", "lookup"),
            ("lookup_domain_name", "lookup"),
            ("checkout_service", "checkout"),
            ("service_backend", "checkout"),
            ("feature", "connected"),
            ("additional_headers", "connected"),
        ]
    ),
    Provocation(
        ("undefined", "router_timeout"),
        503,
        says=OK,
        answers={"additional_headers": silence_downstream},
        asked=("additional_headers", 2),
        then=Then.TIME_PASSES,
    ),
]

#: what only connects provoke; they have tests of their own
CONNECTING: dict[Reason, Callable[[Backend], Any] | None] = {
    ("downstream", "connect_tries"): None,
    ("downstream", "econnrefused"): None,
    ("downstream", "etimedout"): None,
    # no address of the loopback network fails so, and no other network is to be touched
    ("downstream", "enetunreach"): lambda _: Failing(NoRouteError(errno.ENETUNREACH, "")),
    ("downstream", "ehostunreach"): lambda _: Failing(ConnectError(errno.EHOSTUNREACH, "")),
    ("downstream", "nxdomain"): lambda _: Failing(DNSLookupError("no such name")),
    ("downstream", "econnfailed"): lambda _: Failing(ConnectError(None, "for some reason")),
}

REJECTED = [
    ("bad_request_line", 400, b"GET /\r\n\r\n"),
    ("bad_request_line", 400, b"G(T / HTTP/1.1\r\n\r\n"),
    ("bad_header", 400, head(HOST, b"no colon")),
    ("bad_header", 400, head(HOST, b"Space : x")),
    ("bad_byte", 400, head(HOST, b"A: \0")),
    ("bad_byte", 400, head(HOST, b"A: b\nC: d")),
    ("bad_byte", 400, b"GET /\0 HTTP/1.1\r\n\r\n"),
    ("version", 505, b"GET / HTTP/2.0\r\n\r\n"),
    ("version", 400, b"GET / HTTP/0.9\r\n\r\n"),
    ("line_length", 414, b"GET /".ljust(9000, b"a")),
    ("header_length", 431, head(HOST, b"A: ".ljust(9000, b"a"))),
    ("header_length", 431, head(HOST, b"A".ljust(2000, b"a") + b": b")),
    ("header_length", 431, head(HOST, *[b"A: b"] * 1001)),
    ("head_timeout", 408, b"GET / HTTP/1.1\r\nHo"),
]


class Failing:
    """An endpoint where every connect fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def connect(self, factory: Any) -> Deferred[Any]:
        """See `IStreamClientEndpoint`."""
        return fail(self.error)


class Provoked(Conversation):
    """Each reason, with the status that the table has."""

    def provocations_of(self, origin: Callable[[Reason], bool]) -> list[Provocation]:
        """The rows for those reasons; there must be some."""
        chosen = [row for row in PROVOCATIONS if origin(row.reason)]
        self.assertTrue(chosen)
        return chosen

    async def provoke(self, row: Provocation) -> None:
        """Play the row, and look at what all sides saw."""
        backend = await self.backend()
        router = router_to(backend, **row.answers)
        proxy, clock = await self.timed_proxy(router, **row.settings)
        client = await proxy.connect()
        client.send(row.request)
        server: Any = None
        if row.phase == "connected":
            server = await backend.accept()
            if row.says or row.then in (Then.BACKEND_CLOSES, Then.BACKEND_RESETS):
                await server.receive_head()
                server.send(row.says)
        callback, times = row.asked
        await self.until(lambda: router.count(callback) >= times, f"{callback} to be asked")
        if row.says and row.then is not Then.NOTHING and row.says.startswith(PART):
            await client.receive_until(b"ab")
        if row.says and row.then is Then.TIME_PASSES:
            link = router.requests[0].exchange.link
            await self.until(lambda: link.received == len(row.says), "the proxy to hear it")
        await self.turns()
        self.happen(row.then, client, server, clock)
        await self.assert_outcome(row, router, client)

    def happen(self, then: Then, client: ScriptedConnection, server: Any, clock: Any) -> None:
        """Let it happen."""
        if then is Then.BACKEND_CLOSES:
            server.close()
        elif then is Then.BACKEND_RESETS:
            server.abort()
        elif then is Then.CLIENT_RESETS:
            client.abort()
        elif then is Then.TIME_PASSES:
            clock.advance(56)  # longer than any of the default limits on a request

    async def assert_outcome(
        self, row: Provocation, router: RecordingRouter, client: ScriptedConnection
    ) -> None:
        """What the client and the router saw."""
        if row.status is BROKEN_OFF:
            self.assertEqual(await client.closed(), "reset")
        else:
            response = await client.receive_response()
            self.assertEqual((response.status, response.body), (row.status, b""))
            self.assertEqual(client.unread, b"")
        self.assertEqual(await self.ending(router), Ending(row.phase, row.reason, "error"))
        group = None if row.phase == "lookup" else "example.org"
        pages = [] if row.status is BROKEN_OFF else [(row.reason, group)]
        self.assertEqual([call.arguments for call in router.of("error_page")], pages)
        logged = self.flushLoggedErrors()
        self.assertEqual(
            [failure.type for failure in logged], [] if row.logged is None else [row.logged], logged
        )

    async def play(self, rows: list[Provocation]) -> None:
        """Play all rows."""
        for row in rows:
            with self.row(row.reason, row.request[:60], row.says[:60], row.then):
                await self.provoke(row)

    async def test_stages(self) -> None:
        """Rules 1, 2, 5, 8, 9: what the stages of the chain find in a head, and what callbacks do."""
        await self.play(self.provocations_of(lambda reason: isinstance(reason, str)))

    async def test_upstream(self) -> None:
        """Rules 5, 6, 21, 24: what the client's side is to blame for."""
        await self.play(self.provocations_of(lambda reason: reason[0] == "upstream"))

    async def test_downstream(self) -> None:
        """Rules 8, 14, 17, 21, 24: what the back-end's side is to blame for."""
        await self.play(self.provocations_of(lambda reason: reason[0] == "downstream"))

    async def test_undefined(self) -> None:
        """Rule 24: what neither is to blame for."""
        await self.play(self.provocations_of(lambda reason: reason[0] == "undefined"))

    async def test_routers_own(self) -> None:
        """A router's reason reaches the page and the check-in as it is, with the table's status."""
        rows = [reason for reason, line in REASONS.items() if line.origin == "router"]
        for reason in [*rows, "mine", ("mine", 7, [])]:
            status = entry(reason).status
            answers = {"lookup_domain_name": RouteError(reason)}
            with self.row(reason):
                await self.provoke(Provocation(reason, status, phase="lookup", answers=answers))


class Connects(Conversation):
    """Rule 22: a failed connect is checked in with its bare word."""

    async def failed(self, word: str, router: RecordingRouter, proxy: Any) -> None:
        """The connect failed so; the router gave up with the same word, and its blame."""
        client = await proxy.connect()
        client.send(GET)
        response = await client.receive_response()
        self.assertEqual(response.status, 503)
        reason = ("downstream", word)
        self.assertEqual(await self.ending(router), Ending("checkout", reason, "error"))
        checked_in = [call.arguments[1:] for call in router.of("checkin_service")]
        self.assertEqual(checked_in, [(router.backends[0], "connecting", word), (None, "checkout", reason)])
        self.assertEqual(router.of("error_page")[0].arguments, (reason, "example.org"))

    def giving_up(self, word: str, backend: Any) -> RecordingRouter:
        """A router with one back-end, which it gives up with `word`."""
        return router_to(backend, exhausted=("downstream", word))

    async def test_refused(self) -> None:
        """Rule 22: nobody listens there: ``econnrefused``."""
        router = self.giving_up("econnrefused", await self.refusing_backend())
        await self.failed("econnrefused", router, await self.proxy(router))

    async def test_timed_out(self) -> None:
        """Rules 22, 24: nobody answers within ``downstream_connect_timeout``: ``etimedout``."""
        router = self.giving_up("etimedout", await self.silent_backend())
        await self.failed("etimedout", router, await self.proxy(router, downstream_connect_timeout=30))

    async def test_no_such_socket(self) -> None:
        """Rule 22: any other errno has its own name, as a UNIX socket's ``enoent``."""
        router = self.giving_up("enoent", Backend.unix(str(self.folder() / "nobody")))
        await self.failed("enoent", router, await self.proxy(router))

    async def test_others(self) -> None:
        """Rule 22: no way to the host or its network, no such name, or no known cause."""
        for reason, endpoint in CONNECTING.items():
            if endpoint is None:
                continue
            with self.row(reason):
                router = self.giving_up(reason[1], Backend("127.0.0.1", 1))
                proxy = await self.proxy(router)
                proxy.factory.client._endpoint_for = endpoint
                await self.failed(reason[1], router, proxy)

    async def test_connect_tries(self) -> None:
        """Settled: ``max_connect_tries`` stops a router that never gives up: ``connect_tries``."""
        router = router_to(*[await self.refusing_backend()] * 5)
        proxy = await self.proxy(router, max_connect_tries=3)
        client = await proxy.connect()
        client.send(GET)
        self.assertEqual((await client.receive_response()).status, 503)
        reason = ("downstream", "connect_tries")
        self.assertEqual(await self.ending(router), Ending("checkout", reason, "error"))
        self.assertEqual(router.of("error_page")[0].arguments, (reason, "example.org"))
        phases = [call.arguments[2:] for call in router.of("checkin_service")]
        self.assertEqual(phases, [("connecting", "econnrefused")] * 3 + [("checkout", reason)])


class Rejected(Conversation):
    """Settled, "Who sees a rejection": what is no request is answered without the router."""

    async def test_rejections(self) -> None:
        """Rules 1, 3, 4, 24: each word with its status, a closed connection, and no callback."""
        for word, status, request in REJECTED:
            with self.row(word, request[:60]):
                await self.rejected(word, status, request)

    async def rejected(self, word: str, status: int, request: bytes) -> None:
        """`request` is rejected so."""
        router = router_to()
        proxy, clock = await self.timed_proxy(router)
        words = []
        rejection = proxy.factory.rejection

        def listening(error: BadHead) -> bytes:
            words.append(error.what)
            page: bytes = rejection(error)
            return page

        proxy.factory.rejection = listening
        client = await proxy.connect()
        client.send(request)
        if word == "head_timeout":
            connections = proxy.factory.connections
            await self.until(lambda: any(each._partial for each in connections), "the head's beginning")
            clock.advance(61)
        response = parse_response_head(await client.receive_all())
        self.assertEqual((response.status, words), (status, [word]))
        self.assertEqual(response.all("connection"), ["close"])
        self.assertEqual(response.all("content-length"), ["0"])
        self.assertEqual(router.calls, [])
        client.close()


class Table(Conversation):
    """The tables are whole, and the page that shows them too."""

    def test_each_is_provoked(self) -> None:
        """Every line of the tables has its provocation."""
        provoked = {fixed(row.reason) for row in PROVOCATIONS} | set(CONNECTING)
        routers = {reason for reason, line in REASONS.items() if line.origin == "router"}
        self.assertEqual(set(REASONS) - provoked - routers, set())
        self.assertEqual(provoked - set(REASONS), set())
        self.assertEqual({word for word, _, _ in REJECTED}, set(REJECTIONS))

    def test_status(self) -> None:
        """The provocations show the table's statuses, but for those which their text names."""
        for row in PROVOCATIONS:
            line = entry(row.reason)
            if row.status is not BROKEN_OFF and row.status != line.status:
                self.assertIn(str(row.status), line.meaning, row)
        for word, status, _ in REJECTED:
            if status != REJECTIONS[word].status:
                self.assertIn(str(status), REJECTIONS[word].meaning, word)

    def test_blame(self) -> None:
        """A tuple's first item is its blame; all lines have one, a status of an error, and a sentence."""
        for reason, line in [*REASONS.items(), *REJECTIONS.items()]:
            if isinstance(reason, tuple):
                self.assertEqual(reason[0], line.blame, reason)
            self.assertIn(line.blame, ("upstream", "downstream", "undefined"), reason)
            self.assertIn(line.origin, ("proxy", "router"), reason)
            self.assertTrue(400 <= line.status <= 599, reason)
            self.assertTrue(line.meaning.endswith("."), reason)
            self.assertRegex(line.code, r"\A(?:H[0-9]{2})?\Z")

    def test_no_other_reason(self) -> None:
        """The sources can produce no reason which the table does not have, and each of the proxy's."""
        found = {fixed(reason) for reason in said_in_sources()}
        self.assertEqual(found - set(REASONS), set())
        proxys = {reason for reason, line in REASONS.items() if line.origin == "proxy"}
        self.assertEqual(proxys - found, set())

    def test_no_other_rejection(self) -> None:
        """The codec and the client's connection can reject with no word which the table does not have."""
        found = set(rejected_in_sources())
        self.assertEqual(found, set(REJECTIONS))

    def test_page(self) -> None:
        """``docs/errors.md`` is what the tables say now."""
        page = PACKAGE.parent / "docs" / "errors.md"
        self.assertEqual(page.read_text(encoding="utf-8"), errors_page())


def fixed(reason: Reason) -> Reason:
    """The reason as the table has it: without a detail that varies."""
    return (reason[0], reason[1][0]) if isinstance(reason, tuple) and isinstance(reason[1], tuple) else reason


# -- what the sources say --------------------------------------------------------------------------------

_BLAMES = ("upstream", "downstream", "undefined")
#: calls whose first argument is a reason, or is one where it is text
_SAYING = ("RouteError", "fail", "_failed", "broken", "backend_failed", "_end")
#: where a reason's second item is a name: the words that it can stand for
_VARYING = {("net/backend.py", "error.what"), ("net/backend.py", "what"), ("proxy/relay.py", "what")}


def trees(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    """The modules of these rooms, each with its path in the package."""
    for room in rooms:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def texts(node: ast.AST) -> list[str]:
    """All text constants below `node`, but for what stands in a tuple with a blame."""
    if isinstance(node, ast.Tuple) and _blames(node):
        return []
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    return [text for below in ast.iter_child_nodes(node) for text in texts(below)]


def called(node: ast.AST) -> str:
    """The name of what is called there; empty where nothing is."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def argument(node: Any) -> ast.AST:
    """The first argument of that call."""
    first: ast.AST = node.args[0] if node.args else node
    return first


def said_in_sources() -> Iterator[Reason]:
    """Every reason that the code of the proxy says."""
    for path, tree in trees("proxy", "middleware", "net"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Tuple) and _blames(node):
                yield from _tuples(path, node)
            elif called(node) in _SAYING:
                yield from (text for text in texts(argument(node)) if text not in ("normal", "error"))
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "attr", "") == "problem":
                yield from texts(node.value)


def _tuples(path: str, node: ast.Tuple) -> Iterator[Reason]:
    blame, what = _constant(node.elts[0]), node.elts[1]
    if isinstance(what, ast.Tuple):
        what = what.elts[0]
    if isinstance(what, ast.Constant):
        yield (blame, what.value)
        return
    # a word that comes from elsewhere: then all that can come from there
    assert (path, ast.unparse(what)) in _VARYING, f"{path}: {ast.unparse(node)}"
    yield from (("downstream", word) for word in words_of_responses())


def _constant(node: ast.AST) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _blames(node: ast.Tuple) -> bool:
    return bool(node.elts) and _constant(node.elts[0]) in _BLAMES


def words_of_responses() -> Iterator[str]:
    """What the codec finds wrong in a response's head or framing, and how a back-end's connection ends."""
    for path, tree in trees("wire", "net"):
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == "ResponseHeadBuffer":
                yield from _raised(node, "BadHead")
            elif isinstance(node, ast.FunctionDef) and node.name in ("response_framing", "_length"):
                yield from _raised(node, "BadFraming")
            elif path == "net/backend.py" and called(node) == "_lost":
                yield from texts(node)


def _raised(tree: ast.AST, name: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if called(node) == name:
            yield from texts(node)


def rejected_in_sources() -> Iterator[str]:
    """The words of `BadHead` which have a status of their own: a request's."""
    for _, tree in trees("wire", "net"):
        for node in ast.walk(tree):
            if called(node) == "BadHead" and len(getattr(node, "args", ())) == 2:
                yield from texts(argument(node))
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_REQUEST_FAULTS":
                yield from texts(node.value)
