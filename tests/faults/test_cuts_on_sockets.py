"""Rules 16, 20 to 22, 24: a bad network over real sockets, on either side: a sample of what memory tests in full."""

from __future__ import annotations

from typing import Any

from tests.faults.cut_case import INTERIM, REQUESTS, RESPONSES, SWITCHING
from tests.faults.fault_case import GET, OK, Cast, FaultCase
from vegurtx.testing import answering
from vegurtx.testing.faults import Bandwidth, Cut, Drip, Latency, Stall
from vegurtx.testing.pattern import PATTERN

#: how a cut ends, and the word for it where it is the back-end's
ENDS = (("fin", "closed"), ("reset", "econnreset"))
LEFT = ("connected", ("upstream", "closed"))
GOOD = ("connected", "normal")


def sample(size: int) -> list[int]:
    """Some offsets below `size`: both ends, and a few between."""
    return sorted({1, size // 3, size // 2, size - 1} & set(range(1, size)))


class BackendsNetwork(FaultCase):
    """Between the proxy and its back-end."""

    async def test_response_is_cut(self) -> None:
        """Rules 16, 20, 21: in the head a page, in the body a break; what came is delivered."""
        for name, response in RESPONSES.items():
            cast = await self.behind(answering(INTERIM + response.whole), keepalive="default")
            head = len(INTERIM + response.head)
            for end, word in ENDS:
                for at in sorted({*sample(head), *(head + each for each in sample(len(response.body)))}):
                    with self.row(name, end, at):
                        await self.cut_response(cast, at, end, word, at < head, name == "until close")

    async def cut_response(
        self, cast: Cast, at: int, end: Any, word: str, in_head: bool, until_close: bool
    ) -> None:
        """One client, whose response is cut behind `at` bytes; then one whose response is not."""
        cast.faults.next(response=[Cut(at, end)])
        client = await cast.proxy.connect()
        client.send(GET)
        reason = ("connected", ("downstream", word))
        status = await cast.router.finished
        if in_head:
            self.assertEqual((await client.receive_response()).status, 503)
        elif until_close and end == "fin":
            self.assertEqual((await client.receive_response()).status, 200)
            reason = GOOD
        else:
            self.assertEqual(await client.closed(), "reset")
            self.assertNotIn(b"0\r\n\r\n", client.received)
        self.assertEqual(
            (self.ending(cast.router), status), (reason, "error" if reason != GOOD else "normal")
        )
        client.close()
        await self.until(lambda: not cast.faults.open)
        self.assertEqual(len(cast.proxy.factory.client.pool), 0)
        if not until_close:
            other = await cast.proxy.connect()
            other.send(GET)
            self.assertIn((await other.receive_response()).status, (200, 204))
            self.assertEqual(await cast.router.finished, "normal")
            other.close()
            cast.faults.cut("fin")
            await self.until(lambda: not cast.faults.open and not len(cast.proxy.factory.client.pool))

    async def test_request_is_cut(self) -> None:
        """Rule 20: the back-end is gone while the body comes: the client is told so, and not read for ever."""
        request = REQUESTS["a length"]
        for end, word in ENDS:
            for at in (1, 100, 250):
                with self.row(end, at):
                    cast = await self.behind()
                    cast.faults.next(request=[Cut(at, end)])  # type: ignore[arg-type]
                    client = await cast.proxy.connect()
                    client.send(request.whole[:-1])
                    server = await cast.backend.accept()
                    self.assertEqual((await client.receive_response()).status, 503)
                    self.assertEqual(await cast.router.finished, "error")
                    self.assertEqual(self.ending(cast.router), ("connected", ("downstream", word)))
                    await server.closed()
                    self.assertLessEqual(len(server.received), at)
                    client.close()

    async def test_handshake_is_cut(self) -> None:
        """Rule 9: in the head of a 101 it is a page, behind it both ends break."""
        request = REQUESTS["a WebSocket handshake"]
        for end, word in ENDS:
            for at in (*sample(len(SWITCHING)), len(SWITCHING) + 3):
                with self.row(end, at):
                    cast = await self.behind()
                    cast.faults.next(response=[Cut(at, end)])  # type: ignore[arg-type]
                    client = await cast.proxy.connect()
                    client.send(request.whole)
                    server = await cast.backend.accept()
                    await server.receive_request()
                    server.send(SWITCHING + b"frames")
                    if at < len(SWITCHING):
                        self.assertEqual((await client.receive_response()).status, 503)
                        client.close()
                    else:
                        self.assertEqual((await client.receive_response()).status, 101)
                        self.assertEqual(await client.closed(), "clean" if end == "fin" else "reset")
                        self.assertEqual(client.unread, b"fra")
                    status = await cast.router.finished
                    whole = at > len(SWITCHING) and end == "fin"
                    self.assertEqual(
                        (self.ending(cast.router), status),
                        (GOOD, "normal") if whole else (("connected", ("downstream", word)), "error"),
                    )
                    await server.closed()

    async def test_refused_and_back(self) -> None:
        """Rule 22: a refused connect is checked in; when the back-end is back, it is used."""
        cast = await self.behind(answering(OK))
        cast.faults.refuses()
        client = await cast.proxy.connect()
        client.send(GET)
        self.assertEqual((await client.receive_response()).status, 503)
        self.assertEqual(cast.router.of("checkin_service")[0].arguments[2:], ("connecting", "econnrefused"))
        self.assertEqual(await cast.router.finished, "error")
        cast.faults.accepts()
        client.send(GET)
        self.assertEqual((await client.receive_response()).body, b"hi")
        client.close()

    async def test_black_hole(self) -> None:
        """Rules 22, 24: a connect that is not answered ends by its limit; others are served meanwhile."""
        cast = await self.behind(answering(OK), downstream_connect_timeout=300)
        cast.faults.ignores()
        client = await cast.proxy.connect()
        client.send(GET)
        await self.until(lambda: cast.router.count("service_backend"))
        cast.router.on(checkout_service=cast.backend.as_backend())
        for _ in range(5):
            other = await cast.proxy.connect()
            other.send(GET)
            self.assertEqual((await other.receive_response()).body, b"hi")
            self.assertEqual(await cast.router.finished, "normal")
            other.close()
        cast.router.on(checkout_service=_given_up)
        self.assertEqual((await client.receive_response()).status, 503)
        words = [call.arguments[3] for call in cast.router.of("checkin_service")]
        self.assertEqual(words.count("etimedout"), 1)
        client.close()

    async def test_half_open(self) -> None:
        """Rule 24: a back-end that is gone without a word costs `downstream_timeout`, behind a head `idle_timeout`."""
        for at, reason in ((0, ("downstream", "timeout")), (len(OK) - 1, ("undefined", "timeout"))):
            with self.row(at):
                cast = await self.behind(answering(OK), downstream_timeout=0.2, idle_timeout=0.4)
                cast.faults.next(request=[Stall(10_000)], response=[Stall(at)])
                client = await cast.proxy.connect()
                client.send(GET.replace(b"GET", b"POST"))
                self.assertEqual(await cast.router.finished, "error")
                self.assertEqual(self.ending(cast.router), ("connected", reason))
                if at == 0:
                    self.assertEqual((await client.receive_response()).status, 503)
                else:
                    self.assertEqual(await client.closed(), "reset")
                client.close()

    async def test_slowly(self) -> None:
        """A response that drips, comes late or over a thin line is the same response."""
        body = PATTERN[:3000]
        whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nbb8\r\n%b\r\n0\r\n\r\n" % body
        cast = await self.behind(answering(whole), keepalive="default")
        for faults in (
            [Drip(7, 0.0)],
            [Latency(0.02)],
            [Bandwidth(20_000)],
            [Latency(0.01), Drip(100, 0.001)],
        ):
            with self.row(faults):
                cast.faults.always(request=faults, response=faults)
                client = await cast.proxy.connect()
                client.send(GET)
                self.assertEqual((await client.receive_response()).body, body)
                self.assertEqual(await cast.router.finished, "normal")
                client.close()
                cast.faults.cut("fin")
                await self.until(lambda: not cast.faults.open and not len(cast.proxy.factory.client.pool))


class ClientsNetwork(FaultCase):
    """Between the clients and the proxy."""

    async def test_request_is_cut(self) -> None:
        """Rule 21: no part of a request counts as one; in the head no router is asked, in the body it ends as left."""
        for name, request in REQUESTS.items():
            cast = await self.before(keepalive="default")
            for end, _ in ENDS:
                head = len(request.head)
                for at in sorted({*sample(head), *(head + each for each in sample(len(request.body)))}):
                    with self.row(name, end, at):
                        cast.faults.next(request=[Cut(at, end)])  # type: ignore[arg-type]
                        client = await self.client_of(cast.faults)
                        client.send(request.whole)
                        await client.closed()
                        await self.until(lambda c=cast: not c.faults.open and not c.proxy.factory.connections)
                        if at < head:
                            self.assertEqual((cast.router.names, cast.backend.waiting), ([], 0))
                        elif end == "fin" or cast.router.calls:  # a reset may take away what came before it
                            self.assertEqual(await cast.router.finished, "error")
                            self.assertIn(self.ending(cast.router), (LEFT, ("checkout", LEFT[1])))
                        for server in cast.backend.connections:
                            self.assertEqual(await server.closed(), "reset")
                            self.assertNotIn(b"0\r\n\r\n", server.received.partition(b"\r\n\r\n")[2])
                        cast.router.calls.clear()
                        cast.backend.connections.clear()
                        while cast.backend.waiting:
                            await cast.backend.accept()

    async def test_response_is_cut(self) -> None:
        """Rule 21: a client that is reset while it is told cancels the back-end's request."""
        for name, response in RESPONSES.items():
            if name != "no body":
                for at in (1, 20):
                    with self.row(name, at):
                        cast = await self.before(keepalive="default")
                        cast.faults.next(response=[Cut(at, "reset")])
                        client = await self.client_of(cast.faults)
                        client.send(GET)
                        server = await cast.backend.accept()
                        await server.receive_request()
                        server.send(response.whole[:-1])
                        self.assertEqual(await cast.router.finished, "error")
                        self.assertEqual(self.ending(cast.router), LEFT)
                        self.assertEqual(await server.closed(), "reset")
                        self.assertEqual(len(cast.proxy.factory.client.pool), 0)
                        await client.closed()

    async def test_half_open(self) -> None:
        """Rule 24: a client that is gone without a word, in its body or while it is told, costs `idle_timeout`."""
        cast = await self.before(idle_timeout=0.3)
        cast.faults.next(request=[Stall(len(REQUESTS["a length"].head) + 3)], response=[Stall(0)])
        client = await self.client_of(cast.faults)
        client.send(REQUESTS["a length"].whole)
        server = await cast.backend.accept()
        self.assertEqual(await cast.router.finished, "error")
        self.assertEqual(self.ending(cast.router), ("connected", ("upstream", "timeout")))
        self.assertEqual(await server.closed(), "reset")
        client.close()

    async def test_slowly(self) -> None:
        """A request that drips or comes late is the same request."""
        cast = await self.before(answering(lambda request: OK[:-2] + request.body[:2]), keepalive="default")
        for faults in ([Drip(3, 0.0)], [Latency(0.02)], [Bandwidth(5000)]):
            for name in ("a length", "chunks", "chunks and trailers"):
                with self.row(name, faults):
                    cast.faults.next(request=faults, response=faults)
                    client = await self.client_of(cast.faults)
                    client.send(REQUESTS[name].whole)
                    self.assertEqual((await client.receive_response()).body, b"he")
                    self.assertEqual(await cast.router.finished, "normal")
                    client.close()


def _given_up(*_: object) -> None:
    from vegurtx import RouteError

    raise RouteError(("downstream", "etimedout"))
