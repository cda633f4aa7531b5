"""Rule 21: a client that resets while nobody reads it is noticed all the same, long before `idle_timeout`."""

from __future__ import annotations

from tests.faults.fault_case import FaultCase
from vegurtx.net.server import HOLD
from vegurtx.testing import router_to

UPLOAD = b"PUT / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 1000000000\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"


class PausedClients(FaultCase):
    """`idle_timeout` and every other limit is far away in these."""

    patience = 10.0

    async def test_upload_that_the_back_end_does_not_take(self) -> None:
        """Rule 21: the back-end is full, the client waits, and resets: the back-end's request is cancelled."""
        backend = await self.backend(receive_buffer=4096)
        router = router_to(backend)
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(UPLOAD)
        server = await backend.accept()
        await server.receive_head()
        server.pause()
        connection = next(iter(proxy.factory.connections))
        while not connection._paused:
            client.send(bytes(262_144))
            await self.turns(1)
        await self.turns(20)
        client.abort()
        self.assertEqual(await router.finished, "error")
        self.assertEqual(self.ending(router), ("connected", ("upstream", "closed")))
        server.resume()
        self.assertEqual(await server.closed(), "reset")

    async def test_pipelining_that_has_to_wait(self) -> None:
        """Rules 7, 21: so is one that has sent more than is held for it, while its first request is answered."""
        backend = await self.backend()
        router = router_to(backend)
        proxy = await self.proxy(router)
        client = await proxy.connect()
        client.send(GET)
        server = await backend.accept()
        connection = next(iter(proxy.factory.connections))
        while not connection._paused:
            client.send(GET * (HOLD // len(GET)))
            await self.turns(1)
        client.abort()
        self.assertEqual(await router.finished, "error")
        self.assertEqual(self.ending(router), ("connected", ("upstream", "closed")))
        self.assertEqual(await server.closed(), "reset")
        self.assertEqual(router.count("init"), 1)

    async def test_who_is_still_there(self) -> None:
        """One that waits longer than the proxy takes to look goes on as if nothing had been."""
        backend = await self.backend(receive_buffer=4096)
        router = router_to(backend)
        proxy = await self.proxy(router)
        client = await proxy.connect()
        size = 20_000_000
        client.send(UPLOAD.replace(b"1000000000", b"%d" % size))
        server = await backend.accept()
        await server.receive_head()
        server.pause()
        client.send(bytes(size))
        connection = next(iter(proxy.factory.connections))
        await self.until(lambda: connection._paused)
        looks = connection.timer.watch
        seen: list[int] = []

        def look() -> None:
            seen.append(1)
            looks()

        connection.timer.watch = look
        await self.until(lambda: seen)
        server.resume()
        await server.receive(size)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        self.assertEqual((await client.receive_response()).body, b"hi")
        self.assertIsNone(connection.timer.watch)
        client.close()
