"""The soak's own processes, which take an order a line and answer with a line of JSON: back-ends and the load."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_LIMIT = 1 << 20


class ChildFailed(Exception):
    """One of the soak's own processes does not do what it must."""


class Child:
    """A process. Made by `started`.

    :param heard: takes lines that answer no order.
    """

    def __init__(self, process: asyncio.subprocess.Process, heard: Callable[[Any], None] | None) -> None:
        self._process = process
        self._heard = heard
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    async def line(self) -> Any:
        """Read its next answer.

        :raises ChildFailed: it has ended.
        """
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = json.loads(line)
            if self._heard is None or "finding" not in said:
                return said
            self._heard(said)
        raise ChildFailed(f"process {self.pid} has ended with {await self._process.wait()}")

    async def order(self, do: str, **more: Any) -> Any:
        """Send an order, and return the answer.

        :raises ChildFailed: it has ended.
        """
        assert self._process.stdin is not None
        async with self._turn:
            self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            return await self.line()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill it."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def end(self) -> None:
        """End it in good order, by the end of its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 5.0)
        except TimeoutError:
            await self.kill()


async def started(module: str, arguments: Sequence[str], heard: Callable[[Any], None] | None = None) -> Child:
    """Start ``python -m MODULE`` from this tree."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        cwd=ROOT,
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LIMIT,
        start_new_session=True,  # a terminal's SIGINT is for the soak alone
    )
    return Child(process, heard)


def environment(**added: str) -> dict[str, str]:
    """Return an environment in which this tree is imported, and not another that may be installed."""
    path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1", **added}
