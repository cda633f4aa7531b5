"""The corpora of the proxied targets over real sockets, held against the same claims.

In memory the fuzzer plays thousands of them in a second; here the kernel has its say. What the peers send arrives in
segments of the kernel's making, so one input is another one each time: the claims are for all of them.
"""

from __future__ import annotations

from fuzz.oracles import h11_requests
from fuzz.registry import TARGETS
from fuzz.segments import MARK, leading, segments, whole
from fuzz.stage import OK, OK_TO_HEAD
from fuzz.targets import proxied_request, proxied_response
from vegurtx.message import KeepAlive
from vegurtx.testing import (
    PeerClosed,
    ProxyTestCase,
    RecordingRouter,
    RunningProxy,
    ScriptedConnection,
    router_to,
)

_ADDRESS = b"127.0.0.1"
#: of the requests in `proxied_response`
UPGRADING = 4


class ProxiedCorpora(ProxyTestCase):
    """Each input on a client's connection of its own."""

    timeout = 120.0

    def inputs(self, name: str) -> list[tuple[str, bytes]]:
        """Name and bytes of each input."""
        return [(path.name, path.read_bytes()) for path in TARGETS[name].inputs()]

    async def test_requests(self) -> None:
        """Rules 4 to 7, 11 and 12: what the back-end reads is what the client sent, however it is framed."""
        for number in range(4):
            await self._stage(bool(number & 1), None if number & 2 else "default")
            for name, data in self.inputs("proxied_request"):
                mine, rest = leading(data, 4)
                if mine == number:
                    await self._request(name, rest)

    async def _stage(self, features: bool, keepalive: KeepAlive | None) -> None:
        self.streams: list[ScriptedConnection] = []
        back = await self.backend(handler=self._record)
        self.router: RecordingRouter = router_to(back, keepalive=keepalive, feature=lambda name, *_: features)
        self.front: RunningProxy = await self.proxy(self.router)

    async def _record(self, connection: ScriptedConnection) -> None:
        """Answer each request that h11 has read to its end."""
        self.streams.append(connection)
        connection.timeout = 3600.0
        answered = 0
        try:
            while True:
                await connection.receive(1)
                await connection.receive(len(connection.unread))
                messages = h11_requests(connection.received).messages
                for message in messages[answered:]:
                    connection.send(OK_TO_HEAD if message.first[0] == b"HEAD" else OK)
                answered = len(messages)
        except PeerClosed:
            connection.close()

    async def _request(self, name: str, data: bytes) -> None:
        self.streams.clear()
        self.router.calls.clear()
        client = await self.front.connect()
        for part in segments(data):
            client.send(part)
        client.half_close()
        await client.closed()
        begun = self.router.of("init")
        await self.until(lambda: len(self.router.of("terminate")) == len(begun), f"{name}: all requests' end")
        normal = sum(call.arguments[0] == "normal" for call in self.router.of("terminate"))
        pooled = len(self.front.factory.client.pool)
        try:
            proxied_request.judge(
                whole(data),
                [connection.received for connection in self.streams],
                client.received,
                [call.request.method for call in begun],
                self.router.count("service_backend"),
                len(begun) - normal,
                pooled,
                _ADDRESS,
            )
        except AssertionError as error:
            self.fail(f"{name}: {error}")
        for connection in self.streams:
            connection.close()
        await self.until(lambda: not len(self.front.factory.client.pool), f"{name}: an empty pool")

    async def test_responses(self) -> None:
        """Rules 14 to 18, 21: what the client reads is what the back-end said, or visibly breaks off."""
        # a reset may overtake what was sent before it: those inputs are for the memory alone
        for name, data in self.inputs("proxied_response"):
            if not data.endswith(MARK):
                await self._response(name, *leading(data, len(proxied_response.REQUESTS)))

    async def _response(self, name: str, number: int, data: bytes) -> None:
        back = await self.backend()
        router = router_to(back, keepalive="default", feature=lambda feature, *_: number == 3)
        front = await self.proxy(router)
        client = await front.connect()
        client.send(proxied_response.REQUESTS[number])
        server = await back.accept()
        await server.receive_head()
        for part in segments(data):
            server.send(part)
        server.close()
        if number == UPGRADING:
            client.half_close()  # a byte pipe ends when both have
        await router.finished
        client.half_close()
        clean = await client.closed() != "reset"
        reasons = [call.arguments[0] for call in router.of("error_page")]
        page = reasons[0] if reasons else None
        try:
            proxied_response.judge(
                proxied_response.Played(number, whole(data), True, client.received, clean, page)
            )
        except AssertionError as error:
            self.fail(f"{name}: {error}")
        await front.stop()
