"""What was tried against the admin API and the supervisor, without processes: each was a defect once."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.ops.admin_case import Program
from tests.ops.test_admin_http import Serving
from tests.ops.whole_case import URLS, WholeCase
from vegurtx.ops.admin.http_server import MOST_CONNECTIONS
from vegurtx.ops.workers.slot import Slot


class Connections(Serving):
    """Clients of the admin API who want to keep others out."""

    async def test_dripping_bodies(self) -> None:
        """As many as may be, each with a request that never ends: a health probe is answered all the same."""
        service = await self.served(Program())
        for _ in range(MOST_CONNECTIONS):
            client = await self.visitor(service)
            client.send(b"POST /api/reload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nx")
        await self.until(lambda: len(service._factory.connections) == MOST_CONNECTIONS)
        for _ in range(3):
            probe = await self.visitor(service)
            self.assertEqual((await self.ask(probe, "GET /healthz")).status, 200)

    async def test_who_waits_for_an_answer(self) -> None:
        """Stays; where all do, a new one has to go."""
        program = Program()
        answers: list[Deferred[Any]] = []

        def process() -> Deferred[Any]:
            answers.append(Deferred())
            return answers[-1]

        program.process = process
        service = await self.served(program)
        clients = [await self.visitor(service) for _ in range(MOST_CONNECTIONS)]
        for client in clients:
            client.send(b"GET /api/process HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await self.until(lambda: len(answers) == MOST_CONNECTIONS)
        await (await self.visitor(service)).closed()
        for answer in answers:
            answer.callback({})
        for client in clients:
            self.assertEqual((await client.receive_response()).status, 200)


class Hung(WholeCase):
    """A worker that does not answer, and goes on one day."""

    def test_state_of_a_replica(self) -> None:
        """It finds the order when it goes on, even where it owed so many answers that it was asked nothing more."""
        hung = self.workers[1]
        hung.hangs = True
        for _ in range(9):
            self.reports.gather("live")
            for worker in self.workers:
                worker.answer()
            self.clock.advance(3)
        setting = self.whole.set_replica_state("web", URLS[0], "maint")
        for worker in self.workers:
            worker.answer()
        self.clock.advance(3)
        self.assertIsNone(self.successResultOf(setting))
        order, message = hung.told[-1]
        self.assertEqual((order, message["key"], message["state"]), ("replica-state", URLS[0], "maint"))


class CannotBeStarted(SynchronousTestCase):
    """There is no process to be had for a worker."""

    def test_counts_as_a_failure(self) -> None:
        """Its clients are lent, and a new program does not wait for it."""
        clock = Clock()
        changes: list[int] = []

        def hire(number: int, news: Any) -> Any:
            raise OSError("no more processes")

        slot = Slot(clock, 0, hire, lambda: changes.append(slot.failures))
        slot.fill()
        clock.advance(0.1)
        self.assertEqual(changes, [1, 2])
        slot.give_up()
        self.assertEqual(clock.getDelayedCalls(), [])
