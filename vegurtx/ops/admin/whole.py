"""The program with workers, as the admin API sees it: all processes are asked, and what they say is added up.

It runs in the supervisor. A worker that does not answer in time is counted with what it has told last (``silent``), and
one that has gone stays in all counts.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, fail
from twisted.python.failure import Failure

import twisted
from vegurtx import __version__
from vegurtx.ops.admin.answers import Refusal
from vegurtx.ops.admin.merged_services import merged_services
from vegurtx.ops.admin.program import without_secrets
from vegurtx.ops.live import merge, snapshot
from vegurtx.ops.metrics.census import Census
from vegurtx.ops.metrics.families import Family, from_json, merged, without_opinions
from vegurtx.ops.metrics.traffic import Traffic
from vegurtx.ops.workers.questions import Refused, Silent
from vegurtx.ops.workers.reports import Reports
from vegurtx.ops.workers.service_counts import add_counts
from vegurtx.ops.workers.supervisor import Supervisor
from vegurtx.ops.workers.worker import State, Worker

#: seconds that workers have to read files again: certificates and a large configuration
RELOAD_LIMIT = 30.0
#: the family that is about the whole: one worker that leaves is no end of the program
_OF_THE_WHOLE = "vegurtx_draining"
_REPLICA_STATES = ("ready", "drain", "maint")
#: of workers, as metrics and answers name them
_STATES = (*(state.value for state in State if state is not State.GONE), "silent")


class WholeProgram:
    """A supervisor and its workers. See `vegurtx.ops.admin.program.Program`.

    :param reports: the workers' numbers.
    :param settings: of the whole: a `Settings`.
    :param drain: begins the program's end.
    :param wall: the time of day, in seconds since the epoch.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        reports: Reports,
        reactor: Any,
        *,
        settings: Any,
        drain: Callable[[], object],
        wall: Callable[[], float],
    ) -> None:
        self._supervisor = supervisor
        self._reports = reports
        self._reactor = reactor
        self._settings = settings
        self._drain = drain
        self._wall = wall
        self._started_at = wall()
        self._started = reactor.seconds()

    # -- what is known ---------------------------------------------------------------------------------------------

    def ready(self) -> str:
        """See `Program`."""
        if self._supervisor.stopping:
            return "draining"
        return "" if self._supervisor.serves else "no worker serves"

    def snapshot(self) -> Deferred[list[Family]]:
        """See `Program`. With families of its own; see docs/workers.md."""
        return self._reports.gather("metrics").addCallback(self._merged_metrics)

    def _merged_metrics(self, _: object) -> list[Family]:
        every: list[list[Family]] = []
        serving: list[list[Family]] = []
        for worker, values in self._reports.of("metrics"):
            families = from_json(values)
            (serving if worker.state is State.READY else every).append(families)
        # Who leaves, or does not come up, has an old configuration and old health: its word does not count.
        every = [without_opinions(each) for each in every] if serving else every
        whole = merged([*serving, *every, self._reports.ended.families, self._own_metrics()])
        return [each for each in whole if each.name != _OF_THE_WHOLE] + [self._draining()]

    def _draining(self) -> Family:
        draining = Family(
            _OF_THE_WHOLE, "gauge", "1: no more clients are taken, and the program ends.", (), "max"
        )
        draining.add(int(self._supervisor.stopping))
        return draining

    def _own_metrics(self) -> list[Family]:
        version = Family("vegurtx_build_info", "gauge", "1, and the version.", ("version",), "max")
        version.add(1, __version__)
        workers = Family("vegurtx_workers", "gauge", "Worker processes, by their state.", ("state",))
        for state in _STATES:
            workers.add(0, state)
        for worker in self._supervisor.workers:
            workers.add(1, _state(worker))
        ends = Family(
            "vegurtx_worker_ends_total",
            "counter",
            "Worker processes that have ended: in order (asked), or not (died).",
            ("cause",),
        )
        for cause, count in self._reports.ended.deaths.items():
            ends.add(count, cause)
        return [version, workers, ends]

    def live(self) -> Deferred[dict[str, Any]]:
        """See `Program`."""
        return self._reports.gather("live").addCallback(self._merged_live)

    def _merged_live(self, _: object) -> dict[str, Any]:
        parts = [snapshot(_Idle(self._wall), Traffic())]  # where nobody has told anything yet
        leaving = []
        for worker, values in self._reports.of("live"):
            if worker.state is not State.READY:
                leaving.append(values["services"])
                values = {**values, "services": []}
            parts.append(values)
        ended = self._reports.ended
        if ended.live is not None:
            parts.append(ended.live)
        made = merge(parts)
        for services in leaving:
            add_counts(made["services"], services)
        add_counts(made["services"], ended.live_services)
        return {**made, "draining": self._supervisor.stopping, "workers": self._workers("live")}

    def services(self) -> Deferred[dict[str, Any]]:
        """See `Program`."""
        return self._reports.gather("services").addCallback(self._merged_services)

    def _merged_services(self, _: object) -> dict[str, Any]:
        told = self._reports.of("services")
        serving = [(worker.number, values) for worker, values in told if worker.state is State.READY]
        made = merged_services(serving)
        for worker, values in told:
            if worker.state is not State.READY:
                add_counts(made["services"], values["services"])
        add_counts(made["services"], self._reports.ended.services)
        return made

    def config(self) -> Deferred[dict[str, Any]]:
        """See `Program`. The file is as the first worker that answers has it in force."""
        return self._first_config(self._serving())

    def _first_config(self, workers: list[Worker]) -> Deferred[dict[str, Any]]:
        if not workers:
            return fail(Refusal(503, "no worker answers"))

        def whole(found: dict[str, Any]) -> dict[str, Any]:
            return {**found, "settings": self._own_settings()}

        def next_one(failure: Failure) -> Deferred[dict[str, Any]]:
            failure.trap(Silent, Refused)
            return self._first_config(workers[1:])

        return workers[0].ask("config").addCallbacks(whole, next_one)

    def _own_settings(self) -> Any:
        return without_secrets(self._settings.model_dump(mode="json", fallback=str))

    def process(self) -> Deferred[dict[str, Any]]:
        """See `Program`."""
        return self._reports.gather("process").addCallback(self._merged_process)

    def _merged_process(self, _: object) -> dict[str, Any]:
        told = [values for _, values in self._reports.of("process")]
        requests = sum(values["requests_total"] for values in told) + self._reports.ended.requests
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "uptime_seconds": self._reactor.seconds() - self._started,
            "python": platform.python_version(),
            "twisted": twisted.__version__,
            "reactor": type(self._reactor).__name__,
            "router": told[-1]["router"] if told else None,
            "draining": self._supervisor.stopping,
            "requests_total": requests,
            **{name: sum(values[name] for values in told) for name in Census._fields},
            "workers": self._workers("process"),
            "settings": self._own_settings(),
        }

    def _workers(self, part: str) -> list[dict[str, Any]]:
        """Each of them, with its numbers out of what it has told as `part` of its report."""
        return [self._worker(worker, (worker.report or {}).get(part)) for worker in self._supervisor.workers]

    def _worker(self, worker: Worker, told: dict[str, Any] | None) -> dict[str, Any]:
        connections = requests = None
        if told is not None and "latency" in told:  # of `live`
            connections, requests = told["connections"]["open"], sum(told["requests"].values())
        elif told is not None:
            connections, requests = told["connections"], told["requests_total"]
        return {
            "number": worker.number,
            "pid": worker.pid,
            "state": _state(worker),
            "uptime_seconds": worker.lived,
            "restarts": self._supervisor.restarts(worker),
            "former": worker in self._supervisor.former,
            "connections": connections,
            "requests_total": requests,
        }

    def _serving(self) -> list[Worker]:
        return [worker for worker in self._supervisor.workers if worker.state is State.READY]

    # -- what can be done ------------------------------------------------------------------------------------------

    def reload(self) -> Deferred[list[str]]:
        """See `Program`. All workers do; a problem that several have is said once, one that not all have with whose."""
        workers = self._serving()
        if not workers:
            raise LookupError("no worker serves")
        asking = [worker.ask("reload-files", RELOAD_LIMIT) for worker in workers]
        answers: Deferred[Any] = DeferredList(asking, consumeErrors=True)
        return answers.addCallback(_problems, workers)

    def drain(self) -> None:
        """See `Program`."""
        if self._supervisor.stopping:
            raise LookupError("it drains already")
        self._drain()

    def set_replica_state(self, service: str, key: str, state: str) -> Deferred[None]:
        """See `Program`. Workers that start later get it, too; so do those of the next program of this process.

        :raises Refusal: no worker has answered.
        """
        if state not in _REPLICA_STATES:
            raise ValueError(f"a replica is 'ready', 'drain' or 'maint', not {state!r}")
        order = {"service": service, "key": key, "state": state}
        asked = self._serving()
        if not asked:
            return fail(Refusal(503, "no worker answers"))
        asking = [worker.ask("replica-state", **order) for worker in asked]
        answers: Deferred[Any] = DeferredList(asking, consumeErrors=True)
        return answers.addCallback(self._state_is_set, asked, order)

    def _state_is_set(
        self, answers: list[tuple[bool, Any]], asked: list[Worker], order: dict[str, str]
    ) -> None:
        replica = order["service"], order["key"]
        states = self._supervisor.replica_states
        known = any(good for good, _ in answers) or replica in states
        if not known:
            if all(failure.check(Silent) for _, failure in answers):
                raise Refusal(503, "no worker answers")
            raise KeyError(order["key"])
        if order["state"] == "ready":
            states.pop(replica, None)
        else:
            states[replica] = order["state"]
        silent = {worker for (_, said), worker in zip(answers, asked, strict=True) if _is_silence(said)}
        for worker in self._supervisor.workers:
            if worker in silent or (worker not in asked and worker.state in (State.STARTING, State.READY)):
                # It was started when the answers were not there yet, and was told of another state; or it hangs, has
                # perhaps not even been asked, and shall find it when it goes on.
                worker.tell("replica-state", **order)


def _is_silence(said: Any) -> bool:
    """Whether it is no answer."""
    return isinstance(said, Failure) and said.check(Silent) is not None


class _Idle:
    """A `ProxyFactory` that has nothing to do, as far as a snapshot asks it."""

    draining = False
    connections = ()

    class client:
        pool = ()

    def __init__(self, wall: Callable[[], float]) -> None:
        self.wall = wall


def _state(worker: Worker) -> str:
    """In one word: as `State` has it, or ``silent``: it has not answered when it was asked last."""
    return "silent" if worker.silent else worker.state.value


def _problems(answers: list[tuple[bool, Any]], workers: list[Worker]) -> list[str]:
    """Each once; those that not all workers have with the worker's number."""
    told: dict[str, list[int]] = {}
    for (good, found), worker in zip(answers, workers, strict=True):
        if not good and found.check(Refused) and found.value.kind == "LookupError":
            raise LookupError(found.value.text)
        for problem in found if good else [found.getErrorMessage()]:
            told.setdefault(problem, []).append(worker.number)
    return [
        problem if len(whose) == len(workers) else f"worker {', '.join(map(str, whose))}: {problem}"
        for problem, whose in told.items()
    ]
