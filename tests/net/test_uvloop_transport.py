"""What only uvloop's transport has: it stands aside, and leaves nothing behind."""

from __future__ import annotations

import gc
import socket
import weakref
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.net.transport_peers import (
    NO_UVLOOP,
    HalfRecorder,
    Peer,
    Recorder,
    Recorders,
    connected,
    event,
    lost,
    reactor,
    turns,
    until,
)
from vegurtx.net.endpoints import runs_on_uvloop, tcp_server
from vegurtx.net.uv import adapter
from vegurtx.net.uv.adapter import UvloopTransport, log_protocol_errors


class ChoiceTests(SynchronousTestCase):
    """When uvloop's transports are taken."""

    def test_not_without_a_uvloop_loop(self) -> None:
        """A reactor without a loop, or on another loop, has Twisted's transports."""
        self.assertFalse(runs_on_uvloop(object()))
        self.assertFalse(runs_on_uvloop(SimpleNamespace(_asyncioEventloop=object())))


class StandsAsideTests(TestCase):
    """No code of ours runs for a segment that arrives, and one method for one that leaves."""

    timeout = 20
    if NO_UVLOOP:
        skip = NO_UVLOOP

    async def pair(self, make: Any = Recorder) -> tuple[Any, Peer]:
        """A recorder on uvloop's transport, and its peer."""
        factory = Recorders(make)
        port: Any = await tcp_server(reactor, 0).listen(factory)
        self.addCleanup(port.stopListening)
        sock = socket.create_connection(("127.0.0.1", port.getHost().port))
        self.addCleanup(sock.close)
        await connected(factory)
        return factory.built.pop(), Peer(sock)

    async def test_calls_go_straight_through(self) -> None:
        """uvloop calls the protocol's `dataReceived`, and what is sent goes to uvloop's `write`."""
        recorder, peer = await self.pair()
        transport = recorder.t
        self.assertIsInstance(transport, UvloopTransport)
        self.assertEqual(transport.data_received, recorder.dataReceived)
        self.assertEqual(transport.put, transport._uv.write)
        self.assertEqual(transport._put_all, transport._uv.writelines)
        peer.close()
        await lost(recorder)
        self.assertIs(transport.put, adapter._discard)

    async def test_writing_is_off_after_each_kind_of_end(self) -> None:
        """No way to end leaves uvloop's `write` behind: it raises on a closed handle."""
        for end in ("loseConnection", "abortConnection", "loseWriteConnection"):
            recorder, peer = await self.pair(HalfRecorder)
            getattr(recorder.t, end)()
            self.assertIs(recorder.t.put, adapter._discard, end)
            peer.close()
            recorder.t.abortConnection()
            await lost(recorder)

    async def test_nothing_is_left_in_memory(self) -> None:
        """Once a connection is over nothing keeps the transport or uvloop's: there is no cycle."""
        recorder, peer = await self.pair()
        await peer.send(b"x")
        await until(lambda: recorder.data)
        transport, uv = weakref.ref(recorder.t), weakref.ref(recorder.t._uv)
        peer.close()
        await lost(recorder)
        await turns(3)
        gc.disable()
        self.addCleanup(gc.enable)
        recorder.t = recorder.transport = None
        self.assertIsNone(transport())
        self.assertIsNone(uv())

    async def test_a_handler_of_the_program_stays(self) -> None:
        """An exception handler that the program has set stays; ours is set where there is none."""
        loop = reactor._asyncioEventloop
        before = loop.get_exception_handler()
        self.addCleanup(loop.set_exception_handler, before)

        def own(loop: Any, context: dict[str, Any]) -> None:
            raise AssertionError

        loop.set_exception_handler(own)
        log_protocol_errors(loop)
        self.assertIs(loop.get_exception_handler(), own)
        loop.set_exception_handler(None)
        log_protocol_errors(loop)
        self.assertIsNotNone(loop.get_exception_handler())

    async def test_other_errors_of_the_loop(self) -> None:
        """What is not out of one of our protocols goes to the loop's default handler."""
        seen: list[Any] = []
        context = {"message": "something", "exception": ValueError()}
        adapter._log_protocol_errors(SimpleNamespace(default_exception_handler=seen.append), context)
        self.assertEqual(seen, [context])

    async def test_registering_while_congested(self) -> None:
        """A push producer that is registered while too much waits is paused at once, and resumed."""
        recorder, peer = await self.pair()
        events: list[str] = []
        producer = SimpleNamespace(
            pauseProducing=lambda: events.append("pause"),
            resumeProducing=lambda: events.append("resume"),
            stopProducing=lambda: events.append("stop"),
        )
        recorder.t.write(b"x" * 8_000_000)
        recorder.t.registerProducer(producer, True)
        self.assertEqual(events, ["pause"])
        await peer.receive(8_000_000)
        await until(lambda: len(events) == 2)
        peer.close()
        await lost(recorder)
        self.assertEqual(events, ["pause", "resume", "stop"])

    async def test_half_close_with_little_unsent(self) -> None:
        """`writeConnectionLost` also comes where what waits is too little to have paused a producer."""
        recorder, peer = await self.pair(HalfRecorder)
        written = 0
        while not recorder.t._uv.get_write_buffer_size():
            recorder.t.write(b"x" * 1024)
            written += 1024
        recorder.t.loseWriteConnection()
        await turns()
        self.assertEqual(recorder.events, ["made"])
        self.assertEqual(len(await peer.receive_all()), written)
        await event("write lost", recorder)
        peer.close()
        await event("read lost", recorder)
        recorder.t.loseConnection()
        await lost(recorder)

    async def test_the_mark_comes_back_after_a_pull_producer(self) -> None:
        """A pull producer needs other marks; once it is gone 64 KiB may wait again."""
        recorder, peer = await self.pair()
        producer = SimpleNamespace(resumeProducing=lambda: None, stopProducing=lambda: None)
        recorder.t.registerProducer(producer, False)
        self.assertEqual(recorder.t._uv.get_write_buffer_limits()[1], 0)
        recorder.t.unregisterProducer()
        self.assertEqual(recorder.t._uv.get_write_buffer_limits()[1], 65536)
        peer.close()
        await lost(recorder)
