"""Rule 17: interim responses go to whoever can read them; a 101 only to whoever asked for one."""

from __future__ import annotations

from tests.behaviour.conversation import GET, GOOD, OK, OLD_GET, OLD_GET_KEEP_ALIVE, Conversation, post

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"


class Interim(Conversation):
    """Rule 17."""

    async def test_each_is_forwarded(self) -> None:
        """Rule 17: every interim response goes on at once, as often as it comes, whatever its number."""
        scene = await self.scene(keepalive="default")
        for interim in [
            b"HTTP/1.1 102 Processing\r\n\r\n",
            HINTS,
            HINTS,
            b"HTTP/1.1 103 Early Hints\r\nlink: </b.css>\r\nLINK: </c.js>\r\n\r\n",
            CONTINUE,
            b"HTTP/1.1 199 \r\nA: 1\r\n\r\n",
            b"HTTP/1.1 110 Own word\r\n\r\n",
        ]:
            with self.row(interim):
                scene.server.send(interim)
                await scene.client.expect(interim)
                self.assertEqual(scene.client.unread, b"")
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).body, b"hi")
        self.assertEqual(await self.ending(scene.router), GOOD)
        self.assertEqual(len(scene.proxy.factory.client.pool), 1)

    async def test_in_one_segment(self) -> None:
        """Rule 17: several of them and the final response may share a segment, or come a byte at a time."""
        whole = HINTS + CONTINUE + HINTS + OK
        for segments in ([whole], [whole[at : at + 1] for at in range(len(whole))]):
            with self.row(len(segments)):
                scene = await self.scene()
                for segment in segments:
                    scene.server.send(segment)
                    await self.turns(1)
                response = await scene.client.receive_response()
                self.assertEqual(b"".join(each.raw for each in response.interim), HINTS + CONTINUE + HINTS)
                self.assertEqual((response.status, response.body), (200, b"hi"))
                self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_many(self) -> None:
        """Rule 17: a thousand of them in one segment are no trouble."""
        scene = await self.scene()
        scene.server.send(HINTS * 1000 + OK)
        self.assertEqual(len((await scene.client.receive_response()).interim), 1000)

    async def test_not_to_old_clients(self) -> None:
        """Rules 10, 17: a client that speaks HTTP/1.0 gets none of them."""
        for request in (OLD_GET, OLD_GET_KEEP_ALIVE):
            with self.row(request):
                scene = await self.scene(request)
                scene.server.send(HINTS + CONTINUE)
                await self.turns()
                scene.server.send(b"HTTP/1.1 102 Processing\r\n\r\n" + OK)
                response = await scene.client.receive_response()
                self.assertEqual((response.interim, response.body), ([], b"hi"))
                self.assertTrue(scene.client.received.startswith(b"HTTP/1.1 200 OK\r\n"))
                self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_hop_by_hop(self) -> None:
        """Rules 17, 18: what belongs to the back-end's connection ends there, in a 1xx too."""
        scene = await self.scene()
        scene.server.send(
            b"HTTP/1.1 103 Early Hints\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n"
            b"Link: </a>\r\nProxy-Connection: close\r\n\r\n"
        )
        await scene.client.expect(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        scene.server.send(OK)
        response = await scene.client.receive_response()
        self.assertEqual((response.status, response.header("Connection")), (200, "keep-alive"))

    async def test_not_the_response(self) -> None:
        """Rule 17: the router hears of the final response only, and adds its headers to that one only."""
        scene = await self.scene(answers={"additional_headers": {"downstream": [("X-Added", "1")]}})
        scene.server.send(HINTS)
        await scene.client.expect(HINTS)
        self.assertIsNone(scene.router.requests[0].response_code)
        self.assertEqual(scene.router.count("additional_headers"), 1)
        scene.server.send(OK)
        self.assertEqual((await scene.client.receive_response()).header("X-Added"), "1")
        self.assertEqual(scene.router.requests[0].response_code, 200)

    async def test_during_an_upload(self) -> None:
        """Rule 17: one that comes while the client still sends its body changes nothing for the body."""
        scene = await self.scene(post(10) + b"01234", whole=False)
        await scene.server.expect(b"01234")
        scene.server.send(HINTS)
        await scene.client.expect(HINTS)
        scene.client.send(b"56789")
        await scene.server.expect(b"56789")
        scene.server.send(OK)
        response = await scene.client.receive_response()
        self.assertEqual((response.body, response.header("Connection")), (b"hi", "keep-alive"))

    async def test_nothing_follows(self) -> None:
        """Rules 17, 21: a back-end that closes behind an interim response has not answered."""
        for end, what in (("close", "closed"), ("abort", "econnreset")):
            with self.row(end):
                scene = await self.scene()
                scene.server.send(HINTS)
                await scene.client.expect(HINTS)
                getattr(scene.server, end)()
                self.assertEqual((await scene.client.receive_response()).status, 503)
                await self.assert_ends(scene.router, "connected", ("downstream", what), "error")

    async def test_nonsense_follows(self) -> None:
        """Rules 14, 17: the final response must be one."""
        scene = await self.scene()
        scene.server.send(HINTS + b"HTTP/1.1 abc\r\n\r\n")
        response = await scene.client.receive_response()
        self.assertEqual((len(response.interim), response.status), (1, 502))
        await self.assert_ends(scene.router, "connected", ("downstream", "invalid_status"), "error")

    async def test_bad_interim(self) -> None:
        """Rules 14, 17: so must an interim one."""
        scene = await self.scene()
        scene.server.send(b"HTTP/1.1 103 Early Hints\r\nno colon\r\n\r\n" + OK)
        self.assertEqual((await scene.client.receive_response()).status, 502)
        await self.assert_ends(scene.router, "connected", ("downstream", "header_length"), "error")


class SwitchingProtocols(Conversation):
    """Rule 17: a 101."""

    async def test_unasked(self) -> None:
        """Rule 17, settled: a 101 that nobody asked for is a 502, ``invalid_status``."""
        answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"
        for request in [
            GET,
            OLD_GET,
            post(0),
            GET[:-2] + b"Upgrade: chat\r\n\r\n",
            GET[:-2] + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n",
            OLD_GET[:-2] + b"Connection: upgrade\r\nUpgrade: chat\r\n\r\n",
        ]:
            for said in (answer, HINTS + answer, answer + b"bytes of that protocol"):
                with self.row(request, said):
                    scene = await self.scene(request)
                    scene.server.send(said)
                    response = await scene.client.receive_response()
                    self.assertEqual(response.status, 502)
                    await scene.server.closed()
                    self.assertEqual(scene.client.unread, b"")
                    await self.assert_ends(
                        scene.router, "connected", ("downstream", "invalid_status"), "error"
                    )

    async def test_asked_for(self) -> None:
        """Rules 9, 17: with interim responses before it, a 101 that was asked for opens the pipe."""
        scene = await self.scene(UPGRADE)
        scene.server.send(
            HINTS + b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhello"
        )
        response = await scene.client.receive_response()
        self.assertEqual(([each.status for each in response.interim], response.status), ([103], 101))
        self.assertEqual(response.header("Upgrade"), "chat")
        await scene.client.expect(b"hello")
        scene.client.send(b"hi there")
        await scene.server.expect(b"hi there")
        scene.client.close()
        await scene.server.closed()
