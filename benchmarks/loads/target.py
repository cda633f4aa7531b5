"""What a load is given: the proxy that is measured, and how long and where it may work."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.children import Child, Cores
from benchmarks.loads.sample import Sample


@dataclass
class Target:
    """A proxy under load."""

    proxy: Child
    cores: Cores
    seconds: float
    """How long one run lasts."""
    secure: bool = False

    @property
    def url(self) -> str:
        """The beginning of every URL."""
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.proxy.port}"

    @property
    def pid(self) -> int:
        """The proxy's process."""
        return self.proxy.pid


Load = Callable[[Target], Sample]
"""Carries a load once. Raises `benchmarks.wrk.LoadFailed`, or `OSError` where the proxy broke it off."""


def shuffled_sources() -> list[str]:
    """Return client addresses, so that many connections do not run out of ports."""
    addresses = [f"127.0.0.{number}" for number in range(2, 10)]
    random.shuffle(addresses)
    return addresses
