"""The reasons table, line by line: each reason is provoked for real, and no other one can be.

Each provocation is played; the test looks at what `error_page` was asked, how the final check-in and `terminate`
saw the request end, and what the client got.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.behaviour.conversation import GET, Conversation, Ending
from tests.behaviour.provocations import (
    BROKEN_OFF,
    CONNECTING,
    PART,
    PROVOCATIONS,
    REJECTED,
    Provocation,
    Then,
)
from tests.behaviour.said_reasons import PACKAGE, fixed, rejected_in_sources, said_in_sources
from vegurtx import Backend, RouteError
from vegurtx.cli.reasons_docs import errors_page
from vegurtx.errors import REASONS, REJECTIONS, Reason, entry
from vegurtx.testing import RecordingRouter, ScriptedConnection, parse_response_head, router_to
from vegurtx.wire.errors import BadHead


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

        def listening(error: BadHead, connection: Any) -> bytes:
            words.append(error.what)
            page: bytes = rejection(error, connection)
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
