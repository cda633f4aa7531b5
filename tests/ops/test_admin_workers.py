"""The admin API's program with workers: what all say is added up, nothing goes backwards, and a hung one is no wall."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.ops.whole_case import NOON, URLS, FakeWorker, WholeCase
from vegurtx.ops.admin.answers import Refusal
from vegurtx.ops.workers import ended as ended_module
from vegurtx.ops.workers.ended import Ended
from vegurtx.ops.workers.questions import ANSWER_LIMIT
from vegurtx.ops.workers.reports import PARTS, REPORT_INTERVAL, Reports
from vegurtx.ops.workers.worker import State

PAGE = Path(__file__).resolve().parents[2] / "docs" / "workers.md"
REQUESTS = ("http", "2xx", "GET")


class Numbers(WholeCase):
    """`snapshot` and `live`."""

    def requests(self) -> Any:
        """How many the metrics show."""
        return self.metrics()["vegurtx_requests_total"][REQUESTS]

    def test_added_up(self) -> None:
        """Counts are sums, and each worker's are there by its place."""
        self.workers[0].serve(3)
        self.workers[1].serve(4)
        found = self.metrics()
        self.assertEqual(found["vegurtx_requests_total"], {REQUESTS: 7})
        self.assertEqual(found["vegurtx_replica_in_flight"], {("web", URLS[0]): 7, ("web", URLS[1]): 0})
        self.assertEqual(set(found["vegurtx_worker_requests_total"]), {("0",), ("1",)})
        self.assertEqual(found["vegurtx_workers"][("ready",)], 2)
        self.assertEqual(found["vegurtx_draining"], {(): 0})

    def test_ended(self) -> None:
        """One that has gone stays in the counts, and not in what goes on."""
        self.workers[0].serve(3)
        self.workers[1].serve(4)
        self.ends(self.workers[0])
        self.supervisor.workers.append(FakeWorker(self.clock, 0))
        found = self.metrics()
        self.assertEqual(found["vegurtx_requests_total"], {REQUESTS: 7})
        self.assertEqual(found["vegurtx_replica_in_flight"][("web", URLS[0])], 4)
        self.assertEqual(found["vegurtx_replica_tries_total"][("web", URLS[0])], 7)
        self.assertEqual(found["vegurtx_worker_ends_total"], {("asked",): 1, ("died",): 0})

    def test_killed(self) -> None:
        """One that was killed is counted as it was when it was asked last."""
        self.workers[0].serve(3)
        self.assertEqual(self.requests(), 3)
        self.workers[0].serve(100)
        self.ends(self.workers[0], killed=True)
        self.assertEqual(self.requests(), 3)
        self.assertEqual(self.metrics()["vegurtx_worker_ends_total"], {("asked",): 0, ("died",): 1})

    def test_killed_at_last(self) -> None:
        """Each answer goes on from what it has said itself, however old the other answers are."""
        victim = self.workers[0]
        asks = (self.whole.snapshot, self.whole.live, self.whole.services, self.whole.process)
        said = []
        for ask in asks:
            victim.serve(1)
            said.append(self.said(ask()))
        self.ends(victim, killed=True)
        self.assertEqual(self.requests(), 1)
        self.assertEqual(self.said(self.whole.live())["requests"]["2xx"], 2)
        self.assertEqual(self.said(self.whole.live())["services"][0]["total"], 2)
        self.assertEqual(self.said(self.whole.services())["services"][0]["total"], 3)
        self.assertEqual(self.said(self.whole.process())["requests_total"], 4)

    def test_hung(self) -> None:
        """The answer waits for nobody for longer than the limit; who is silent is counted as before, and said so."""
        for worker in self.workers:
            worker.serve(5)
        self.assertEqual(self.requests(), 10)
        self.workers[1].hangs = True
        self.workers[0].serve(1)
        asking = self.whole.snapshot()
        for worker in self.workers:
            worker.answer()
        self.assertNoResult(asking)
        self.clock.advance(ANSWER_LIMIT)
        found = {family.name: family.samples for family in self.successResultOf(asking)}
        self.assertEqual(found["vegurtx_requests_total"], {REQUESTS: 11})
        self.assertEqual(found["vegurtx_workers"][("silent",)], 1)
        self.assertEqual(found["vegurtx_workers"][("ready",)], 1)
        self.workers[1].hangs = False
        self.assertEqual(self.requests(), 11)
        self.assertEqual(self.metrics()["vegurtx_workers"][("silent",)], 0)

    def test_next_program(self) -> None:
        """What those who have gone have counted goes on to the next program of this process, as JSON does."""
        self.workers[0].serve(3)
        self.ends(self.workers[0])
        left = Ended.of(self.reports.ended.message())
        self.whole = self.program(Reports(self.clock, lambda: self.supervisor.workers, left))  # type: ignore[arg-type, return-value]
        self.workers[0].serve(1)
        found = self.metrics()
        self.assertEqual(found["vegurtx_requests_total"], {REQUESTS: 4})
        self.assertEqual(found["vegurtx_worker_ends_total"][("asked",)], 1)

    def test_opinions_of_who_leaves(self) -> None:
        """A worker that leaves is added up; what it takes for down or for new is nobody's business any more."""
        leaving = self.workers[1]
        leaving.serve(2)
        replica = leaving.balancer.services["web"].replicas[0]
        replica.healthy = False
        self.assertEqual(self.metrics()["vegurtx_replica_up"][("web", URLS[0])], 0)
        leaving.state = State.LEAVING
        found = self.metrics()
        self.assertEqual(found["vegurtx_replica_up"][("web", URLS[0])], 1)
        self.assertEqual(found["vegurtx_requests_total"], {REQUESTS: 2})
        self.assertEqual(found["vegurtx_workers"][("leaving",)], 1)

    def test_one_drains(self) -> None:
        """That is no end of the program, and each family is there once."""
        self.workers[0].state = State.LEAVING
        self.workers[0].drains()
        families = self.said(self.whole.snapshot())
        names = [family.name for family in families]
        self.assertEqual(len(names), len(set(names)))
        (draining,) = [family for family in families if family.name == "vegurtx_draining"]
        self.assertEqual(draining.samples, {(): 0})

    def test_bound(self) -> None:
        """What nobody knows any more is forgotten when it becomes too much, not before."""
        gone, service = self.workers[0], self.workers[0].balancer.services["web"]
        for number in range(3):
            gone.serve(1)
            service.replicas[0].key = f"http://old-{number}"
            gone.report = {part: gone.reported(part) for part in PARTS}
            self.reports.ended.add(gone.report, asked=True)
        ended = self.reports.ended
        name = "vegurtx_replica_tries_total"
        self.assertEqual(len(self.metrics()[name]), 5)
        self.said(self.whole.live())
        self.patch(ended_module, "MOST_SAMPLES", 10)
        service.replicas[0].key = URLS[0]
        self.ends(self.workers[0])
        self.assertEqual(set(self.metrics()[name]), {("web", URLS[0]), ("web", URLS[1])})
        for services in (ended.services, ended.live_services):
            self.assertEqual([each["key"] for each in services[0]["replicas"]], [URLS[1], URLS[0]])

    def test_asked_by_itself(self) -> None:
        """Now and then all are asked though nobody wants to know, so that little is lost with one that is killed."""
        self.reports.start()
        for part in PARTS:
            self.clock.advance(REPORT_INTERVAL / len(PARTS))
            for worker in self.workers:
                self.assertEqual(worker.told[-1][1]["part"], part)
                worker.answer()
        for worker in self.workers:
            self.assertEqual(set(worker.report), set(PARTS))
        self.reports.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_round_at_a_time(self) -> None:
        """However many ask, workers are asked once, and then once more for those who came meanwhile."""
        first = self.whole.snapshot()
        late = [self.whole.snapshot() for _ in range(5)]
        self.assertEqual([len(worker.told) for worker in self.workers], [1, 1])
        self.said(first)
        self.assertNoResult(late[0])
        self.workers[0].serve(1)
        for asking in [self.said(late[0]), *map(self.successResultOf, late[1:])]:
            families = {family.name: family.samples for family in asking}
            self.assertEqual(families["vegurtx_requests_total"], {REQUESTS: 1})
        self.assertEqual([len(worker.told) for worker in self.workers], [2, 2])

    def test_live(self) -> None:
        """As the metrics: sums, those who have gone, no more of their open connections; and the workers themselves."""
        self.workers[0].serve(3)
        self.workers[1].serve(4)
        made = self.said(self.whole.live())
        self.assertEqual((made["requests"]["2xx"], made["connections"]["open"], made["time"]), (7, 6, NOON))
        self.assertEqual([each["requests_total"] for each in made["workers"]], [3, 4])
        self.metrics()
        self.ends(self.workers[0])
        made = self.said(self.whole.live())
        self.assertEqual((made["requests"]["2xx"], made["connections"]["open"]), (7, 3))
        self.assertEqual(made["in_flight"], 2)
        self.assertEqual(made["services"][0]["replicas"][0]["total"], 7)
        self.assertEqual(made["services"][0]["in_flight"], 4)

    def test_nobody_there(self) -> None:
        """Before the first worker is ready there are numbers: none."""
        for worker in self.workers:
            worker.state = State.STARTING
        self.assertEqual(self.said(self.whole.live())["requests"]["2xx"], 0)
        self.assertEqual(self.metrics()["vegurtx_workers"][("starting",)], 2)
        self.assertEqual(self.said(self.whole.services()), {"services": [], "names": []})


class Services(WholeCase):
    """`services`."""

    def test_added_up(self) -> None:
        """Counts, those of who has gone included; and what goes on."""
        self.workers[0].serve(3)
        self.workers[1].serve(4, place=1)
        self.workers[1].balancer.services["web"].replicas[1].failed("timeout")
        (service,) = self.said(self.whole.services())["services"]
        self.assertEqual((service["total"], service["in_flight"]), (7, 7))
        self.assertEqual([each["total"] for each in service["replicas"]], [3, 4])
        self.ends(self.workers[1])
        (service,) = self.said(self.whole.services())["services"]
        self.assertEqual((service["total"], service["in_flight"]), (7, 3))
        self.assertEqual([each["total"] for each in service["replicas"]], [3, 4])
        self.assertEqual(service["replicas"][1]["errors"], {"timeout": 1})

    def test_seen_differently(self) -> None:
        """The worst counts, and who sees what is said; where all agree, it is not."""
        self.workers[1].balancer.services["web"].replicas[0].healthy = False
        (service,) = self.said(self.whole.services())["services"]
        first, second = service["replicas"]
        self.assertEqual((first["state"], first["states_by_worker"]), ("down", {"0": "up", "1": "down"}))
        self.assertEqual(second["state"], "up")
        self.assertNotIn("states_by_worker", second)

    def test_one_leaves(self) -> None:
        """Its counts stay in the sums, in both answers; its opinions, and replicas that it alone has, do not."""
        for worker in self.workers:
            worker.serve(2)
        leaving = self.workers[1]
        first, second = leaving.balancer.services["web"].replicas
        first.healthy = False
        second.key = "of the old configuration"
        leaving.state = State.LEAVING
        for made in (self.said(self.whole.services()), self.said(self.whole.live())):
            (service,) = made["services"]
            self.assertEqual((service["total"], service["in_flight"]), (4, 4))
            self.assertEqual([each["key"] for each in service["replicas"]], list(URLS))
            first = service["replicas"][0]
            self.assertEqual((first["total"], first["in_flight"], first["state"]), (4, 4, "up"))

    def test_replica_state(self) -> None:
        """All workers put it into the state; those who come later get it, and it can be taken back."""
        self.said(self.whole.set_replica_state("web", URLS[0], "maint"))
        for worker in self.workers:
            self.assertEqual(worker.balancer.services["web"].replicas[0].admin, "maint")
        states = [[*replica, state] for replica, state in self.supervisor.replica_states.items()]
        late = FakeWorker(self.clock, 2, states)
        late.states.apply()
        self.assertEqual(late.balancer.services["web"].replicas[0].admin, "maint")
        self.said(self.whole.set_replica_state("web", URLS[0], "ready"))
        self.assertEqual(self.supervisor.replica_states, {})
        self.assertEqual(self.workers[0].balancer.services["web"].replicas[0].admin, "ready")

    def test_replica_that_comes_back(self) -> None:
        """A replica that is there again, after two reloads or a name's answers, gets its state again."""
        worker = self.workers[0]
        self.said(self.whole.set_replica_state("web", URLS[0], "drain"))
        worker.balancer.services["web"].replicas[0].admin = "ready"
        worker.states.apply()
        self.assertEqual(worker.balancer.services["web"].replicas[0].admin, "drain")

    def test_started_meanwhile(self) -> None:
        """A worker that was started while the others were asked is told, too."""
        asking = self.whole.set_replica_state("web", URLS[0], "drain")
        late = FakeWorker(self.clock, 2)
        late.state = State.STARTING
        self.supervisor.workers.append(late)
        self.said(asking)
        order = {"service": "web", "key": URLS[0], "state": "drain"}
        self.assertEqual(late.told, [("replica-state", order)])

    def test_replica_state_that_cannot_be(self) -> None:
        """An unknown replica, an unknown state, nobody who answers: nothing is remembered."""
        asking = self.whole.set_replica_state("web", "nowhere", "drain")
        for worker in self.workers:
            worker.answer()
        self.failureResultOf(asking, KeyError)
        self.assertRaises(ValueError, self.whole.set_replica_state, "web", URLS[0], "gone")
        for worker in self.workers:
            worker.hangs = True
        asking = self.whole.set_replica_state("web", URLS[0], "drain")
        self.clock.advance(ANSWER_LIMIT)
        self.assertEqual(self.failureResultOf(asking, Refusal).value.code, 503)
        self.assertEqual(self.supervisor.replica_states, {})

    def test_only_one_knows_it(self) -> None:
        """An address that only one worker has got for a name: the others will have it some day."""
        self.workers[1].balancer.services["web"].replicas[0].key = "elsewhere"
        self.said(self.whole.set_replica_state("web", URLS[0], "maint"))
        self.assertEqual(self.supervisor.replica_states, {("web", URLS[0]): "maint"})


class Doing(WholeCase):
    """`process`, `config`, `reload`, `drain`, `ready`."""

    def test_process(self) -> None:
        """The whole, and each worker; also one that has not told anything yet."""
        self.workers[0].serve(3)
        self.workers[1].serve(4)
        self.ends(self.workers[1])
        new = FakeWorker(self.clock, 1)
        new.state = State.STARTING
        self.supervisor.workers.append(new)
        made = self.said(self.whole.process())
        self.assertEqual((made["requests_total"], made["router"]), (7, "Balancer"))
        self.assertEqual(made["settings"]["max_connections"], 100000)
        first, second = made["workers"]
        self.assertEqual(
            first,
            {
                "number": 0,
                "pid": 1000,
                "state": "ready",
                "uptime_seconds": 5.0,
                "restarts": 4,
                "former": False,
                "connections": 0,
                "requests_total": 3,
            },
        )
        self.assertEqual((second["state"], second["requests_total"]), ("starting", None))

    def test_config(self) -> None:
        """Of one that answers; the settings are the whole's."""
        self.workers[0].hangs = True
        asking = self.whole.config()
        self.workers[0].answer()
        self.clock.advance(ANSWER_LIMIT)
        made = self.said(asking)
        self.assertEqual(made["file"]["services"][0]["name"], "web")
        self.assertEqual(made["settings"]["max_connections"], 100000)
        self.supervisor.workers.clear()
        self.assertEqual(self.failureResultOf(self.whole.config(), Refusal).value.code, 503)

    def test_reload(self) -> None:
        """A problem that all have is said once, one that only some have with whose it is."""
        self.workers[0].problems = ["config.yaml:1: bad", "key.pem: cannot be read"]
        self.workers[1].problems = ["config.yaml:1: bad"]
        found = self.said(self.whole.reload())
        self.assertEqual(found, ["config.yaml:1: bad", "worker 0: key.pem: cannot be read"])

    def test_reload_with_one_that_hangs(self) -> None:
        """It is named."""
        self.workers[1].hangs = True
        asking = self.whole.reload()
        for worker in self.workers:
            worker.answer()
        self.clock.advance(60)
        self.assertEqual(self.successResultOf(asking), ["worker 1: it does not answer"])

    def test_nothing_to_reload(self) -> None:
        """As one process says it."""
        for worker in self.workers:
            worker.problems = LookupError("there is nothing")
        asking = self.whole.reload()
        for worker in self.workers:
            worker.answer()
        self.assertEqual(str(self.failureResultOf(asking, LookupError).value), "there is nothing")
        self.supervisor.workers.clear()
        self.assertRaises(LookupError, self.whole.reload)

    def test_ready(self) -> None:
        """One that serves is enough; whoever drains is not ready."""
        self.assertEqual(self.whole.ready(), "")
        self.workers[0].state = State.STARTING
        self.assertEqual(self.whole.ready(), "")
        self.workers[1].state = State.LEAVING
        self.assertEqual(self.whole.ready(), "no worker serves")
        self.whole.drain()
        self.assertEqual((self.whole.ready(), self.drained), ("draining", 1))
        self.assertRaises(LookupError, self.whole.drain)
        self.assertEqual(self.metrics()["vegurtx_draining"], {(): 1})


class Docs(WholeCase):
    """docs/workers.md."""

    def test_names_and_labels(self) -> None:
        """Its table has each family that only a program with workers has, and no other."""
        alone = {family.name for family in self.workers[0].program.snapshot()}
        found = {
            family.name: family.labels
            for family in self.said(self.whole.snapshot())
            if family.name not in alone
        }
        table = {}
        for line in PAGE.read_text("utf-8").splitlines():
            if line.startswith("| `vegurtx_"):
                (name,), labels = (re.findall(r"`([a-z_]+)`", cell) for cell in line.split("|")[1:3])
                table[name] = tuple(labels)
        self.assertEqual(table, found)
