"""Goes through the cases: starts the back-end and every proxy, and lets them carry the load in turn, round by round.

All proxies of a case run at once, and rest while another one works. So each round meets the same machine, and what
disturbs it hits all of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks import origins, procfs
from benchmarks.cases import Case
from benchmarks.certificates import NoCertificate, agreed, self_signed
from benchmarks.children import Cores, DidNotStart, ReservedPort, raise_descriptor_limit
from benchmarks.loads.sample import Sample
from benchmarks.loads.target import Target
from benchmarks.peers.contract import Peer, Setup
from benchmarks.peers.golang import CannotCompile
from benchmarks.wrk import LoadFailed

#: seconds of the load before the first round
_WARM = 1.0
#: characters of a proxy's output in the reason why it is left out
_SHOWN = 200
#: for this process with its clients, and for each of its children
_DESCRIPTORS = 40_000

Say = Callable[[str], None]


class CaseRun:
    """One case for some proxies.

    :param case: what is done.
    :param peers: the proxies, by name.
    :param rounds: how often each one carries the load.
    :param seconds: how long, where the load does not end by itself.
    :param say: is told of what is left out, and of what goes wrong.
    """

    def __init__(self, case: Case, peers: Mapping[str, Peer], rounds: int, seconds: float, say: Say) -> None:
        self.case = case
        self.samples: dict[str, list[Sample]] = {}
        """Proxy → its runs."""
        self.skipped: dict[str, str] = {}
        """Proxy → why it has none."""
        self.agreed: dict[str, str] = {}
        """Proxy → TLS version and cipher."""
        self._peers = {name: peer for name, peer in peers.items() if case.only is None or name in case.only}
        self._rounds = min(rounds, case.rounds or rounds)
        self._seconds = seconds
        self._say = say
        self._targets: dict[str, Target] = {}
        self._failed: dict[str, int] = {}

    def go(self) -> None:
        """Do it all. What fails is left out, and said; the rest goes on."""
        workers = self.case.setup.get("workers", 1)
        cores = Cores.divide(sorted(os.sched_getaffinity(0)), workers)
        raise_descriptor_limit(_DESCRIPTORS)
        with _folder() as folder, ExitStack() as stack:
            start = origins.start_files if self.case.origin == "files" else origins.start_own
            try:
                origin = stack.enter_context(start(folder, cores.load))
                secure = self_signed(folder) if self.case.secure else None
            except (DidNotStart, NoCertificate) as problem:
                self._skip_all(str(problem))
                return
            setup = Setup(origin.port, folder, cores, secure=secure, **self.case.setup)
            if not self.case.fresh:
                for name in self._peers:
                    self._start(name, setup, stack)
                for name in list(self._targets):
                    self._warm(name)
            for number in range(self._rounds):
                for name in self._peers:
                    if name in self.skipped:
                        continue
                    if self.case.fresh:
                        with ExitStack() as once:
                            if self._start(name, setup, once):
                                self._once(name, number)
                    else:
                        self._once(name, number)
        for name in list(self.samples):
            if 2 * len(self.samples[name]) < self._rounds:  # what is left says too little
                del self.samples[name]

    def _start(self, name: str, setup: Setup, stack: ExitStack) -> bool:
        peer = self._peers[name]
        if not peer.concerns(setup):
            self.skipped[name] = ""
            return False
        reason = peer.missing() or peer.refuses(setup)
        if reason is not None:
            self._skip(name, reason)
            return False
        try:
            child = stack.enter_context(peer.start(setup, ReservedPort()))
            if setup.secure is not None:
                self.agreed[name] = agreed(child.port)
        except (DidNotStart, CannotCompile, OSError) as problem:
            self._skip(name, f"it did not start: {problem}")
            return False
        self._targets[name] = Target(child, setup.cores, self._seconds, setup.secure is not None)
        return True

    def _warm(self, name: str) -> None:
        """A short run before all others: compiled code, filled pools."""
        target = self._targets[name]
        target.seconds = min(_WARM, self._seconds)
        self._carry(name)
        target.seconds = self._seconds

    def _once(self, name: str, number: int) -> None:
        sample = self._carry(name)
        if sample is not None:
            sample.round = number
            self.samples.setdefault(name, []).append(sample)

    def _carry(self, name: str) -> Sample | None:
        target = self._targets[name]
        try:
            before = _each(target.pid)
            sample = self.case.load(target)
            if self.case.setup.get("workers", 1) > 1:
                sample.shares = _shares(before, _each(target.pid))
            return sample
        except (LoadFailed, CannotCompile, ProcessLookupError, OSError) as problem:
            said = target.proxy.said()[-_SHOWN:]
            reason = (str(problem) or repr(problem)) + (f"; it said: {said}" if said else "")
            # On a machine that others use, too, one run may fail: that is no reason yet.
            self._failed[name] = self._failed.get(name, 0) + 1
            if self._failed[name] > 1 or not target.proxy.running:
                self._skip(name, reason)
            else:
                self._say(f"{self.case.name}: a run of {name} failed: {' '.join(reason.split())}")
            return None

    def _skip(self, name: str, reason: str) -> None:
        reason = " ".join(reason.split())[:600]
        self.skipped[name] = reason
        self._say(f"{self.case.name}: without {name}: {reason}")

    def _skip_all(self, reason: str) -> None:
        for name in self._peers:
            self._skip(name, reason)


def _each(pid: int) -> dict[int, float]:
    """CPU seconds of a process and of each one below it."""
    return {each: procfs.own_usage(each).cpu for each in procfs.descendants(pid)}


def _shares(before: Mapping[int, float], after: Mapping[int, float]) -> Sequence[float]:
    """What part of all CPU time each process took between two looks, the largest first; a supervisor took none."""
    spent = sorted((after[pid] - before.get(pid, 0.0) for pid in after), reverse=True)
    return [round(each / (sum(spent) or 1.0), 3) for each in spent if each > 0.01 * sum(spent)]


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for one case; in memory, where that can be had."""
    memory = "/dev/shm"
    place: Any = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="bench-", dir=place) as folder:
        yield Path(folder)
