"""What a protocol may rely on in its transport: the same cases for Twisted's transport and for uvloop's."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IPushProducer, ITCPTransport
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from tests.net.transport_peers import (
    NO_UVLOOP,
    HalfRecorder,
    Peer,
    Recorder,
    Recorders,
    connected,
    event,
    lost,
    open_descriptors,
    plain_flavour,
    reactor,
    received,
    turns,
    until,
    uvloop_flavour,
)
from vegurtx.net.endpoints import tcp_server
from vegurtx.net.uv.batch import LENGTH
from vegurtx.net.uv.flavour import Flavour

MIB = 1 << 20


class PushProducer:
    """Writes chunks while it may, up to a total."""

    def __init__(self, transport: Any, total: int, chunk: int = 65536) -> None:
        self.transport = transport
        self.left = total
        self.chunk = chunk
        self.paused = False
        self.events: list[str] = []

    def produce(self) -> None:
        while self.left and not self.paused:
            size = min(self.left, self.chunk)
            self.left -= size
            self.transport.write(b"p" * size)
        if not self.left:
            self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self.paused = True
        self.events.append("pause")

    def resumeProducing(self) -> None:
        self.paused = False
        self.events.append("resume")
        self.produce()

    def stopProducing(self) -> None:
        self.events.append("stop")


class PullProducer:
    """Writes one chunk each time it is asked, a number of times."""

    def __init__(self, transport: Any, times: int, chunk: int = 65536) -> None:
        self.transport = transport
        self.left = times
        self.chunk = chunk
        self.events: list[str] = []

    def resumeProducing(self) -> None:
        if self.left:
            self.left -= 1
            self.transport.write(b"p" * self.chunk)
            if not self.left:
                self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        self.events.append("stop")


class TransportContract:
    """The cases. Subclasses say which flavour, and are the `TestCase`."""

    timeout = 20
    #: writes that may have been kept for the end of the turn
    batch = 1

    def flavour(self) -> Flavour:
        raise NotImplementedError

    def waiting(self, transport: Any) -> int:
        """How many bytes wait in this process to be written."""
        raise NotImplementedError

    async def pair(self, make: Any = Recorder) -> tuple[Any, Peer]:
        """A recorder on a transport of the flavour, and its peer."""
        test: Any = self
        factory = Recorders(make)
        port: Any = await tcp_server(reactor, 0, flavour=self.flavour()).listen(factory)
        test.addCleanup(port.stopListening)
        sock = socket.create_connection(("127.0.0.1", port.getHost().port))
        test.addCleanup(sock.close)
        await connected(factory)
        test.addCleanup(self.end, factory.built[0])
        return factory.built[0], Peer(sock)

    async def end(self, recorder: Any) -> None:
        recorder.t.abortConnection()
        await lost(recorder)

    # -- bytes
    # ---------------------------------------------------------------------------------------------------

    async def test_bytes_go_both_ways(self: Any) -> None:
        """`write` takes bytes and memoryviews, `writeSequence` several; `dataReceived` gets bytes."""
        recorder, peer = await self.pair()
        recorder.t.write(b"one ")
        recorder.t.write(memoryview(b"two "))
        recorder.t.writeSequence([b"three ", b"four ", b"five ", b"six ", b"seven"])
        recorder.t.write(b"")
        self.assertEqual(await peer.receive(33), b"one two three four five six seven")
        await peer.send(b"back")
        await received(recorder, b"back")

    async def test_text_is_refused(self: Any) -> None:
        """Text is no data."""
        recorder, _ = await self.pair()
        self.assertRaises(TypeError, recorder.t.write, "text")

    async def test_much_goes_both_ways(self: Any) -> None:
        """8 MiB each way arrive complete and in order."""
        recorder, peer = await self.pair()
        pattern = bytes(range(251)) * (8 * MIB // 251)
        recorder.t.write(pattern)
        self.assertEqual(await peer.receive(len(pattern)), pattern)
        await peer.send(pattern)
        await until(lambda: len(recorder.data) == len(pattern))
        self.assertEqual(recorder.data, pattern)

    async def test_a_new_protocol_takes_over(self: Any) -> None:
        """Assigning `transport.protocol` sends what comes next to the new one."""
        recorder, peer = await self.pair()
        other = Recorder()
        recorder.t.protocol = other
        await peer.send(b"for the other")
        await received(other, b"for the other")
        self.assertEqual(recorder.data, b"")
        peer.close()
        await lost(other)
        recorder.reasons = other.reasons

    # -- closing
    # -------------------------------------------------------------------------------------------------

    async def test_lose_connection_flushes(self: Any) -> None:
        """`loseConnection` sends all that was written, 5 MB of it, before it closes."""
        recorder, peer = await self.pair()
        recorder.t.write(b"x" * 5_000_000)
        recorder.t.loseConnection()
        self.assertTrue(recorder.t.disconnecting)
        self.assertEqual(len(await peer.receive_all()), 5_000_000)
        await lost(recorder)
        self.assertEqual(recorder.events, ["made", "lost"])
        recorder.reasons[0].trap(ConnectionDone)

    async def test_nothing_is_read_after_lose_connection(self: Any) -> None:
        """Bytes after `loseConnection` are not delivered, and the peer's end makes no second end."""
        recorder, peer = await self.pair()
        recorder.t.write(b"x" * 5_000_000)
        recorder.t.loseConnection()
        await peer.send(b"late")
        await turns()
        self.assertEqual(recorder.data, b"")
        await peer.receive(5_000_000)
        await lost(recorder)
        self.assertEqual(recorder.events, ["made", "lost"])

    async def test_abort_resets(self: Any) -> None:
        """`abortConnection` drops what is unsent, resets the peer, and says `ConnectionAborted`."""
        recorder, peer = await self.pair()
        recorder.t.write(b"x" * 20_000_000)
        recorder.t.abortConnection()
        recorder.t.abortConnection()
        self.assertEqual(recorder.events, ["made"])
        await lost(recorder)
        self.assertEqual(recorder.events, ["made", "lost"])
        recorder.reasons[0].trap(ConnectionAborted)
        with self.assertRaises(ConnectionResetError):
            await peer.receive_all()

    async def test_what_was_written_before_an_abort_arrives(self: Any) -> None:
        """A small write leaves at once: an abort in the same turn does not take it back."""
        recorder, peer = await self.pair()
        recorder.t.write(b"last words")
        recorder.t.abortConnection()
        self.assertEqual(await peer.receive(10), b"last words")
        with self.assertRaises(ConnectionResetError):
            await peer.receive_all()

    async def test_abort_while_closing(self: Any) -> None:
        """`abortConnection` ends a `loseConnection` whose peer does not read."""
        recorder, _ = await self.pair()
        recorder.t.write(b"x" * 20_000_000)
        recorder.t.loseConnection()
        await turns()
        self.assertFalse(recorder.is_lost)
        recorder.t.abortConnection()
        await lost(recorder)
        recorder.reasons[0].trap(ConnectionAborted)

    async def test_peer_closes(self: Any) -> None:
        """The peer's clean end is `ConnectionDone`."""
        recorder, peer = await self.pair()
        await peer.send(b"bye")
        peer.close()
        await lost(recorder)
        self.assertEqual((recorder.data, recorder.events), (b"bye", ["made", "lost"]))
        recorder.reasons[0].trap(ConnectionDone)

    async def test_end_with_unsent_bytes(self: Any) -> None:
        """Not half-closeable: the protocol ends with the peer's half, even while bytes wait for it."""
        recorder, peer = await self.pair()
        recorder.t.write(b"x" * 20_000_000)
        peer.finish()
        await lost(recorder)
        recorder.reasons[0].trap(ConnectionDone)

    async def test_peer_resets(self: Any) -> None:
        """A reset is `ConnectionLost`, and no `ConnectionAborted`."""
        recorder, peer = await self.pair()
        peer.reset()
        await lost(recorder)
        self.assertEqual(recorder.events, ["made", "lost"])
        recorder.reasons[0].trap(ConnectionLost)
        self.assertFalse(recorder.reasons[0].check(ConnectionAborted))

    async def test_bytes_before_a_break_are_delivered(self: Any) -> None:
        """A write that fails does not lose what the peer had sent before it broke off (rule 20)."""
        recorder, peer = await self.pair()
        recorder.t.pauseProducing()
        await peer.send(b"r" * 100_000)
        peer.reset()
        recorder.t.write(b"x")
        recorder.t.write(b"x")
        await lost(recorder)
        self.assertEqual(len(recorder.data), 100_000)
        recorder.reasons[0].trap(ConnectionLost)

    async def test_writing_after_the_end(self: Any) -> None:
        """Nothing on a closed transport raises, whichever way it closed."""
        for end in ("loseConnection", "abortConnection", "peer"):
            recorder, peer = await self.pair()
            if end == "peer":
                peer.close()
            else:
                getattr(recorder.t, end)()
            for _ in range(2):
                recorder.t.write(b"late")
                recorder.t.writeSequence([b"late", b"r"])
                recorder.t.pauseProducing()
                recorder.t.resumeProducing()
                recorder.t.loseConnection()
                recorder.t.loseWriteConnection()
                recorder.t.unregisterProducer()
                await lost(recorder)
            self.assertFalse(recorder.t.connected)
            self.assertEqual(recorder.events, ["made", "lost"])

    # -- half-close
    # ----------------------------------------------------------------------------------------------

    async def test_peer_half_closes(self: Any) -> None:
        """A half-closeable protocol hears that the peer has sent all, once, and can still answer."""
        recorder, peer = await self.pair(HalfRecorder)
        await peer.send(b"question")
        peer.finish()
        await event("read lost", recorder)
        recorder.t.pauseProducing()
        recorder.t.resumeProducing()
        await turns()
        recorder.t.write(b"y" * 3_000_000)
        self.assertEqual(len(await peer.receive(3_000_000)), 3_000_000)
        recorder.t.loseConnection()
        self.assertEqual(await peer.receive_all(), b"")
        await lost(recorder)
        self.assertEqual(recorder.events, ["made", "read lost", "lost"])
        recorder.reasons[0].trap(ConnectionDone)

    async def test_we_half_close(self: Any) -> None:
        """`loseWriteConnection` flushes, closes our half, says so, and still reads."""
        for size in (0, 10, 5_000_000):
            recorder, peer = await self.pair(HalfRecorder)
            recorder.t.write(b"y" * size)
            recorder.t.loseWriteConnection()
            recorder.t.loseWriteConnection()
            recorder.t.write(b"too late")
            self.assertEqual(len(await peer.receive_all()), size)
            await event("write lost", recorder)
            await peer.send(b"still here")
            await received(recorder, b"still here")
            peer.finish()
            await event("read lost", recorder)
            self.assertFalse(recorder.is_lost)
            recorder.t.loseConnection()
            await lost(recorder)
            self.assertEqual(recorder.events, ["made", "write lost", "read lost", "lost"])
            recorder.reasons[0].trap(ConnectionDone)

    async def test_half_close_without_the_interface(self: Any) -> None:
        """`loseWriteConnection` works for any protocol; only a half-closeable one is told."""
        recorder, peer = await self.pair()
        recorder.t.write(b"all")
        recorder.t.loseWriteConnection()
        self.assertEqual(await peer.receive_all(), b"all")
        await peer.send(b"answer")
        peer.close()
        await lost(recorder)
        self.assertEqual((recorder.data, recorder.events), (b"answer", ["made", "lost"]))

    # -- back-pressure
    # -------------------------------------------------------------------------------------------

    async def test_push_producer_waits_for_the_peer(self: Any) -> None:
        """A peer that does not read stops the producer, with little on the way; then all arrives."""
        recorder, peer = await self.pair()
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        producer = PushProducer(recorder.t, 32 * MIB)
        recorder.t.registerProducer(producer, True)
        producer.produce()
        await turns()
        self.assertTrue(producer.paused)
        self.assertGreater(producer.left, 20 * MIB)  # the rest is the kernel's buffers and ours
        self.assertEqual(len(await peer.receive(32 * MIB)), 32 * MIB)
        self.assertEqual(producer.left, 0)
        self.assertEqual(producer.events[0], "pause")
        self.assertTrue(all(a != b for a, b in zip(producer.events, producer.events[1:], strict=False)))

    async def test_the_mark(self: Any) -> None:
        """64 KiB may wait before the producer has to, and not a write more, or a batch of writes where there is one."""
        recorder, _ = await self.pair()
        producer = PushProducer(recorder.t, 0)
        recorder.t.registerProducer(producer, True)
        for _ in range(64 * MIB // 1024):
            if producer.paused:
                break
            recorder.t.write(b"z" * 1024)
        self.assertEqual(producer.events, ["pause"])
        self.assertTrue(65536 < self.waiting(recorder.t) <= 65536 + 1024 * self.batch)

    async def test_pull_producer_is_asked_until_it_ends(self: Any) -> None:
        """A pull producer is asked again when the last chunk is out, and not faster than the peer reads."""
        recorder, peer = await self.pair()
        producer = PullProducer(recorder.t, 512)
        recorder.t.registerProducer(producer, False)
        await turns()
        self.assertGreater(producer.left, 300)
        self.assertEqual(len(await peer.receive(32 * MIB)), 32 * MIB)
        self.assertEqual(producer.left, 0)
        recorder.t.write(b"and on")
        self.assertEqual(await peer.receive(6), b"and on")

    async def test_lose_connection_waits_for_a_pull_producer(self: Any) -> None:
        """The connection stays until the pull producer has unregistered."""
        recorder, peer = await self.pair()
        recorder.t.registerProducer(PullProducer(recorder.t, 100), False)
        recorder.t.loseConnection()
        self.assertEqual(len(await peer.receive_all()), 100 * 65536)
        await lost(recorder)
        recorder.reasons[0].trap(ConnectionDone)

    async def test_lose_connection_waits_for_a_paused_producer(self: Any) -> None:
        """A push producer that is paused when the connection is to close still gets its bytes out."""
        recorder, peer = await self.pair()
        producer = PushProducer(recorder.t, 32 * MIB)
        recorder.t.registerProducer(producer, True)
        producer.produce()
        self.assertTrue(producer.paused)
        recorder.t.loseConnection()
        self.assertEqual(len(await peer.receive_all()), 32 * MIB)
        await lost(recorder)
        recorder.reasons[0].trap(ConnectionDone)

    async def test_idle_push_producer_does_not_hold_the_end_back(self: Any) -> None:
        """As in Twisted, a push producer that is not paused does not delay `loseConnection`."""
        recorder, peer = await self.pair()
        recorder.t.registerProducer(PushProducer(recorder.t, 1), True)
        recorder.t.loseConnection()
        self.assertEqual(await peer.receive_all(), b"")
        await lost(recorder)

    async def test_the_end_stops_the_producer(self: Any) -> None:
        """The end of the connection stops the producer; one that comes later is stopped at once."""
        recorder, peer = await self.pair()
        producer = PushProducer(recorder.t, 1)
        recorder.t.registerProducer(producer, True)
        self.assertRaises(RuntimeError, recorder.t.registerProducer, producer, True)
        peer.reset()
        await lost(recorder)
        self.assertEqual(producer.events, ["stop"])
        late = PullProducer(recorder.t, 1)
        recorder.t.registerProducer(late, False)
        self.assertEqual(late.events, ["stop"])

    async def test_pausing_holds_the_peer(self: Any) -> None:
        """While reading is paused nothing is delivered; the peer can send what the kernel holds."""
        recorder, peer = await self.pair()
        recorder.t.pauseProducing()
        data = b"s" * 65536
        sent = 0
        while more := peer.send_some(data):
            sent += more
        await turns()
        self.assertEqual(recorder.segments, 0)
        self.assertLess(sent, 16 * MIB)
        recorder.t.resumeProducing()
        await until(lambda: len(recorder.data) == sent)

    async def test_pausing_inside_data_received(self: Any) -> None:
        """Once `dataReceived` has paused the transport, not one more segment comes."""
        recorder, peer = await self.pair()
        recorder.on_data = lambda data: recorder.t.pauseProducing()
        await peer.send(b"t" * 3 * MIB)
        await turns()
        self.assertEqual(recorder.segments, 1)
        recorder.on_data = None
        recorder.t.resumeProducing()
        await until(lambda: len(recorder.data) == 3 * MIB)

    async def test_pausing_when_made(self: Any) -> None:
        """A protocol that pauses in `connectionMade` hears nothing, not even the end, until it resumes."""

        def make() -> Recorder:
            recorder = Recorder()
            recorder.on_made = lambda it: it.t.pauseProducing()
            return recorder

        recorder, peer = await self.pair(make)
        await peer.send(b"early")
        peer.finish()
        await turns()
        self.assertEqual((recorder.data, recorder.events), (b"", ["made"]))
        recorder.t.resumeProducing()
        await lost(recorder)
        self.assertEqual(recorder.data, b"early")

    # -- protocols that fail
    # -------------------------------------------------------------------------------------

    async def test_data_received_fails(self: Any) -> None:
        """What `dataReceived` raises is logged with its traceback, and is the reason of the end."""
        for problem in (ValueError("bad bytes"), OSError(errno.ECONNRESET, "not the kernel's")):
            recorder, peer = await self.pair()

            def fail(data: bytes, problem: Exception = problem) -> None:
                raise problem

            recorder.on_data = fail
            await peer.send(b"x")
            await lost(recorder)
            self.assertEqual(recorder.events, ["made", "lost"])
            self.assertIs(recorder.reasons[0].value, problem)
            (logged,) = self.flushLoggedErrors(type(problem))
            self.assertIn("fail", logged.getTraceback())

    async def test_abort_and_then_fail(self: Any) -> None:
        """An exception after `abortConnection` is logged, and there is one end."""
        recorder, peer = await self.pair()

        def fail(data: bytes) -> None:
            recorder.t.abortConnection()
            raise ValueError("after the end")

        recorder.on_data = fail
        await peer.send(b"x")
        await lost(recorder)
        await turns()
        self.assertEqual(recorder.events, ["made", "lost"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    async def test_connection_made_fails(self: Any) -> None:
        """What `connectionMade` raises is logged, and the connection is dropped."""

        def make() -> Recorder:
            recorder = Recorder()
            recorder.on_made = lambda it: 1 // 0
            return recorder

        recorder, peer = await self.pair(make)
        self.assertEqual(await peer.receive_all(), b"")
        await lost(recorder)
        recorder.reasons[0].trap(ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_resuming_fails(self: Any) -> None:
        """What a producer's `resumeProducing` raises is logged, and the connection is dropped."""
        recorder, peer = await self.pair()
        producer: Any = PushProducer(recorder.t, 32 * MIB)
        producer.resumeProducing = lambda: 1 // 0
        recorder.t.registerProducer(producer, True)
        producer.produce()
        await peer.receive(1 * MIB)
        while not recorder.is_lost:
            await peer.receive(65536)
        recorder.reasons[0].trap(ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    # -- what it knows
    # -------------------------------------------------------------------------------------------

    async def test_addresses(self: Any) -> None:
        """`getPeer` and `getHost` are the two ends, also after the connection is over."""
        recorder, peer = await self.pair()
        here, there = recorder.t.getHost(), recorder.t.getPeer()
        self.assertEqual((there.host, there.port), peer.sock.getsockname())
        self.assertEqual((here.host, here.port), peer.sock.getpeername())
        other, peer = await self.pair()
        name = peer.sock.getpeername()
        peer.close()
        await lost(other)
        self.assertEqual((other.t.getHost().host, other.t.getHost().port), name)

    async def test_socket_options(self: Any) -> None:
        """Small segments leave at once by default; the socket's options can be read and set."""
        recorder, _ = await self.pair()
        t = recorder.t
        self.assertTrue(t.getTcpNoDelay())
        t.setTcpNoDelay(False)
        t.setTcpKeepAlive(True)
        self.assertFalse(t.getTcpNoDelay())
        self.assertTrue(t.getTcpKeepAlive())
        self.assertTrue(t.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    async def test_interfaces(self: Any) -> None:
        """It provides the interfaces of Twisted's TCP transport."""
        recorder, _ = await self.pair()
        for interface in (ITCPTransport, IConsumer, IPushProducer):
            self.assertTrue(verifyObject(interface, recorder.t))
        self.assertEqual(recorder.t.logPrefix(), "Recorder")
        self.assertEqual((bool(recorder.t.connected), bool(recorder.t.disconnecting)), (True, False))

    async def test_no_descriptor_is_left(self: Any) -> None:
        """200 connections of each kind of end leave no descriptor behind."""
        factory = Recorders(HalfRecorder)
        port: Any = await tcp_server(reactor, 0, flavour=self.flavour()).listen(factory)
        self.addCleanup(port.stopListening)
        address = ("127.0.0.1", port.getHost().port)
        before = await open_descriptors()
        for kind in ("lose", "abort", "peer closes", "peer resets", "half-closed", "unsent"):
            factory.built.clear()
            peers = [Peer(socket.create_connection(address)) for _ in range(200)]
            await connected(factory, 200)
            recorders = list(factory.built)
            for recorder, peer in zip(recorders, peers, strict=True):
                if kind == "abort":
                    recorder.t.abortConnection()
                elif kind == "peer resets":
                    peer.reset()
                elif kind == "peer closes":
                    peer.close()
                elif kind == "half-closed":
                    peer.finish()
                    recorder.t.loseWriteConnection()
                elif kind == "unsent":
                    recorder.t.write(b"u" * 4096)
                    recorder.t.loseConnection()
                if kind in ("lose", "peer closes"):
                    recorder.t.loseConnection()
            if kind == "half-closed":
                await event("read lost", *recorders)
                await event("write lost", *recorders)
                for recorder in recorders:
                    recorder.t.loseConnection()
            await lost(*recorders)
            for peer in peers:
                peer.close()
            self.assertLessEqual(await open_descriptors(before), before, kind)


class PlainTransportTests(TransportContract, TestCase):
    """Twisted's transport, under whichever reactor the tests have."""

    def flavour(self) -> Flavour:
        return plain_flavour()

    def waiting(self, transport: Any) -> int:
        return int(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)


class UvloopTransportTests(TransportContract, TestCase):
    """uvloop's transport."""

    batch = LENGTH

    if NO_UVLOOP:
        skip = NO_UVLOOP

    def flavour(self) -> Flavour:
        return uvloop_flavour()

    def waiting(self, transport: Any) -> int:
        return int(transport._uv.get_write_buffer_size())
