"""The line between supervisor and worker: messages of any length, descriptors, questions and their answers."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.ops.workers import channel
from vegurtx.ops.workers.channel import Channel, channel_pair, receive
from vegurtx.ops.workers.orders import Order, Orders
from vegurtx.ops.workers.questions import ANSWER_LIMIT, MOST_OPEN, Questions, Refused, Silent


class Watching(Clock):
    """A reactor that says when a descriptor can be read: `turn` asks all that are watched."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        """Watch it."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """Watch it no more."""
        self.readers.remove(reader)

    def turn(self) -> None:
        """All hear what there is."""
        for reader in list(self.readers):
            reader.doRead()


class LineCase(SynchronousTestCase):
    """A line."""

    def setUp(self) -> None:
        """Two ends; the supervisor's is `mine`."""
        self.reactor = Watching()
        self.mine, self.its = channel_pair()
        self.addCleanup(self.mine.close)
        self.addCleanup(self.its.close)
        self.heard: list[Any] = []
        self.lost: list[str] = []


class Messages(LineCase):
    """`Channel`."""

    def setUp(self) -> None:
        """Both ends are channels."""
        super().setUp()
        self.channel = Channel(self.reactor, self.mine, self.received, lambda: self.lost.append("lost"))
        self.addCleanup(self.channel.close)

    def received(self, message: dict[str, Any], descriptors: list[int]) -> None:
        """What came, and how many descriptors with it."""
        self.heard.append((message, len(descriptors)))

    def other(self) -> Channel:
        """The other end."""
        made = Channel(self.reactor, self.its, self.received, lambda: None)
        self.addCleanup(made.close)
        return made

    def test_of_any_length(self) -> None:
        """What does not go into the socket's buffer goes as a file. All comes, in order; nothing stays open."""
        other = self.other()
        before = len(os.listdir("/proc/self/fd"))
        messages = [{"text": "é" * length} for length in (0, 10_000, 16_370, 70_000, 3_000_000, 1)]
        for message in messages:
            self.assertTrue(other.send(message))
        self.reactor.turn()
        self.assertEqual(self.heard, [(message, 0) for message in messages])
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_with_descriptors(self) -> None:
        """They go with a long message as with a short one; whoever does not take them has none of them left."""
        before = len(os.listdir("/proc/self/fd"))
        with socket.socket() as one, socket.socket() as two:
            for text in ("short", "x" * 100_000):
                self.assertTrue(self.other().send({"text": text}, [one.fileno(), two.fileno()]))
                self.reactor.turn()
        self.assertEqual([count for _, count in self.heard], [2, 2])
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_taken(self) -> None:
        """Whoever takes a descriptor out of the list has it."""
        taken: list[int] = []
        self.channel.close()
        mine, its = channel_pair()
        self.addCleanup(its.close)
        receiver = Channel(self.reactor, mine, lambda _, found: taken.append(found.pop()), lambda: None)
        self.addCleanup(receiver.close)
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.send_fds(its, [b"{}"], [server.fileno()])
            self.reactor.turn()
            with socket.socket(fileno=taken[0]) as copy:
                self.assertEqual(copy.getsockname(), server.getsockname())

    def test_too_long(self) -> None:
        """There is a bound: such a message is not sent, and one that comes all the same is an empty one."""
        other = self.other()
        self.patch(channel, "FILE_LIMIT", 100_000)
        self.assertFalse(other.send({"text": "x" * 100_000}))
        self.patch(channel, "FILE_LIMIT", 200_000)
        self.assertTrue(other.send({"text": "x" * 100_000}))
        self.patch(channel, "FILE_LIMIT", 100_000)
        self.reactor.turn()
        self.assertEqual(self.heard, [({}, 0)])

    def test_nobody_reads(self) -> None:
        """Whoever sends never waits: at some point it is told that the message is not on its way."""
        sent = 0
        while self.channel.send({"text": "x" * 50_000}):
            sent += 1
            self.assertLess(sent, 10_000)
        self.assertGreater(sent, 0)

    def test_last_words(self) -> None:
        """What was said before the other end went is heard, and the end only once."""
        other = self.other()
        other.send({"news": "leaving"})
        other.send({"text": "x" * 100_000})
        other.close()
        self.channel.read_rest()
        self.assertEqual(len(self.heard), 2)
        self.assertEqual(self.lost, ["lost"])
        self.channel.read_rest()
        self.assertEqual(self.lost, ["lost"])
        self.assertFalse(self.channel.send({}))

    def test_last_words_of_who_did_not_listen(self) -> None:
        """They are heard as well where the other end has gone with messages unread."""
        other = self.other()
        self.channel.send({"order": "report"})
        other.send({"news": "leaving"})
        other.send({"text": "x" * 100_000})
        other.close()
        self.channel.read_rest()
        self.assertEqual([sorted(message) for message, _ in self.heard], [["news"], ["text"]])
        self.assertEqual(self.lost, ["lost"])


class Asking(SynchronousTestCase):
    """`Questions`."""

    def setUp(self) -> None:
        """Somebody who is asked."""
        self.clock = Clock()
        self.sent: list[Any] = []
        self.open = True
        self.questions = Questions(self.clock, self.send)

    def send(self, message: dict[str, Any]) -> bool:
        """It is on its way."""
        self.sent.append(message)
        return self.open

    def answer(self, place: int = -1, **answer: Any) -> None:
        """To one of the questions."""
        self.questions.answered({"answer": self.sent[place]["question"], **answer})

    def test_answered(self) -> None:
        """Each gets its own answer, in whatever order."""
        one, two = self.questions.ask({"order": "a"}), self.questions.ask({"order": "b"})
        self.assertEqual([message["order"] for message in self.sent], ["a", "b"])
        self.answer(1, value=2)
        self.answer(0, value=None)
        self.assertEqual((self.successResultOf(one), self.successResultOf(two)), (None, 2))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_refused(self) -> None:
        """The other side's exception comes by its name."""
        asked = self.questions.ask({})
        self.answer(refusal=["KeyError", "one"])
        error = self.failureResultOf(asked, Refused).value
        self.assertEqual((error.kind, error.text), ("KeyError", "one"))

    def test_too_late(self) -> None:
        """Nobody waits for longer than the limit; an answer that comes then is nothing."""
        asked = self.questions.ask({})
        self.clock.advance(ANSWER_LIMIT - 0.01)
        self.assertNoResult(asked)
        self.clock.advance(0.01)
        self.failureResultOf(asked, Silent)
        self.answer(value=1)

    def test_bound(self) -> None:
        """Who owes too many answers is not asked, until it has given one."""
        for _ in range(MOST_OPEN):
            asked = self.questions.ask({})
            self.clock.advance(ANSWER_LIMIT)
            self.failureResultOf(asked, Silent)
        self.failureResultOf(self.questions.ask({}), Silent)
        self.assertEqual(len(self.sent), MOST_OPEN)
        self.answer(0, value=1)
        asked = self.questions.ask({})
        self.answer(value=5)
        self.assertEqual(self.successResultOf(asked), 5)

    def test_cannot_be_asked(self) -> None:
        """Where the question is not on its way, it is said at once."""
        self.open = False
        self.failureResultOf(self.questions.ask({}), Silent)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_gone(self) -> None:
        """Who waits for somebody who is gone waits no longer."""
        asked, late = self.questions.ask({}), self.questions.ask({}, 0.5)
        self.clock.advance(0.5)
        self.failureResultOf(late, Silent)
        self.questions.end()
        self.failureResultOf(asked, Silent)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Following(LineCase):
    """`Orders`."""

    def setUp(self) -> None:
        """A worker that follows some."""
        super().setUp()
        self.waiting: Deferred[Any] = Deferred()
        orders = {
            "drain": lambda order: self.heard.append("drain"),
            "sum": lambda order: sum(order.message["numbers"]),
            "later": lambda order: self.waiting,
            "key": self.missing,
            "broken": lambda order: 1 / 0,
        }
        self.orders = Orders(self.reactor, self.its, orders)
        self.addCleanup(self.orders.close)

    def missing(self, order: Order) -> None:
        """It is not there."""
        raise KeyError("one")

    def asked(self, **message: Any) -> dict[str, Any]:
        """What the answer to an order is."""
        self.mine.send(_json(message))
        self.reactor.turn()
        found = receive(self.mine)
        assert found is not None
        return found[0]

    def test_answers(self) -> None:
        """What an order's function returns is the answer; so is what its Deferred gives."""
        self.assertEqual(
            self.asked(order="sum", numbers=[1, 2], question=7), {"news": "answer", "answer": 7, "value": 3}
        )
        self.waiting.callback("x")
        self.assertEqual(self.asked(order="later", question=8)["value"], "x")

    def test_refusals(self) -> None:
        """What is raised is told; what nobody expects is logged, too."""
        self.assertEqual(self.asked(order="key", question=1)["refusal"], ["KeyError", "one"])
        self.assertEqual(self.asked(order="broken", question=2)["refusal"][0], "ZeroDivisionError")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_without_a_question(self) -> None:
        """Nothing is answered, and an order that nobody knows is nothing."""
        for order in ("drain", "key", "unknown"):
            self.mine.send(_json({"order": order}))
        self.reactor.turn()
        self.assertEqual(self.heard, ["drain"])
        self.mine.setblocking(False)
        self.assertRaises(BlockingIOError, receive, self.mine)

    def test_report(self) -> None:
        """The last word needs no question."""
        self.orders.report({"metrics": []})
        self.assertEqual(receive(self.mine), ({"news": "report", "value": {"metrics": []}}, []))

    def test_orphaned(self) -> None:
        """Without a supervisor, it drains."""
        self.mine.close()
        self.reactor.turn()
        self.assertEqual(self.heard, ["drain"])


def _json(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()
