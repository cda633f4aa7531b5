"""Rule 9 with real peers: the `websockets` library as client and as server, on either side of the proxy.

Both run in threads of their own; the proxy runs on the reactor. Each test's conversation is a plain function, as a
user of that library would write it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from twisted.internet.threads import deferToThread
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import Server, ServerConnection, serve

from tests.behaviour.conversation import GOOD, Conversation
from vegurtx.message import Backend
from vegurtx.testing import RunningProxy, client_context, context_factory, router_to, self_signed

MEGABYTE = bytes(range(256)) * 4096
TEXT = "snö ❄ \U0001f600 " * 60000


def echo(websocket: ServerConnection) -> None:
    """Send every message back as it came: text or binary, in the fragments it had."""
    try:
        while True:
            fragments = list(websocket.recv_streaming())
            if fragments == ["close"]:
                websocket.close(4001, "as you like")
                return
            if fragments == ["ping"]:
                assert websocket.ping(b"server").wait(5)
            websocket.send(fragments[0] if len(fragments) == 1 else fragments)
    except ConnectionClosed as end:
        endings.append((end.rcvd.code, end.rcvd.reason) if end.rcvd else None)


#: how the server saw its connections end: code and reason of the client's Close, `None` without one
endings: list[tuple[int, str] | None] = []


class WebSockets(Conversation):
    """Rule 9: an upgrade to WebSocket, as libraries do it."""

    def setUp(self) -> None:
        """No connection has ended yet."""
        super().setUp()
        endings.clear()

    def server(self, handler: Callable[[ServerConnection], None] = echo, **options: Any) -> Backend:
        """Start a WebSocket server; return where it is."""
        server: Server = serve(handler, "127.0.0.1", 0, max_size=None, **options)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()

        def stop() -> None:
            server.shutdown()  # waits for its connections, which need the reactor to end
            thread.join(5)

        self.addCleanup(deferToThread, stop)
        return Backend(*server.socket.getsockname()[:2])

    async def talk(
        self,
        script: Callable[[ClientConnection], Any],
        backend: Backend | None = None,
        **options: Any,
    ) -> RunningProxy:
        """Run `script` with a WebSocket through the proxy, in a thread; return the proxy."""
        router = router_to(backend or self.server())
        proxy = await self.proxy(router)
        url = f"ws://127.0.0.1:{proxy.port}/chat?room=1"

        def run() -> None:
            with connect(
                url, max_size=None, proxy=None, open_timeout=5, close_timeout=5, **options
            ) as websocket:
                script(websocket)

        await deferToThread(run)
        return proxy

    async def assert_good(self, proxy: RunningProxy) -> None:
        """The request ended well, as an upgraded one."""
        self.assertEqual(await self.ending(proxy.router), GOOD)
        (request,) = proxy.router.requests
        self.assertEqual((request.response_code, request.path, request.query), (101, "/chat", "room=1"))

    @staticmethod
    def exchange(websocket: ClientConnection, messages: Iterable[str | bytes]) -> None:
        """Send each message, and have it back."""
        for message in messages:
            websocket.send(message)
            assert websocket.recv(5) == message

    async def test_text_and_binary(self) -> None:
        """Rule 9: messages of both kinds and of every size come back as they were sent."""
        sizes = (0, 1, 125, 126, 65535, 65536, 1 << 20)
        messages: list[str | bytes] = ["", "x", TEXT, *(MEGABYTE[:size] for size in sizes)]
        for compression in ("deflate", None):
            with self.row(compression):
                proxy = await self.talk(
                    lambda websocket: self.exchange(websocket, messages), compression=compression
                )
                await self.assert_good(proxy)
                await self.until(lambda: endings, "the server's end")
                self.assertEqual(endings.pop(), (1000, ""))

    async def test_secure(self) -> None:
        """Rules 9 and 26: the same over TLS; both ends close, the server at last.

        With the library's asyncio client: its threads read and write one `SSLSocket` at the same time, which Python's
        `ssl` does not bear (now and then the handshake never ended).
        """
        router = router_to(self.server())
        proxy = await self.proxy(router, tls=context_factory(self_signed("example.org")))

        async def talk() -> None:
            url = f"wss://127.0.0.1:{proxy.port}/chat?room=1"
            async with connect_async(
                url, ssl=client_context(), server_hostname="example.org", max_size=None, proxy=None
            ) as websocket:
                for message in ("x", TEXT, MEGABYTE):
                    await websocket.send(message)
                    assert await websocket.recv() == message
                await websocket.send("close")
                await websocket.wait_closed()
                assert (websocket.close_code, websocket.close_reason) == (4001, "as you like")

        await deferToThread(asyncio.run, talk())
        await self.assert_good(proxy)

    async def test_compression_is_negotiated(self) -> None:
        """Rules 9 and 11: the extension and the subprotocol that both libraries agree on are their business."""

        def script(websocket: ClientConnection) -> None:
            assert websocket.subprotocol == "chat", websocket.subprotocol
            extensions = websocket.response.headers["Sec-WebSocket-Extensions"]  # type: ignore[union-attr]
            assert "permessage-deflate" in extensions, extensions
            self.exchange(websocket, ["a" * 10000])

        await self.assert_good(
            await self.talk(script, self.server(subprotocols=["chat"]), subprotocols=["other", "chat"])
        )

    async def test_fragments(self) -> None:
        """Rule 9: a message in fragments comes back in those fragments."""

        def script(websocket: ClientConnection) -> None:
            for fragments in (["frag", "men", "ted"], [MEGABYTE, b"x", MEGABYTE]):
                websocket.send(fragments)
                # the library itself ends what it sends so with an empty fragment
                assert [fragment for fragment in websocket.recv_streaming() if fragment] == fragments

        await self.assert_good(await self.talk(script, compression=None))

    async def test_many_at_once(self) -> None:
        """Rule 9: messages in flight keep their order."""

        def script(websocket: ClientConnection) -> None:
            def send() -> None:
                for number in range(2000):
                    websocket.send(f"{number}" * 100)

            sender = threading.Thread(target=send)
            sender.start()
            for number in range(2000):
                assert websocket.recv(5) == f"{number}" * 100
            sender.join(5)

        await self.assert_good(await self.talk(script))

    async def test_ping(self) -> None:
        """Rule 9: pings are answered from either side."""

        def script(websocket: ClientConnection) -> None:
            assert websocket.ping(b"client").wait(5)
            self.exchange(websocket, ["ping"])

        await self.assert_good(await self.talk(script))

    async def test_client_closes(self) -> None:
        """Rule 9: the client's Close reaches the server with its code and reason, and is answered."""

        def script(websocket: ClientConnection) -> None:
            self.exchange(websocket, ["hello"])
            websocket.close(4000, "had enough")
            assert websocket.close_code == 4000

        await self.assert_good(await self.talk(script))
        await self.until(lambda: endings, "the server's end")
        self.assertEqual(endings, [(4000, "had enough")])

    async def test_server_closes(self) -> None:
        """Rule 9: the server's Close reaches the client with its code and reason."""

        def script(websocket: ClientConnection) -> None:
            websocket.send("close")
            try:
                websocket.recv(5)
            except ConnectionClosedError as end:
                assert end.rcvd is not None
                assert (end.rcvd.code, end.rcvd.reason) == (4001, "as you like"), end
            else:
                raise AssertionError("the connection is still open")

        await self.assert_good(await self.talk(script))

    async def test_server_goes_away(self) -> None:
        """Rule 9: a server whose handler returns closes in order; the client hears of it after the last message."""

        def once(websocket: ServerConnection) -> None:
            websocket.send(MEGABYTE)

        def script(websocket: ClientConnection) -> None:
            assert websocket.recv(5) == MEGABYTE
            try:
                websocket.recv(5)
            except ConnectionClosedOK:
                return
            raise AssertionError("the connection is still open")

        await self.assert_good(await self.talk(script, self.server(once)))

    async def test_server_drops_the_connection(self) -> None:
        """Rules 9 and 21: a server that vanishes without a Close is not taken for one that closed in order."""

        def drop(websocket: ServerConnection) -> None:
            websocket.recv(5)
            websocket.socket.shutdown(2)

        def script(websocket: ClientConnection) -> None:
            websocket.send("hello")
            try:
                websocket.recv(5)
            except ConnectionClosedError as end:
                assert end.rcvd is None, end
                return
            raise AssertionError("the connection is still open")

        proxy = await self.talk(script, self.server(drop))
        await proxy.router.finished

    async def test_refused(self) -> None:
        """Rule 9: a server that refuses is heard, body and all."""

        def refuse(connection: ServerConnection, request: Any) -> Any:
            return connection.respond(HTTPStatus.FORBIDDEN, "not you\n")

        router = router_to(self.server(process_request=refuse))
        proxy = await self.proxy(router)

        def run() -> tuple[int, bytes]:
            try:
                connect(f"ws://127.0.0.1:{proxy.port}/", proxy=None, open_timeout=5)
            except InvalidStatus as refusal:
                return refusal.response.status_code, bytes(refusal.response.body or b"")
            raise AssertionError("the upgrade was granted")

        self.assertEqual(await deferToThread(run), (403, b"not you\n"))
        self.assertEqual(await self.ending(router), GOOD)
