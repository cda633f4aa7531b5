"""Rule 12: the request's id, its times, and the `Via` chain, as a back-end is told them."""

from __future__ import annotations

import re

from tests.behaviour.recording import NOW, REQUEST_ID, RecordingCase, added
from vegurtx.testing import router_to

GET = b"GET / HTTP/1.1\r\n"
HOST = b"Host: example.com\r\n"
START = GET + HOST


class RequestIds(RecordingCase):
    """`X-Request-Id`."""

    async def test_made(self) -> None:
        """Rule 12: a request without an id gets one, each its own, and the router sees it."""
        back = await self.backend()
        router = router_to(back, keepalive="default")
        front = await self.proxy(router)
        client = await front.connect()
        ids = []
        for number in range(3):
            client.send(START + b"\r\n")
            if number == 0:
                server = await back.accept()
            request = await server.receive_request()
            server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await client.receive_response()
            (given,) = request.all("x-request-id")
            ids.append(given)
        for given in ids:
            self.assertRegex(
                given, r"\A[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z"
            )
        self.assertEqual(len(set(ids)), 3)
        self.assertEqual([request.id for request in router.requests], ids)

    async def test_kept(self) -> None:
        """Rule 12: an id of 20 to 200 letters, digits, `+`, `/`, `=` and `-` stays as it came, where it
        came.
        """
        await self.stage()
        ids = [
            b"a" * 20,
            b"a" * 200,
            b"testid-with-a-valid-length",
            b"01234567890123456789",
            b"ABCxyz0189+/=-ABCxyz",
        ]
        ids.append(b"f81d4fae-7dec-11d0-a765-00a0c91e6bf6")

        async def check(given: bytes) -> None:
            for head in (
                START + b"X-Request-Id: " + given + b"\r\nX-After: 1\r\n",
                GET + b"x-REQUEST-id:" + given + b"\t\r\n" + HOST,
            ):
                await self.passes(head + b"\r\n", head + added(request_id=None))
                self.assertEqual(self.router.requests[-1].id, given.decode())

        await self.each({given.decode(): given for given in ids}, check)

    async def test_replaced(self) -> None:
        """Rule 12: an id that is too short, too long, ill-formed or not the only one is replaced."""
        await self.stage()
        name = b"X-Request-Id: "
        good = b"a" * 30
        fields = {
            "empty": name + b"\r\n",
            "19 bytes": name + b"a" * 19 + b"\r\n",
            "201 bytes": name + b"a" * 201 + b"\r\n",
            "a space": name + good + b" " + good + b"\r\n",
            "a question mark": name + good + b"??\r\n",
            "an underscore": name + good + b"_\r\n",
            "a dot": name + good + b".\r\n",
            "a comma": name + good + b"," + good + b"\r\n",
            "a quote": name + b'"' + good + b'"\r\n',
            "a byte above ASCII": name + good + b"\xe9\r\n",
            "two": name + good + b"\r\nx-request-id: " + b"b" * 30 + b"\r\n",
            "two equal ones": (name + good + b"\r\n") * 2,
            "a good and an empty one": name + good + b"\r\n" + name + b"\r\n",
        }

        async def check(given: bytes) -> None:
            await self.passes(START + given + b"X-After: 1\r\n\r\n", START + b"X-After: 1\r\n" + added())
            self.assertEqual(self.router.requests[-1].id, REQUEST_ID)

        await self.each(fields, check)

    async def test_settings(self) -> None:
        """Rule 12: `request_id_name` and `request_id_max_size` say which field, and how long an id may be."""
        await self.stage(request_id_name="X-Trace", request_id_max_size=40)
        start = START + b"X-Request-Id: " + b"a" * 20 + b"\r\n"  # a field like any other now
        ours = added().replace(b"X-Request-Id", b"X-Trace")
        await self.passes(start + b"\r\n", start + ours)
        await self.passes(start + b"x-trace: " + b"b" * 41 + b"\r\n\r\n", start + ours)
        kept = start + b"x-trace: " + b"b" * 40 + b"\r\n"
        await self.passes(kept + b"\r\n", kept + added(request_id=None))
        await self.passes(kept + b"Connection: X-Trace\r\n\r\n", kept + added(request_id=None))


class Times(RecordingCase):
    """`X-Request-Start`, `Connect-Time`, `Total-Route-Time`."""

    async def test_replaced(self) -> None:
        """Rule 12: the three are the proxy's, whatever the client brings."""
        await self.stage()
        claims = b"X-Request-Start: 1\r\nx-request-start: 2\r\nConnect-Time: 3\r\nTOTAL-ROUTE-TIME: 4\r\n"
        await self.passes(START + claims + b"\r\n", START + added())

    async def test_numbers(self) -> None:
        """Rule 12: the start is in milliseconds since the epoch, the durations are whole milliseconds."""
        await self.stage(keepalive="new")
        for _ in range(2):
            request, _, _ = await self.ask(START + b"\r\n")
            self.assertEqual(request.header("x-request-start"), str(int(NOW * 1000)))
            for name in ("connect-time", "total-route-time"):
                self.assertRegex(request.header(name) or "", r"\A[0-9]+\Z")
            self.assertEqual(request.header("connect-time"), str(self.router.requests[-1].connect_duration))

    async def test_pooled(self) -> None:
        """Rule 12: a connection from the pool took no time to connect."""
        await self.stage()
        await self.ask(START + b"\r\n")
        request, _, _ = await self.ask(START + b"\r\n")
        self.assertEqual(len(self.back.connections), 1)
        self.assertEqual(request.header("connect-time"), "0")
        self.assertEqual(self.router.requests[-1].connect_duration, 0)

    async def test_after_a_failed_connect(self) -> None:
        """Rules 12 and 22: after a failed connect the times are those of the one that succeeded, once
        each.
        """
        await self.stage()
        dead = await self.refusing_backend()
        self.router.backends.insert(0, dead.as_backend())
        await self.passes(START + b"\r\n", START + added())

    async def test_settings(self) -> None:
        """Rule 12: `start_time_header`, `connect_time_header`, `route_time_header` name the fields."""
        await self.stage(start_time_header="X-S", connect_time_header="X-C", route_time_header="X-R")
        fields = (
            b"X-Request-Start: 1\r\nConnect-Time: 2\r\nTotal-Route-Time: 3\r\n"  # fields like any others now
        )
        request, _, _ = await self.ask(
            START + fields + b"x-s: 4\r\nX-C: 5\r\nX-R: 6\r\nConnection: X-S, X-C, X-R\r\n\r\n"
        )
        ours = added()
        for old, new in (
            (b"X-Request-Start", b"X-S"),
            (b"Connect-Time", b"X-C"),
            (b"Total-Route-Time", b"X-R"),
        ):
            ours = ours.replace(old, new)
        self.assertEqual(re.sub(rb"(X-[CR]): \d+\r\n", rb"\1: 0\r\n", request.raw), START + fields + ours)


class Via(RecordingCase):
    """`Via`."""

    async def test_chain(self) -> None:
        """Rule 12: the proxy puts itself at the end of the chain, in one field."""
        await self.stage()
        await self.each(
            {
                "none": (b"", "1.1 vegur"),
                "one": (b"Via: happyproxy\r\n", "happyproxy, 1.1 vegur"),
                "a chain": (b"via: 1.0 a, 1.1 b (x)\r\n", "1.0 a, 1.1 b (x), 1.1 vegur"),
                "several fields": (b"Via: 1.0 a\r\nVIA: 1.1 b\r\n", "1.0 a, 1.1 b, 1.1 vegur"),
                "itself": (b"Via: 1.1 vegur\r\n", "1.1 vegur, 1.1 vegur"),
            },
            lambda vector: self.passes(START + vector[0] + b"\r\n", START + added(via=vector[1])),
        )
