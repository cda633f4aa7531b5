"""Rule 21: truncation is never hidden: a response that breaks off breaks the client's connection off.

Every test here also proves that no descriptor is left: `ProxyTestCase` compares the process's sockets.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.behaviour.conversation import (
    GET,
    GOOD,
    OK,
    OLD_GET,
    Conversation,
)
from vegurtx.testing import client_context, context_factory, router_to, self_signed
from vegurtx.testing.pattern import PATTERN

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\n\r\n"

BROKEN = [
    (LENGTH, b"", b""),
    (LENGTH, b"hello", b"hello"),
    (LENGTH, b"hello wor", b"hello wor"),
    (CHUNKED, b"", b""),
    (CHUNKED, b"5", b""),
    (CHUNKED, b"5\r\n", b""),
    (CHUNKED, b"5\r\nhel", b"hel"),
    (CHUNKED, b"5\r\nhello", b"hello"),
    (CHUNKED, b"5\r\nhello\r", b"hello"),
    (CHUNKED, b"5\r\nhello\r\n", b"hello"),
    (CHUNKED, b"5\r\nhello\r\n0", b"hello"),
    (CHUNKED, b"5\r\nhello\r\n0\r\n", b"hello"),
    (CHUNKED, b"5\r\nhello\r\n0\r\nA: 1\r\n", b"hello"),
]
"""A response's head, what came of its body before the end, and how much content that is."""

BAD_CHUNKS = [
    (b"5\r\nhello\r\nx", "size"),
    (b"5\r\nhello\r\n-1\r\n", "size"),
    (b"5\r\nhello!", "delimiter"),
    (b"5\r\nhello\r\n5;\0", "extension"),
    (b"5\r\nhello\r\n" + b"5;" + b"x" * 5000, "length"),
    (b"5\r\nhello\r\n0\r\nno colon\r\n\r\n", "trailer"),
    (b"5\r\nhello\r\n0\r\n5\r\nmore!\r\n0\r\n\r\n", "trailer"),
]

ENDS = [("close", "closed"), ("half_close", "closed"), ("abort", "econnreset")]


class BackendDies(Conversation):
    """Rule 21: a response that does not reach its end."""

    async def assert_broken_off(self, scene: Any, content: bytes, what: Any) -> None:
        """The client got `content`, and an end that nobody takes for a clean one."""
        self.assertEqual(await scene.client.closed(), "reset")
        head, _, body = scene.client.received.partition(b"\r\n\r\n")
        if b"chunked" in head:
            self.assertNotIn(b"0\r\n", body)
            decoded = b"".join(body.split(b"\r\n")[1::2])
            self.assertEqual(decoded, content)
        else:
            self.assertEqual(body, content)
        await self.assert_ends(scene.router, "connected", ("downstream", what), "error")
        self.assertEqual(scene.router.count("error_page"), 0)
        await scene.server.closed()

    async def test_mid_body(self) -> None:
        """Rule 21: whatever the framing and wherever it stops, the client's connection is reset behind what came."""
        for request in (GET, OLD_GET):
            for head, said, content in BROKEN:
                for end, what in ENDS:
                    for together in (True, False):
                        with self.row(request, head, said, end, together):
                            scene = await self.scene(request)
                            if not together:
                                scene.server.send(head)
                                await scene.client.receive_head()
                            scene.server.send(said if not together else head + said)
                            getattr(scene.server, end)()
                            await self.assert_broken_off(scene, content, what)

    async def test_close_delimited(self) -> None:
        """Rules 16, 21: where only the close is an end, a reset is none."""
        for request in (GET, OLD_GET):
            for body in (b"", b"hello"):
                with self.row(request, body):
                    scene = await self.scene(request)
                    scene.server.send(PLAIN + body)
                    scene.server.abort()
                    await self.assert_broken_off(scene, body, "econnreset")

    async def test_bad_chunk(self) -> None:
        """Rule 21: a bad chunk is the same, and what came before it is delivered however it was cut."""
        for request in (GET, OLD_GET):
            for said, what in BAD_CHUNKS:
                for pieces in (
                    [said],
                    [said[:7], said[7:]],
                    [said[at : at + 1] for at in range(min(len(said), 60))],
                ):
                    if b"".join(pieces) != said:
                        continue
                    with self.row(request, said, len(pieces)):
                        scene = await self.scene(request)
                        scene.server.send(CHUNKED)
                        await scene.client.receive_head()
                        for piece in pieces:
                            scene.server.send(piece)
                            await self.turns(1)
                        self.assertEqual(await scene.client.closed(), "reset")
                        body = scene.client.received.partition(b"\r\n\r\n")[2]
                        if request is GET:
                            body = b"".join(body.split(b"\r\n")[1::2])
                        self.assertEqual(body, b"hello")
                        await self.assert_ends(
                            scene.router, "connected", ("downstream", ("bad_chunk", what)), "error"
                        )
                        await scene.server.closed()

    async def test_over_tls(self) -> None:
        """Rule 21: on TLS there is no ``close_notify`` behind a truncated response."""
        certificate = self_signed("localhost")
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend), tls=context_factory(certificate))
        for request in (GET, OLD_GET):
            for head, said, content in [*BROKEN, (PLAIN, b"hello", b"hello")]:
                with self.row(request, head, said):
                    client = await self.connect((proxy.host, proxy.port), tls=client_context())
                    client.send(request)
                    server = await backend.accept()
                    await server.receive_request()
                    server.send(head + said)
                    server.abort()
                    self.assertEqual(await client.closed(), "reset")
                    self.assertTrue(client.received.startswith(b"HTTP/1.1 200 OK\r\n"))
                    body = client.received.partition(b"\r\n\r\n")[2]
                    self.assertIn(content, body)
                    self.assertNotIn(b"0\r\n", body)
                    await self.assert_ends(proxy.router, "connected", ("downstream", "econnreset"), "error")

    async def test_clean_end_over_tls(self) -> None:
        """Rules 16, 21: and there is one behind a whole one."""
        certificate = self_signed("localhost")
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend), tls=context_factory(certificate))
        client = await self.connect((proxy.host, proxy.port), tls=client_context())
        client.send(GET)
        server = await backend.accept()
        await server.receive_request()
        server.send(PLAIN + b"hello")
        server.close()
        self.assertEqual((await client.receive_response()).body, b"hello")
        self.assertEqual(await client.closed(), "clean")

    async def test_large_part(self) -> None:
        """Rule 21: what reached us before the break is delivered, however much it is."""
        for head in (LENGTH.replace(b"10", b"1000000"), PLAIN):
            for end in ("close", "abort") if b"Length" in head else ("abort",):
                with self.row(head, end):
                    scene = await self.scene()
                    scene.server.send(head + PATTERN[:300_000])
                    getattr(scene.server, end)()
                    self.assertEqual(await scene.client.closed(), "reset")
                    self.assertTrue(scene.client.received.endswith(PATTERN[:300_000][-1000:]))
                    self.assertEqual(len(scene.client.received.partition(b"\r\n\r\n")[2]), 300_000)

    async def test_before_the_head_ends(self) -> None:
        """Rule 21, settled: one that dies before or inside its head is a 503, ``closed`` or ``econnreset``."""
        for said in (b"", b"HTTP", b"HTTP/1.1 200 OK\r\n", LENGTH[:-2]):
            for end, what in ENDS:
                with self.row(said, end):
                    scene = await self.scene()
                    scene.server.send(said)
                    getattr(scene.server, end)()
                    response = await scene.client.receive_response()
                    self.assertEqual((response.status, response.header("Connection")), (503, "keep-alive"))
                    await self.assert_ends(scene.router, "connected", ("downstream", what), "error")
                    self.assertEqual(scene.router.of("error_page")[0].arguments[0], ("downstream", what))
                    scene.client.send(GET)
                    server = await scene.backend.accept()
                    await server.receive_request()
                    server.send(OK)
                    self.assertEqual((await scene.client.receive_response()).body, b"hi")
                    self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_while_the_router_is_asked(self) -> None:
        """Rule 21: also where the response's head waits for ``additional_headers``."""
        for said in (LENGTH + b"hello", CHUNKED + b"5\r\nhello\r\n"):
            with self.row(said):
                pairs: Deferred[Any] = Deferred()
                asked = lambda direction, *_, p=pairs: p if direction == "downstream" else ()  # noqa: E731
                scene = await self.scene(answers={"additional_headers": asked})
                scene.server.send(said)
                await self.until(lambda s=scene: s.router.count("additional_headers") == 2)
                scene.server.abort()
                await self.turns(10)
                pairs.callback([("X-Late", "1")])
                if scene.client.received.startswith(b"HTTP/1.1 503"):
                    await self.assert_ends(scene.router, "connected", ("downstream", "econnreset"), "error")
                    continue
                response_is_broken = await scene.client.closed() == "reset" or b"503" in scene.client.received
                self.assertTrue(response_is_broken, scene.client.received)
                self.assertEqual((await self.ending(scene.router)).status, "error")
