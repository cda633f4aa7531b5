"""Small writes of one turn of a uvloop loop leave together: in order, none lost, none late."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from vegurtx.net.uv.adapter import UvloopTransport
from vegurtx.net.uv.batch import AT_ONCE, LENGTH, SIZE, Batch, batch_of


class Loop:
    """Keeps what it is to call."""

    def __init__(self) -> None:
        self.soon: list[Any] = []

    def call_soon(self, function: Any, *arguments: Any) -> None:
        """Later."""
        self.soon.append(function)

    def turn(self) -> None:
        """Now."""
        soon, self.soon = self.soon, []
        for function in soon:
            function()


class Uvloops:
    """uvloop's side of a transport: writes down what it is told."""

    def __init__(self, log: list[Any], name: str) -> None:
        self.log = log
        self.name = name

    def write(self, data: Any) -> None:
        """Sent."""
        if data == b"bad":
            raise RuntimeError("handle is closed")
        self.log.append((self.name, data))

    def writelines(self, pieces: Any) -> None:
        """Sent, several."""
        self.log.append((self.name, b"".join(pieces)))

    def close(self) -> None:
        """Closed in order."""
        self.log.append((self.name, "close"))

    def abort(self) -> None:
        """Closed at once."""
        self.log.append((self.name, "abort"))

    def write_eof(self) -> None:
        """Half closed."""
        self.log.append((self.name, "eof"))

    def get_write_buffer_size(self) -> int:
        """Nothing waits."""
        return 0

    def pause_reading(self) -> None:
        """No more."""


class Socket:
    """Enough of one."""

    family = 0

    def setsockopt(self, *arguments: Any) -> None:
        """Whatever."""


class Protocol:
    """Hears nothing."""

    def dataReceived(self, data: bytes) -> None:
        """Bytes."""

    def makeConnection(self, transport: Any) -> None:
        """Connected."""


class WriteBatchTests(SynchronousTestCase):
    """`Batch`, and the transports that use it."""

    def setUp(self) -> None:
        self.loop = Loop()
        self.log: list[Any] = []
        self.batch = batch_of(self.loop)

    def transport(self, name: str, to_server: bool = False) -> Any:
        """One that is connected."""
        sock: Any = Socket()
        peer: Any = None
        made = UvloopTransport(self.loop, sock, Protocol(), peer)
        if to_server:
            made._line = self.batch.servers
        made.connection_made(Uvloops(self.log, name))
        return made

    def test_at_the_end_of_the_turn(self) -> None:
        """Nothing leaves before, and the loop is asked once."""
        a, b = self.transport("a"), self.transport("b")
        for transport in (a, b, a):
            transport.write(b"x")
        self.assertEqual(self.log, [])
        self.assertEqual(len(self.loop.soon), 1)
        self.loop.turn()
        self.assertEqual(self.log, [("a", b"x"), ("b", b"x"), ("a", b"x")])

    def test_to_back_ends_first(self) -> None:
        """Whatever the order of the writes: one wake-up each."""
        client, server = self.transport("client"), self.transport("server", to_server=True)
        for _ in range(2):
            client.write(b"response")
            server.write(b"request")
        self.loop.turn()
        self.assertEqual([name for name, _ in self.log], ["server", "server", "client", "client"])

    def test_order_on_one_connection(self) -> None:
        """What cannot be kept goes out behind what is."""
        a = self.transport("a")
        for large in (b"y" * (SIZE + 1), memoryview(b"yy"), bytearray(b"yyy")):
            a.write(b"x")
            a.write(b"z")
            a.write(large)
            self.assertEqual([data for _, data in self.log], [b"x", b"z", large])
            self.log.clear()
        a.write(b"x")
        a.write(b"z")
        a.writeSequence([b"1", b"2"])
        self.assertEqual([data for _, data in self.log], [b"x", b"z", b"12"])

    def test_an_end_is_behind_what_was_written(self) -> None:
        """However the connection ends."""
        for end, word in (
            ("loseConnection", "close"),
            ("abortConnection", "abort"),
            ("loseWriteConnection", "eof"),
            ("eof_received", "abort"),
        ):
            a = self.transport(end)
            a.write(b"x")
            a.write(b"z")
            getattr(a, end)()
            self.assertEqual(self.log, [(end, b"x"), (end, b"z"), (end, word)])
            self.log.clear()
            if end != "eof_received":  # there uvloop tells of the end in a moment
                a.write(b"too late")
                a.writeSequence([b"too late"])
                self.batch.flush()
                self.assertEqual(self.log, [])
                self.batch.at_once = 0

    def test_lost_with_something_kept(self) -> None:
        """A connection that is lost meanwhile takes its bytes with it, and nobody else's."""
        a, b = self.transport("a"), self.transport("b")
        a.write(b"x")
        b.write(b"x")
        a._protocol = None
        a.connection_lost(None)
        self.loop.turn()
        self.assertEqual(self.log, [("b", b"x")])

    def test_one_that_fails(self) -> None:
        """It ends; the others' bytes go out."""
        a, b = self.transport("a"), self.transport("b")
        a.write(b"bad")
        b.write(b"x")
        self.loop.turn()
        self.assertEqual(self.log, [("a", "abort"), ("b", b"x")])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_no_longer_than_that(self) -> None:
        """A turn with many writes sends the first ones before its end."""
        a = self.transport("a")
        for _ in range(LENGTH):
            self.assertEqual(self.log, [])
            a.write(b"x")
        self.assertEqual(len(self.log), LENGTH)
        a.write(b"x")
        self.assertEqual(len(self.log), LENGTH)
        self.loop.turn()
        self.assertEqual(len(self.log), LENGTH + 1)

    def test_alone(self) -> None:
        """Behind a turn with one write, the next ones go out at once; then it is tried again."""
        a = self.transport("a")
        a.write(b"0")
        self.loop.turn()
        for n in range(AT_ONCE):
            a.write(b"x")
            self.assertEqual(len(self.log), n + 2)
        self.assertEqual(self.loop.soon, [])
        a.write(b"x")
        a.write(b"x")
        self.assertEqual(len(self.log), AT_ONCE + 1)
        self.loop.turn()
        self.assertEqual(self.batch.at_once, 0)

    def test_one_for_a_loop(self) -> None:
        """All transports of a loop share it; it does not outlive the loop."""
        self.assertIs(batch_of(self.loop), self.batch)
        other = Loop()
        kept = weakref.ref(batch_of(other))
        self.assertIsNot(kept(), self.batch)
        self.assertIsInstance(kept(), Batch)
        del other
        gc.collect()
        self.assertIsNone(kept())
