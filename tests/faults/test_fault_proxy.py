"""The fault proxy itself: each fault does what it says, to the byte and to the second."""

from __future__ import annotations

import errno
import socket

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.faults.fault_case import FaultCase
from vegurtx.testing import ScriptedConnection, ScriptedServer
from vegurtx.testing.faults import Bandwidth, Cut, Drip, Fault, FaultProxy, Latency, Stall
from vegurtx.testing.faults.stage import HELD, Lane
from vegurtx.testing.pattern import PATTERN


class Stages(SynchronousTestCase):
    """One direction, on a clock that is turned by hand."""

    def lane(self, *faults: Fault) -> Lane:
        """A direction that writes down what comes through."""
        self.clock = Clock()
        self.out: list[object] = []
        return Lane(
            self.clock,
            faults,
            self.out.append,
            lambda: self.out.append("end"),
            self.out.append,
            lambda: self.out.append("regulate"),
        )

    def test_nothing(self) -> None:
        """Without faults everything goes through at once."""
        lane = self.lane()
        lane.feed(b"abc")
        lane.end()
        self.assertEqual((self.out, lane.taken), ([b"abc", "end"], 3))

    def test_latency(self) -> None:
        """Each segment, and the end, comes as much later; order is kept."""
        lane = self.lane(Latency(2.0))
        lane.feed(b"a")
        self.clock.advance(1.5)
        lane.feed(b"b")
        lane.end()
        self.assertEqual(self.out, [])
        self.clock.advance(0.5)
        self.assertEqual(self.out, [b"a"])
        self.clock.advance(1.4)
        self.assertEqual(self.out, [b"a"])
        self.clock.advance(0.1)
        self.assertEqual(self.out, [b"a", b"b", "end"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_drip(self) -> None:
        """So many bytes at a time, the first at once; the end behind the last."""
        lane = self.lane(Drip(2, 1.0))
        lane.feed(b"abcde")
        lane.end()
        self.assertEqual(self.out, [b"ab"])
        self.clock.pump([1.0, 1.0])
        self.assertEqual(self.out, [b"ab", b"cd", b"e", "end"])
        self.clock.advance(1.0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bandwidth(self) -> None:
        """A second lets through as many bytes as were said, give or take a piece."""
        lane = self.lane(Bandwidth(1000))
        lane.feed(bytes(5000))
        for _ in range(100):
            self.clock.advance(0.01)
        through = sum(len(piece) for piece in self.out if isinstance(piece, bytes))
        self.assertTrue(980 <= through <= 1040, through)

    def test_a_very_small_bandwidth(self) -> None:
        """Less than a byte a piece: a byte at a time, more seldom."""
        lane = self.lane(Bandwidth(2))
        lane.feed(b"abc")
        self.clock.pump([0.5, 0.5])
        self.assertEqual(self.out, [b"a", b"b", b"c"])

    def test_held_bytes_stop_the_sender(self) -> None:
        """What is kept is bounded: the sender is told to wait, and to go on."""
        lane = self.lane(Latency(1.0))
        lane.feed(bytes(HELD))
        self.assertEqual((lane.full, self.out), (False, []))
        lane.feed(b"x")
        self.assertEqual((lane.full, self.out), (True, ["regulate"]))
        self.clock.advance(1.0)
        self.assertFalse(lane.full)

    def test_cut(self) -> None:
        """To the byte, however the stream comes in pieces; nothing behind it."""
        for pieces in ([b"abcdef"], [b"ab", b"cd", b"ef"], [b"abc", b"def"]):
            lane = self.lane(Cut(3, "reset"))
            for piece in pieces:
                lane.feed(piece)
            through = b"".join(item for item in self.out if isinstance(item, bytes))
            self.assertEqual((through, self.out.count("reset"), self.out[-1]), (b"abc", 1, "reset"))

    def test_cut_of_one_direction(self) -> None:
        """It ends in order, and the rest of it is lost."""
        lane = self.lane(Cut(3, "half"))
        lane.feed(b"abcdef")
        lane.end()
        self.assertEqual(self.out, [b"abc", "end"])

    def test_stall(self) -> None:
        """Nothing more comes, not even the end, and the sender is not read."""
        lane = self.lane(Stall(2))
        lane.feed(b"abc")
        lane.feed(b"d")
        lane.end()
        self.assertEqual((self.out, lane.full), ([b"ab", "regulate"], True))

    def test_several(self) -> None:
        """They work one behind the other."""
        lane = self.lane(Latency(1.0), Drip(1, 1.0), Cut(2, "fin"))
        lane.feed(b"abc")
        self.clock.pump([1.0, 1.0, 1.0])
        self.assertEqual(self.out, [b"a", b"b", "fin"])
        lane.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Sockets(FaultCase):
    """The same between real sockets."""

    async def pair(
        self, faults: FaultProxy, target: ScriptedServer
    ) -> tuple[ScriptedConnection, ScriptedConnection]:
        """A client, and what it is connected with."""
        client = await self.client_of(faults)
        return client, await target.accept()

    async def test_passes_on(self) -> None:
        """Without a script it is a pipe, with half-close, and nothing is lost or added; back-pressure included."""
        target = await self.backend()
        faults = self.faults(target)
        client, server = await self.pair(faults, target)
        server.pause()
        client.send(PATTERN[:2_000_000])
        client.half_close()
        server.send(b"meanwhile")
        await client.expect(b"meanwhile")
        server.resume()
        self.assertEqual(await server.receive_all(), PATTERN[:2_000_000])
        server.send(b"bye")
        server.close()
        self.assertEqual(await client.receive_all(), b"bye")
        client.close()
        await self.until(lambda: not faults.open)
        self.assertEqual((faults.links[0].request_bytes, faults.links[0].response_bytes), (2_000_000, 12))

    async def test_cuts(self) -> None:
        """Both sides see the same kind of end, behind exactly as many bytes; the next connection has no fault."""
        for end, seen in (("fin", "clean"), ("reset", "reset")):
            for at in (1, 5, 1000):
                with self.row(end, at):
                    target = await self.backend()
                    faults = self.faults(target)
                    faults.next(response=[Cut(at, end)])  # type: ignore[arg-type]
                    client, server = await self.pair(faults, target)
                    server.send(PATTERN[:2000])
                    self.assertEqual((await client.closed(), await server.closed()), (seen, seen))
                    self.assertEqual(client.received, PATTERN[:at])
                    await self.until(lambda f=faults: not f.open)
                    client, server = await self.pair(faults, target)
                    server.send(PATTERN[:2000])
                    await client.expect(PATTERN[:2000])

    async def test_half_cut(self) -> None:
        """One direction ends, the other goes on."""
        target = await self.backend()
        faults = self.faults(target)
        faults.always(request=[Cut(3, "half")])
        client, server = await self.pair(faults, target)
        client.send(b"abcdef")
        self.assertEqual(await server.receive_all(), b"abc")
        server.send(b"and you?")
        await client.expect(b"and you?")

    async def test_a_peers_own_end(self) -> None:
        """A reset goes over as a reset."""
        target = await self.backend()
        faults = self.faults(target)
        client, server = await self.pair(faults, target)
        client.send(b"x")
        await server.expect(b"x")
        client.abort()
        self.assertEqual(await server.closed(), "reset")
        await self.until(lambda: not faults.open)

    async def test_by_hand(self) -> None:
        """A test may cut what is open."""
        target = await self.backend()
        faults = self.faults(target)
        client, server = await self.pair(faults, target)
        faults.cut("fin")
        self.assertEqual((await client.closed(), await server.closed()), ("clean", "clean"))
        await self.until(lambda: not faults.open)

    async def test_connects(self) -> None:
        """Refused, not answered, and accepted again; existing connections live on."""
        target = await self.backend()
        faults = self.faults(target)
        client, server = await self.pair(faults, target)
        faults.refuses()
        with self.assertRaises(ConnectionRefusedError):
            await self.client_of(faults)
        faults.ignores()
        with socket.socket() as waiting:
            waiting.setblocking(False)
            self.assertEqual(waiting.connect_ex((faults.host, faults.port)), errno.EINPROGRESS)
            await self.turns(5)
            self.assertEqual(waiting.connect_ex((faults.host, faults.port)), errno.EALREADY)
        self.assertEqual(target.waiting, 0)
        faults.accepts()
        client.send(b"still here")
        await server.expect(b"still here")
        other, server = await self.pair(faults, target)
        other.send(b"new")
        await server.expect(b"new")

    async def test_no_target(self) -> None:
        """Where the target refuses, whoever connected is reset."""
        refusing = await self.refusing_backend()
        faults = self.faults(refusing)
        client = await self.client_of(faults)
        self.assertEqual(await client.closed(), "reset")
        self.assertEqual(faults.open, 0)
