"""The soak's back-ends, where they listen, and those among them that are killed and started again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from soak.backends.listening import FullBacklog, ReservedPort
from soak.children import Child, started

#: in one process, which lives as long as the soak
STEADY = ("plain0", "plain1", "tls0", "fault", "ws0", "ws1")
#: each in a process of its own
MORTAL = ("mortal0", "mortal1")


class Backends:
    """See the module's text.

    :param certificate: and its key, files, of those that speak TLS.
    """

    def __init__(self, certificate: tuple[Path, Path]) -> None:
        self._certificate = certificate
        self._reserved = {name: ReservedPort() for name in (*STEADY, *MORTAL, "refused")}
        self._full = FullBacklog()
        self._steady: Child | None = None
        self._mortal: dict[str, Child] = {}

    @property
    def ports(self) -> dict[str, int]:
        """Ports by name: those of `STEADY` and `MORTAL`, and two on which nobody serves."""
        ports = {name: port.number for name, port in self._reserved.items()}
        return {**ports, "blackhole": self._full.number}

    async def start_all(self) -> None:
        """Start all of them."""
        self._steady = await self._started(STEADY)
        for name in MORTAL:
            await self.start(name)

    async def start(self, name: str) -> None:
        """Start a mortal one, and wait until it listens."""
        self._mortal[name] = await self._started((name,))

    async def kill(self, name: str) -> None:
        """Kill a mortal one."""
        await self._mortal[name].kill()

    def signal(self, name: str, number: int) -> None:
        """Send a mortal one a signal."""
        self._mortal[name].signal(number)

    async def report(self) -> dict[str, Any]:
        """What they have counted, and what the proxy has sent them and must not have."""
        counts: dict[str, Any] = {}
        malformed: list[str] = []
        for child in (self._steady, *self._mortal.values()):
            if child is not None:
                told = await child.order("report")
                counts |= told["counts"]
                malformed += told["malformed"]
        return {"counts": counts, "malformed": malformed}

    async def end(self) -> None:
        """End all of them."""
        for child in (self._steady, *self._mortal.values()):
            if child is not None:
                await child.end()
        for port in self._reserved.values():
            port.release()
        self._full.release()

    async def _started(self, names: tuple[str, ...]) -> Child:
        ports = {name: self._reserved[name].number for name in names}
        certificate, key = map(str, self._certificate)
        options = ["--certificate", certificate, "--private-key", key]
        child = await started("soak.backends", [json.dumps(ports), *options])
        await child.line()
        return child
