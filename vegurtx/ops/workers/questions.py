"""Questions to another process, by a line that answers come back on: each has a deadline, and few are open at once."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from vegurtx.ops.workers.channel import Message

#: seconds that an answer may take
ANSWER_LIMIT = 2.0
#: questions that may be open, those included that nobody waits for any more; who owes so many is asked nothing else
MOST_OPEN = 8


class Silent(Exception):
    """There is no answer: it did not come in time, or whoever was asked is gone."""


class Refused(Exception):
    """The answer is that it cannot be done.

    :param kind: the name of the exception that was raised there: ``KeyError``, ``LookupError``, …
    :param text: what it said.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(kind, text)
        self.kind = kind
        self.text = text


class Questions:
    """The questions to one process.

    :param send: sends a message; returns whether it is on its way.
    """

    def __init__(self, reactor: Any, send: Callable[[Message], bool]) -> None:
        self._reactor = reactor
        self._send = send
        # A program that follows this one in its process may get answers that were meant for us.
        self._number = secrets.randbits(48)
        #: by number, who waits, and the deadline; `None`: nobody does any more
        self._open: dict[int, tuple[Deferred[Any], Any] | None] = {}

    def ask(self, message: Message, limit: float = ANSWER_LIMIT) -> Deferred[Any]:
        """Send `message` as a question.

        :param limit: seconds that the answer may take.
        :returns: fires with the answer's value. Fails with `Silent`, or with `Refused`.
        """
        if len(self._open) >= MOST_OPEN:
            return fail(Silent("former questions are not answered yet"))
        self._number += 1
        number = self._number
        if not self._send({**message, "question": number}):
            return fail(Silent("it cannot be asked"))
        waiting: Deferred[Any] = Deferred()
        self._open[number] = waiting, self._reactor.callLater(limit, self._too_late, number)
        return waiting

    def answered(self, message: Message) -> None:
        """An answer has come: ``value``, or ``refusal`` as `Refused` takes it."""
        found = self._open.pop(message.get("answer", 0), None)
        if found is None:
            return
        waiting, deadline = found
        deadline.cancel()
        refusal = message.get("refusal")
        if refusal is None:
            waiting.callback(message.get("value"))
        else:
            waiting.errback(Refused(*map(str, refusal)))

    def end(self) -> None:
        """No answer will come any more."""
        left, self._open = self._open, {}
        for found in left.values():
            if found is not None:
                waiting, deadline = found
                deadline.cancel()
                waiting.errback(Silent("it is gone"))

    def _too_late(self, number: int) -> None:
        found = self._open[number]
        self._open[number] = None
        assert found is not None
        found[0].errback(Silent("it does not answer"))


def refusal_of(failure: Failure) -> list[str]:
    """What `failure` is as an answer's ``refusal``."""
    error: Any = failure.value
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return [type(error).__name__, text]
