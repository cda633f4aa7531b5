"""Workers that only say numbers, a supervisor that has them, and the whole program above both, without a process."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.balance.balancer_case import one_service
from vegurtx import ProxyFactory
from vegurtx.balance.router import Balancer
from vegurtx.ops.admin.program import LocalProgram
from vegurtx.ops.admin.whole import WholeProgram
from vegurtx.ops.metrics import Metrics, Traffic
from vegurtx.ops.metrics.families import Family, as_json
from vegurtx.ops.workers.ended import Ended
from vegurtx.ops.workers.questions import Questions
from vegurtx.ops.workers.replica_states import ReplicaStates
from vegurtx.ops.workers.reporting import Reporting
from vegurtx.ops.workers.reports import Reports
from vegurtx.ops.workers.worker import State
from vegurtx.settings import Settings

URLS = ("http://127.0.0.1:1", "http://127.0.0.1:2")
NOON = 1_700_000_000.0


class FakeWorker:
    """A worker with a real balancer, real numbers, and no process."""

    def __init__(self, clock: Clock, number: int, states: list[list[str]] | None = None) -> None:
        self.number = number
        self.pid = 1000 + number
        self.state = self.before = State.READY
        self.report: Any = None
        self.silent = False
        self.lived = 5.0
        self.hangs = False
        self.told: list[Any] = []
        self.problems: Any = []
        self.balancer = Balancer(one_service(*URLS), reactor=clock)
        factory = self.factory = ProxyFactory(self.balancer, reactor=clock)
        factory.wall = lambda: NOON
        self.traffic = Traffic()
        factory.observer = self.traffic
        self.program = LocalProgram(
            factory, Metrics(factory, self.traffic, balancer=self.balancer), balancer=self.balancer
        )
        self.requests = 0
        self.states = ReplicaStates(self.program, states or [])
        self.reporting = Reporting(self.program, number)
        self._questions = Questions(clock, self._sent)

    def serve(self, count: int, place: int = 0) -> None:
        """So many requests are had by one of the replicas."""
        self.requests += count
        service = self.balancer.services["web"]
        for _ in range(count):
            service.took(service.replicas[place])

    def drains(self) -> None:
        """It has been told to end."""
        self.factory.draining = True

    def ask(self, order: str, limit: float = 2.0, /, **more: Any) -> Deferred[Any]:
        """As a worker: it answers at once, or never."""
        return self._questions.ask({"order": order, **more}, limit)

    def tell(self, order: str, descriptors: Any = (), /, **more: Any) -> bool:
        """It is noted."""
        self.told.append((order, more))
        return True

    def _sent(self, message: dict[str, Any]) -> bool:
        self.told.append((message["order"], message))
        self._waiting = message
        return True

    def answer(self) -> None:
        """To what was asked last, if it does not hang."""
        message, self._waiting = self._waiting, {}
        if self.hangs or not message:
            return
        said: dict[str, Any] = {"answer": message["question"]}
        try:
            said["value"] = self._followed(message)
        except (LookupError, ValueError) as error:
            said["refusal"] = [type(error).__name__, str(error.args[0])]
        self._questions.answered(said)

    def _followed(self, message: dict[str, Any]) -> Any:
        match message["order"]:
            case "report":
                return self.reported(message["part"])
            case "config":
                return self.program.config()
            case "reload-files":
                if isinstance(self.problems, Exception):
                    raise self.problems
                return self.problems
            case "replica-state":
                self.states.set(message["service"], message["key"], message["state"])

    def reported(self, part: str) -> Any:
        """What it says of itself; of requests, those that it was told to have had."""
        found = self.reporting.part(part)
        if part == "metrics":
            requests = Family("vegurtx_requests_total", "counter", "", ("listener", "code_class", "method"))
            requests.add(self.requests, "http", "2xx", "GET")
            values = [each for each in found if each[0] != requests.name]
            return [*values, *as_json([requests])]
        if part == "live":
            found["requests"]["2xx"] = self.requests
            found["connections"]["open"] = 3
            found["in_flight"] = 2
        if part == "process":
            found["requests_total"] = self.requests
        return found

    _waiting: dict[str, Any] = {}


class FakeSupervisor:
    """Has workers."""

    def __init__(self, workers: list[FakeWorker]) -> None:
        self.workers = workers
        self.former: list[FakeWorker] = []
        self.replica_states: dict[tuple[str, str], str] = {}
        self.stopping = False

    @property
    def serves(self) -> bool:
        """As a supervisor."""
        return any(worker.state is State.READY for worker in self.workers)

    def restarts(self, worker: FakeWorker) -> int:
        """As a supervisor."""
        return 4


class WholeCase(SynchronousTestCase):
    """A whole program with two workers."""

    def setUp(self) -> None:
        """It runs."""
        self.clock = Clock()
        self.workers = [FakeWorker(self.clock, number) for number in (0, 1)]
        self.supervisor = FakeSupervisor(self.workers)
        self.reports = Reports(self.clock, lambda: self.supervisor.workers, Ended())  # type: ignore[arg-type, return-value]
        self.drained = 0
        self.whole = self.program(self.reports)

    def program(self, reports: Reports) -> WholeProgram:
        """With these reports."""
        return WholeProgram(
            self.supervisor,  # type: ignore[arg-type]
            reports,
            self.clock,
            settings=Settings(),
            drain=self.drain,
            wall=lambda: NOON,
        )

    def drain(self) -> None:
        """It has been told to."""
        self.drained += 1
        self.supervisor.stopping = True

    def said(self, asking: Deferred[Any]) -> Any:
        """The answer, once all have answered who do."""
        for worker in list(self.supervisor.workers):
            worker.answer()
        return self.successResultOf(asking)

    def metrics(self) -> dict[str, dict[tuple[str, ...], Any]]:
        """By name."""
        return {family.name: family.samples for family in self.said(self.whole.snapshot())}

    def ends(self, worker: FakeWorker, *, killed: bool = False) -> None:
        """It has gone; unless it was killed, it has told everything before."""
        if not killed:
            worker.report = {
                part: worker.reported(part) for part in ("metrics", "live", "services", "process")
            }
            worker.before = State.LEAVING
        worker.state = State.GONE
        self.supervisor.workers.remove(worker)
        self.reports.has_gone(worker)  # type: ignore[arg-type]
