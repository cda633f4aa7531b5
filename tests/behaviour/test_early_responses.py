"""Rule 20: a back-end that answers while the client is still uploading.

The answer goes home at once; the rest of the upload is read for a while (a client that is cut off while it sends may
never see the answer), but not for ever.
"""

from __future__ import annotations

from typing import Any

from tests.behaviour.conversation import CHUNKED_POST, GET, GOOD, Conversation, Scene, post
from vegurtx.testing import PeerClosed, router_to
from vegurtx.testing.pattern import PATTERN

TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
CHUNKED_NO = b"HTTP/1.1 413 Content Too Large\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
PLAIN_NO = b"HTTP/1.1 413 Content Too Large\r\n\r\nno"
UPLOADS = [post(1000) + b"01234", CHUNKED_POST + b"5\r\n01234\r\n"]
"""Requests whose body has begun, and has not ended."""


class EarlyResponses(Conversation):
    """Rule 20."""

    async def uploading(self, upload: bytes = UPLOADS[0], **options: Any) -> Scene:
        """The back-end has got the head and the first five bytes of an upload."""
        scene = await self.scene(upload, whole=False, **options)
        await scene.server.expect(b"5\r\n01234\r\n" if b"chunked" in upload else b"01234")
        return scene

    async def test_forwarded_at_once(self) -> None:
        """Rule 20: the response goes home before the upload ends, says ``close``, and both connections end."""
        for upload in UPLOADS:
            for answer in (TOO_LARGE, CHUNKED_NO, b"HTTP/1.1 304 Not Modified\r\n\r\n"):
                for keepalive in (None, "default"):
                    with self.row(upload, answer, keepalive):
                        scene = await self.uploading(upload, keepalive=keepalive)
                        scene.server.send(answer)
                        response = await scene.client.receive_response()
                        self.assertEqual(
                            (response.status, response.header("Connection")), (int(answer[9:12]), "close")
                        )
                        self.assertEqual(response.body, b"" if response.status == 304 else b"no")
                        self.assertEqual(await self.ending(scene.router), GOOD)
                        await scene.client.eof()
                        await scene.server.closed()
                        self.assertEqual(len(scene.proxy.factory.client.pool), 0)

    async def test_ended_by_close(self) -> None:
        """Rules 16, 20: a response that ends by close, while the upload goes on."""
        for upload in UPLOADS:
            with self.row(upload):
                scene = await self.uploading(upload)
                scene.server.send(PLAIN_NO)
                scene.server.half_close()
                response = await scene.client.receive_response()
                self.assertEqual((response.status, response.body), (413, b"no"))
                self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_before_any_body(self) -> None:
        """Rule 20: a client that has sent nothing of its body yet gets the answer too."""
        for head in (post(1000), CHUNKED_POST):
            with self.row(head):
                scene = await self.scene(head, whole=False)
                scene.server.send(TOO_LARGE)
                self.assertEqual((await scene.client.receive_response()).body, b"no")
                await scene.client.eof()
                await scene.server.closed()

    async def test_rest_is_read_for_a_while(self) -> None:
        """Rule 20: what the client goes on to send is dropped; it is not cut off while it sends."""
        for upload in UPLOADS:
            with self.row(upload):
                scene = await self.uploading(upload)
                scene.server.send(TOO_LARGE)
                await scene.client.receive_response()
                await scene.client.eof()
                for _ in range(20):
                    scene.client.send(PATTERN[:65536])
                    await self.turns(1)
                scene.client.half_close()
                await self.until(lambda s=scene: not s.proxy.factory.connections)
                self.assertEqual(await scene.client.closed(), "clean")

    async def test_rest_is_no_request(self) -> None:
        """Rules 7, 20: the rest of the upload is never read as a request, whatever it looks like."""
        scene = await self.uploading(post(5 + len(GET)) + b"01234")
        scene.server.send(TOO_LARGE)
        await scene.client.receive_response()
        scene.client.send(GET * 3)
        await self.turns()
        self.assertEqual((scene.router.count("init"), len(scene.backend.connections)), (1, 1))
        self.assertEqual(scene.client.unread, b"")

    async def test_not_for_ever(self) -> None:
        """Rule 20, settled: after ``linger_timeout`` (5 s) the connection is cut, also while the client still sends."""
        for settings, last in (({}, 5.0), ({"linger_timeout": 2.0}, 2.0)):
            with self.row(settings):
                backend = await self.backend()
                proxy, clock = await self.timed_proxy(router_to(backend), **settings)
                scene = await self.uploading(proxy=proxy, backend=backend)
                scene.server.send(TOO_LARGE)
                await scene.client.receive_response()
                await scene.client.eof()
                clock.advance(last - 0.5)
                scene.client.send(b"more")
                await self.turns()
                self.assertEqual(len(proxy.factory.connections), 1)
                clock.advance(0.6)
                await self.until(lambda p=proxy: not p.factory.connections)

    async def test_upload_goes_on_beside_the_response(self) -> None:
        """Rule 20: as long as the response has not ended, the back-end still gets the upload."""
        scene = await self.uploading()
        scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nan")
        await scene.client.receive_until(b"\r\n\r\nan")
        scene.client.send(b"56789")
        await scene.server.expect(b"56789")
        scene.server.send(b"s")
        await scene.client.expect(b"s")
        scene.client.send(b"x" * 990)
        await scene.server.expect(b"x" * 990)
        scene.server.send(b"!")
        await scene.client.expect(b"!")
        self.assertEqual(await scene.client.closed(), "clean")
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_upload_ends_first(self) -> None:
        """Rule 20: what the response's head said about the connection stays true when the upload ends before it."""
        scene = await self.uploading(post(10) + b"01234", keepalive="default")
        scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        head = await scene.client.receive_head()
        self.assertIn(b"Connection: close\r\n", head)
        scene.client.send(b"56789" + GET)
        await scene.server.expect(b"56789")
        scene.server.send(b"ok")
        await scene.client.expect(b"ok")
        self.assertEqual(await self.ending(scene.router), GOOD)
        await scene.client.eof()
        self.assertEqual(scene.router.count("init"), 1)

    async def test_backend_that_stops_reading(self) -> None:
        """Rule 20: the answer passes although the upload is stuck at a back-end that reads no more."""
        backend = await self.backend(receive_buffer=4096)
        scene = await self.uploading(post(1 << 26) + b"01234", backend=backend)
        scene.server.pause()
        for _ in range(64):
            scene.client.send(PATTERN[:262144])
            await self.turns(1)
        scene.server.send(TOO_LARGE)
        response = await scene.client.receive_response()
        self.assertEqual((response.status, response.body), (413, b"no"))
        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_backend_closes_behind_it(self) -> None:
        """Rule 20: a back-end that answers in full and closes, or resets, is heard: small answers and large ones."""
        for end in ("close", "abort"):
            for size in (2, 100_000, 400_000):
                for upload in UPLOADS:
                    with self.row(end, size, upload):
                        scene = await self.uploading(upload)
                        body = PATTERN[:size]
                        scene.server.send(b"HTTP/1.1 413 No\r\nContent-Length: %d\r\n\r\n%b" % (size, body))
                        getattr(scene.server, end)()
                        response = await scene.client.receive_response()
                        self.assertTrue(response.body == body)
                        self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_backend_resets_under_a_running_upload(self) -> None:
        """Rule 20: so is one that resets because the client's bytes kept coming."""
        for size in (2, 100_000):
            for upload in UPLOADS:
                with self.row(size, upload):
                    scene = await self.uploading(upload.replace(b"1000", b"100000000"))
                    scene.server.pause()
                    body = PATTERN[:size]
                    # what lies unread at the back-end makes its close a reset, as with any real program
                    more = (
                        b"8000\r\n" + PATTERN[:32768] + b"\r\n" if b"chunked" in upload else PATTERN[:32768]
                    )
                    scene.client.send(more)
                    scene.server.send(b"HTTP/1.1 413 No\r\nContent-Length: %d\r\n\r\n%b" % (size, body))
                    await self.turns(1)
                    scene.client.send(more)
                    scene.server.close()
                    scene.client.send(more)
                    response = await scene.client.receive_response()
                    self.assertTrue(response.body == body)
                    self.assertEqual(await self.ending(scene.router), GOOD)

    async def test_slow_reader(self) -> None:
        """Rule 20: a client that reads slowly still gets all of an early answer before it is left."""
        backend = await self.backend()
        proxy = await self.proxy(router_to(backend))
        client = await proxy.connect(receive_buffer=4096)
        client.pause()
        client.send(UPLOADS[0])
        server = await backend.accept()
        await server.receive_until(b"01234")
        body = PATTERN[:400_000]
        server.send(b"HTTP/1.1 413 No\r\nContent-Length: 400000\r\n\r\n" + body)
        server.close()
        await self.turns(20)
        client.resume()
        response = await client.receive_response()
        self.assertTrue(response.body == body)
        await client.eof()

    async def test_broken_early_response(self) -> None:
        """Rules 20, 21: one that breaks off is broken off, upload or not."""
        for upload in UPLOADS:
            with self.row(upload):
                scene = await self.uploading(upload)
                scene.server.send(b"HTTP/1.1 413 No\r\nContent-Length: 5\r\n\r\nno")
                await scene.client.receive_until(b"no")
                scene.server.close()
                self.assertEqual(await scene.client.closed(), "reset")
                await self.assert_ends(scene.router, "connected", ("downstream", "closed"), "error")

    async def test_no_response_at_all(self) -> None:
        """Rules 20, 21: a back-end that leaves in the middle of an upload without a word: 503, ``closed``."""
        for end, what in (("close", "closed"), ("abort", "econnreset")):
            for upload in UPLOADS:
                with self.row(end, upload):
                    scene = await self.uploading(upload)
                    getattr(scene.server, end)()
                    response = await scene.client.receive_response()
                    self.assertEqual((response.status, response.header("Connection")), (503, "close"))
                    await scene.client.eof()
                    await self.assert_ends(scene.router, "connected", ("downstream", what), "error")

    async def test_client_leaves(self) -> None:
        """Rules 20, 21: a client that leaves in the middle of its upload while the answer comes cancels both."""
        scene = await self.uploading()
        scene.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nan")
        await scene.client.receive_until(b"an")
        scene.client.abort()
        with self.assertRaises(PeerClosed):
            await scene.server.receive(1)
        await self.assert_ends(scene.router, "connected", ("upstream", "closed"), "error")
