"""The proxy under test: the real program, in processes of its own, and what it says on its outputs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.procfs import descendants
from soak.children import environment
from soak.configuration import INVALID

HERE = Path(__file__).resolve().parent
_LISTENING = re.compile(r"vegurtx listening on \S+:(\d+)(?: \((https)\))?$", re.MULTILINE)
#: what is wrong enough that somebody should look, wherever it comes from
_SERIOUS = re.compile(r"#(?:error|critical)\b|Traceback|Unhandled|never retrieved|was never awaited| says: ")
#: follows what was wrong with a file; that is a complaint itself, if it was not planned
_KEPT = "the configuration in force stays as it was"
#: seconds in which it must be up
_PATIENCE = 60.0


class ProgramFailed(Exception):
    """The proxy does not start, or does not end."""


class Program:
    """See the module's text.

    :param folder: for its log and its sockets.
    :param arguments: of ``python -m vegurtx``.
    """

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self.folder = folder
        self.census = folder / "census"
        self.census.mkdir()
        self.log = folder / "program.log"
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self._read = 0
        self._killed: set[int] = set()
        self.http = self.https = 0

    async def start(self) -> None:
        """Start it, and wait until it listens.

        :raises ProgramFailed: it does not.
        """
        variables = environment(SOAK_CENSUS=str(self.census))
        variables["PYTHONPATH"] = f"{HERE / 'inject'}{os.pathsep}{variables['PYTHONPATH']}"
        with self.log.open("wb") as out:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "vegurtx", *self._arguments),
                cwd=self.folder,
                env=variables,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        deadline = time.monotonic() + _PATIENCE
        while len(ports := _LISTENING.findall(self.log.read_text("utf-8", "replace"))) < 2:
            if self._process.returncode is not None or time.monotonic() > deadline:
                raise ProgramFailed(f"it does not listen:\n{self.log.read_text('utf-8', 'replace')[-3000:]}")
            await asyncio.sleep(0.1)
        by_scheme = {scheme: int(port) for port, scheme in ports}
        self.http, self.https = by_scheme[""], by_scheme["https"]

    @property
    def pid(self) -> int:
        """The process that was started: the supervisor, where there are workers."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    def processes(self) -> list[int]:
        """The numbers of its processes that live, the first one's first."""
        return descendants(self.pid)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self.running:
            os.kill(self.pid, number)

    def kill_worker(self, pid: int, number: int) -> None:
        """Send a worker a signal that ends it. That the log then says so is all right."""
        self._killed.add(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def complaints(self) -> list[str]:
        """Return what serious things it has said since the last time."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        found = []
        lines = whole.decode("utf-8", "replace").splitlines()
        for number, line in enumerate(lines):
            if _SERIOUS.search(line) and not self._planned(line):
                found.append("\n    ".join(lines[number : number + 12]))
        return found

    def _planned(self, line: str) -> bool:
        """Whether we have made it say so: a file that cannot be used, a worker that we have killed."""
        if INVALID in line or line.endswith(_KEPT):
            return True
        return any(f"process {pid})" in line for pid in self._killed)

    async def stop(self) -> int:
        """Ask it to end; returns its status.

        :raises ProgramFailed: it does not end in time.
        """
        assert self._process is not None
        self.signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self._process.wait(), 40.0)
        except TimeoutError:
            self.kill()
            raise ProgramFailed("it does not end within 40 s of SIGTERM") from None

    def kill(self) -> None:
        """Kill it, and all that it has started."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
