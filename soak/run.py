"""One soak from its start to its report: everything is put together here."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from soak.admin import Admin
from soak.audit import Audit
from soak.backends_at import Backends
from soak.children import Child, ChildFailed, started
from soak.configuration import Configuration
from soak.disturbances import Disturbances
from soak.measure import held
from soak.program import Program, ProgramFailed
from soak.quiet import QuietPoints
from soak.report import held_as_json, repeat
from vegurtx.testing.authority import Authority

#: seconds between samples
SAMPLE = 10.0
#: findings after which it makes no sense to go on
ENOUGH = 200


class Choice(NamedTuple):
    """What the command line asks for."""

    minutes: float
    rate: float
    """Conversations that begin in a second."""
    mode: str
    """``single`` or ``workers``."""
    seed: int
    folder: Path
    """Where everything is written."""
    quiet_every: float
    """Seconds between quiet points."""
    only: tuple[int, ...] = ()
    """Conversations to make, in place of the load."""
    times: int = 20
    """How often each of them."""
    reactor: str = ""
    """The program's; empty: it chooses."""


class Soak:
    """See the module's text.

    :param choice: what is asked for.
    """

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.findings: list[dict[str, Any]] = []
        self._began = time.monotonic()
        self._stopped = asyncio.Event()
        self._samples: list[dict[str, Any]] = []
        self._load: Child | None = None
        self._load_counts: dict[str, int] = {}
        folder = choice.folder
        authority = Authority()
        self._authority = authority.save(folder)
        self._certificate = authority.issue("soak.example").save(folder)
        self._backends = Backends(self._certificate)
        self._configuration = Configuration(folder / "config.yaml", self._backends.ports, self._authority)
        self._audit = Audit(folder)
        # The path of a UNIX socket is short; the program runs in this folder.
        self._program = Program(folder, self._arguments())
        self._admin = Admin(str(folder / "admin.sock"))
        self._disturbed: Counter[str] = Counter()
        warm_up = 1 if choice.minutes < 3 else 2
        self._quiet = QuietPoints(self._program, self._admin, self._seconds, warm_up=warm_up)

    def _arguments(self) -> list[str]:
        certificate, key = map(str, self._certificate)
        arguments = [
            *("--config", "config.yaml", "--interface", "127.0.0.1", "--port", "0", "--https-port", "0")
        ]
        arguments += ["--certificate", certificate, "--private-key", key]
        arguments += ["--admin-port", "unix:admin.sock", "--access-log", "access.log", "--log-format", "json"]
        arguments += ["--workers", "2"] if self.choice.mode == "workers" else []
        return arguments + (["--reactor", self.choice.reactor] if self.choice.reactor else [])

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def found(self, what: str, conversation: int = -1, kind: str = "") -> None:
        """Note a finding, and print it at once, with what is needed to have it again."""
        self.findings.append(
            {"at": round(self._seconds(), 1), "what": what, "conversation": conversation, "kind": kind}
        )
        print(f"FINDING after {self._seconds():.1f} s: {kind} {what}", flush=True)
        if conversation >= 0:
            print(f"    again: {repeat(self.choice.seed, conversation, self.choice.mode)}", flush=True)

    # -- its course ------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End early, at a quiet point, with a report."""
        self._stopped.set()

    async def run(self) -> dict[str, Any]:
        """Run it; returns the report."""
        told: dict[str, Any] = {"counts": {}, "malformed": []}
        try:
            async with self._everything():
                if self.choice.only:
                    await self._repeat()
                else:
                    await self._soak()
                told = await self._backends.report()
                for problem in told["malformed"]:
                    self.found(f"a back-end has got what no proxy may send: {problem}")
        except (ChildFailed, ProgramFailed) as failed:
            self.found(f"the soak ends early: {failed}")
        for problem in self._quiet.verdict():
            self.found(problem)
        return self._report(told["counts"])

    @contextlib.asynccontextmanager
    async def _everything(self) -> AsyncIterator[None]:
        """All processes, from their start to their end."""
        try:
            await self._backends.start_all()
            self._configuration.write()
            await self._program.start()
            self._began = time.monotonic()
            self._load = await self._started_load()
            yield
            self._look_at_log()
            status = await self._program.stop()
            if status:
                self.found(f"the program has ended with status {status}")
            self._look_at_log()
        finally:
            self._program.kill()
            if self._load is not None:
                await self._load.end()
            await self._backends.end()

    async def _started_load(self) -> Child:
        program, choice = self._program, self.choice
        return await started(
            "soak.load",
            [
                *("--seed", str(choice.seed), "--rate", str(choice.rate)),
                *("--http", str(program.http), "--https", str(program.https)),
                *("--authority", str(self._authority), "--ledger", str(self._audit.ledger)),
            ],
            lambda said: self.found(said["finding"], said["conversation"], said["kind"]),
        )

    async def _soak(self) -> None:
        assert self._load is not None
        disturbances = Disturbances(
            self.choice.seed,
            *(
                self._program,
                self._admin,
                self._configuration,
                self._backends,
                self._load,
                self._audit,
                self.found,
            ),
            workers=self.choice.mode == "workers",
            every=self.choice.quiet_every,
        )
        self._disturbed = disturbances.counts
        sampling = asyncio.create_task(self._sample())
        disturbances.start()
        try:
            left = self.choice.minutes * 60
            while left > 0 and len(self.findings) < ENOUGH and not self._stopped.is_set():
                await self._load.order("resume")
                part = min(left, self.choice.quiet_every)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), part)
                left -= part
                await self._look(disturbances)
        finally:
            sampling.cancel()
            await disturbances.stop()

    async def _look(self, disturbances: Disturbances) -> None:
        """A quiet point."""
        assert self._load is not None
        await disturbances.pause()
        self._load_counts = (await self._load.order("pause"))["counts"]
        for problem in await self._quiet.measure():
            self.found(problem)
        await self._compare_log()
        disturbances.resume()
        print(
            f"{self._seconds():7.0f} s: {self._load_counts.get('conversations', 0)} conversations, "
            f"{self._load_counts.get('bodies checked', 0)} bodies checked, {len(self.findings)} findings",
            flush=True,
        )

    async def _repeat(self) -> None:
        """Make some conversations again and again, without any disturbance."""
        assert self._load is not None
        for number in self.choice.only * self.choice.times:
            self._load_counts = (await self._load.order("only", number=number))["counts"]
            await asyncio.sleep(1.2)  # the access log's lines
            await self._compare_log()

    async def _compare_log(self) -> None:
        await asyncio.sleep(1.0)  # the access log is written every half second
        for conversation, kind, problem in self._audit.settle():
            self.found(problem, conversation, kind)
        self._look_at_log()

    def _look_at_log(self) -> None:
        for complaint in self._program.complaints():
            self.found(f"the program says: {complaint}")

    async def _sample(self) -> None:
        while True:
            for pid in self._program.processes():
                now = held(pid, round(self._seconds(), 1))
                if now is not None:
                    sample = {"at": now.at, "pid": pid, "memory": now.memory, "resident": now.resident}
                    self._samples.append(sample | {"open": now.open})
            if not self._program.running:
                self.found("the program has ended by itself")
                return
            await asyncio.sleep(SAMPLE)

    def _report(self, backends: dict[str, dict[str, int]]) -> dict[str, Any]:
        merged: Counter[str] = Counter()
        for counts in backends.values():
            merged.update(counts)
        return {
            "minutes": self._seconds() / 60,
            "mode": self.choice.mode,
            "seed": self.choice.seed,
            "rate": self.choice.rate,
            "load": self._load_counts,
            "disturbances": dict(self._disturbed),
            "log": dict(self._audit.counts),
            "backends": dict(merged),
            "quiet": {name: held_as_json(series) for name, series in self._quiet.series.items()},
            "moments": self._quiet.moments,
            "samples": self._samples,
            "findings": self.findings,
        }
