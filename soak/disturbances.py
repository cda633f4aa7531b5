"""What an operator does, and what goes wrong around the proxy, while the load goes on.

Reloads with other files, and with one that cannot be used; replicas drained and taken out by hand; back-ends killed and
stopped; the access log moved away; workers ended and killed; the program upgraded. Each is a task of its own; all of
them wait at a quiet point.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from soak.admin import Admin, AdminFailed
from soak.audit import Audit
from soak.backends_at import Backends
from soak.children import Child
from soak.configuration import SPARE, Configuration
from soak.outcome import Finding
from soak.program import Program

#: seconds in which the workers must all be there again: a restart waits up to ten, after several deaths
_WORKERS_PATIENCE = 60.0


class Disturbances:
    """See the module's text.

    :param found: takes what is found, in words.
    :param workers: whether there are any.
    :param every: seconds between quiet points: what is rare happens about once between two of them.
    """

    def __init__(
        self,
        seed: int,
        program: Program,
        admin: Admin,
        configuration: Configuration,
        backends: Backends,
        load: Child,
        audit: Audit,
        found: Callable[[str], None],
        *,
        workers: bool,
        every: float,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._random = Random(f"{seed}/disturbances")
        self._program = program
        self._admin = admin
        self._configuration = configuration
        self._backends = backends
        self._load = load
        self._audit = audit
        self._found = found
        self._upgrading = False
        self._file = asyncio.Lock()  # a worker that starts must find a good one
        short = min(1.0, every / 60)
        self._plan: list[tuple[Callable[[], Awaitable[None]], float, float]] = [
            (self._reload, 3.0, 6.0),
            (self._replica, 2.0, 5.0),
            (self._mortal, 5.0 * short + 1, 15.0 * short + 1),
            (self._rotate, 20.0 * short + 1, 40.0 * short + 1),
        ]
        if workers:
            self._plan.append((self._worker, 15.0 * short + 1, 45.0 * short + 1))
            # Rare: a worker that is not replaced for long shows what it holds on to.
            rare = min(6 * every, 900.0) if every > 60 else 1.5 * every
            self._plan.append((self._upgrade, rare, 1.4 * rare))
        self._turns = [asyncio.Lock() for _ in self._plan]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin."""
        for (act, least, most), turn in zip(self._plan, self._turns, strict=True):
            self._tasks.append(asyncio.create_task(self._repeat(act, least, most, turn)))

    async def stop(self) -> None:
        """End them all, each where it is done."""
        await self.pause()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.resume()

    async def pause(self) -> None:
        """Wait until each is done, and let none begin."""
        for turn in self._turns:
            await turn.acquire()
        await self._workers_ready()

    def resume(self) -> None:
        """Go on."""
        for turn in self._turns:
            turn.release()

    async def _repeat(
        self, act: Callable[[], Awaitable[None]], least: float, most: float, turn: asyncio.Lock
    ) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(least, most))
            async with turn:
                try:
                    await act()
                except Exception as problem:  # one that fails does not end the others
                    self._found(f"{act.__name__.strip('_')}: {problem!r}")

    # -- the file, the log, the replicas ---------------------------------------------------------------------------

    async def _reload(self) -> None:
        invalid = self._random.random() < 0.15
        if invalid:
            async with self._file:
                self._configuration.write(self._random, invalid=True)
                self._program.signal(signal.SIGHUP)
                self.counts["reloads of a file that cannot be used"] += 1
                await asyncio.sleep(1.5)  # until it has been read, on a busy machine, too
                self._configuration.write(self._random)
        else:
            self._configuration.write(self._random)
        self._program.signal(signal.SIGHUP)
        self.counts["reloads"] += 1

    async def _replica(self) -> None:
        service, index = self._random.choice(SPARE)
        key = self._configuration.replicas(service)[index]["url"]
        state = self._random.choice(("drain", "maint"))
        with contextlib.suppress(AdminFailed) if self._upgrading else contextlib.nullcontext():
            if await self._admin.set_replica_state(service, key, state):
                self.counts[f"replicas in {state}"] += 1
            await asyncio.sleep(self._random.uniform(0.3, 2.0))
            await self._admin.set_replica_state(service, key, "ready")

    async def _rotate(self) -> None:
        self._audit.rotate()
        self._program.signal(signal.SIGUSR1)
        self.counts["logs opened again"] += 1
        await asyncio.sleep(2.0)  # what waits to be written still goes into the old file

    # -- back-ends -------------------------------------------------------------------------------------------------

    async def _mortal(self) -> None:
        name = self._random.choice(("mortal0", "mortal1"))
        if self._random.random() < 0.3:
            self.counts["back-ends stopped for a while"] += 1
            self._backends.signal(name, signal.SIGSTOP)
            await asyncio.sleep(self._random.uniform(0.3, 1.5))
            self._backends.signal(name, signal.SIGCONT)
            return
        self.counts["back-ends killed"] += 1
        async with self._window("mortal-kill"):
            await self._backends.kill(name)
            await asyncio.sleep(self._random.uniform(0.2, 2.0))
            await self._backends.start(name)
            await asyncio.sleep(2.5)  # until probes have found it again

    # -- workers ---------------------------------------------------------------------------------------------------

    async def _worker(self) -> None:
        """The youngest one goes, so that there is an old one."""
        if self._upgrading:
            return
        ready = await self._ready_workers()
        if len(ready) < 2:
            return
        victim = min(ready, key=lambda worker: worker["uptime_seconds"])["pid"]
        kill = self._random.random() < 0.4
        self.counts["workers killed" if kill else "workers ended"] += 1
        async with self._file:
            async with self._window("worker-kill" if kill else "drain"):
                self._program.kill_worker(victim, signal.SIGKILL if kill else signal.SIGTERM)
                if kill:
                    self._audit.lines_lost()
                await self._gone({victim})
            await self._workers_ready()

    async def _upgrade(self) -> None:
        before = {worker["pid"] for worker in await self._ready_workers()}
        self._upgrading = True
        self.counts["upgrades"] += 1
        try:
            async with self._file, self._window("drain"):
                self._program.signal(signal.SIGUSR2)
                await self._gone(before)
                await self._workers_ready()
        finally:
            self._upgrading = False

    async def _ready_workers(self) -> list[dict[str, Any]]:
        try:
            told = await self._admin.process()
        except AdminFailed:
            return []
        return [
            worker
            for worker in told.get("workers", ())
            if worker["state"] == "ready" and not worker["former"]
        ]

    async def _gone(self, pids: set[int]) -> None:
        """Wait until these workers have ended."""
        deadline = asyncio.get_running_loop().time() + _WORKERS_PATIENCE
        while pids & set(self._program.processes()):
            if asyncio.get_running_loop().time() > deadline:
                raise Finding(f"workers {pids} do not end within {_WORKERS_PATIENCE:.0f} s")
            await asyncio.sleep(0.1)

    async def _workers_ready(self) -> None:
        """Wait until all are ready, and none is on its way out; without workers there is nothing to wait for."""
        deadline = asyncio.get_running_loop().time() + _WORKERS_PATIENCE
        while True:
            with contextlib.suppress(AdminFailed):
                workers = (await self._admin.process()).get("workers")
                if workers is None or (
                    len(workers) == 2 and all(each["state"] == "ready" for each in workers)
                ):
                    return
            if asyncio.get_running_loop().time() > deadline:
                raise Finding(f"the workers are not ready within {_WORKERS_PATIENCE:.0f} s")
            await asyncio.sleep(0.3)

    @contextlib.asynccontextmanager
    async def _window(self, what: str) -> Any:
        await self._load.order("begin", what=what)
        try:
            yield
        finally:
            await self._load.order("end", what=what)
