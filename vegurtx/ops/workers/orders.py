"""A worker's end of the line: what the supervisor orders is done, and what it must know is told."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from vegurtx.ops.workers.channel import Channel, Message
from vegurtx.ops.workers.questions import refusal_of

_log = Logger()

#: what says by itself what is wrong; anything else is a fault of ours, and is logged
_EXPECTED = (LookupError, ValueError)


class Order(NamedTuple):
    """An order with what belongs to it.

    :param message: as it came.
    :param descriptors: that came with it; whoever wants one takes it out of the list, the rest are closed.
    """

    message: Message
    descriptors: list[int]


class Orders:
    """See the module's text.

    :param line: the worker's end.
    :param orders: what to do, by the order's word: ``drain``, ``stop``, ``reload``, … Each is called with an `Order`;
        where it is a question, what it returns (or a Deferred of it) is the answer. The supervisor's own end is an
        order to drain: nobody would replace or stop this worker any more.
    """

    def __init__(
        self, reactor: Any, line: socket.socket, orders: Mapping[str, Callable[[Order], Any]]
    ) -> None:
        self._orders = orders
        self._channel = Channel(reactor, line, self._received, self._supervisor_lost)

    def _supervisor_lost(self) -> None:
        self._orders["drain"](Order({}, []))

    def ready(self) -> None:
        """Tell that this worker listens."""
        self._channel.send({"news": "ready"})

    def leaving(self) -> None:
        """Tell that it does not listen any more, and will end."""
        self._channel.send({"news": "leaving"})

    def report(self, report: Message) -> None:
        """Tell, unasked, how everything stands: before the end, when nobody can ask any more."""
        self._channel.send({"news": "report", "value": report})

    def close(self) -> None:
        """Neither tell nor hear anything any more."""
        self._channel.close()

    def _received(self, message: Message, descriptors: list[int]) -> None:
        order = self._orders.get(message.get("order", ""))
        if order is None:
            return
        doing: Deferred[Any] = maybeDeferred(order, Order(message, descriptors))
        question = message.get("question")
        if question is None:
            doing.addErrback(_unsaid, message["order"])
        else:
            doing.addCallbacks(
                self._answer, self._refuse, (question,), errbackArgs=(question, message["order"])
            )

    def _answer(self, value: Any, question: int) -> None:
        if not self._channel.send({"news": "answer", "answer": question, "value": value}):
            _log.warn("an answer to the supervisor is lost: it does not listen, or the answer is too long")

    def _refuse(self, failure: Failure, question: int, word: str) -> None:
        if not failure.check(*_EXPECTED):
            _fault(failure, word)
        self._channel.send({"news": "answer", "answer": question, "refusal": refusal_of(failure)})


def _unsaid(failure: Failure, word: str) -> None:
    """Nobody waits for an answer."""
    if not failure.check(*_EXPECTED):
        _fault(failure, word)


def _fault(failure: Failure, word: str) -> None:
    _log.failure("the order {word} cannot be followed", failure, word=word)
