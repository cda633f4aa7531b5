"""What a worker tells the supervisor of itself when it is asked, and with its last word."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from vegurtx.ops.admin.program import LocalProgram
from vegurtx.ops.metrics.families import Family, as_json
from vegurtx.ops.workers.channel import Message

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Reporting:
    """One process's numbers, as JSON has them.

    :param program: the process.
    :param number: the worker's; its own families have it as their label, so that load can be compared.
    """

    def __init__(self, program: LocalProgram, number: int) -> None:
        self._program = program
        self._label = str(number)
        self._parts: dict[str, Callable[[], Any]] = {
            "metrics": self._metrics,
            "live": program.live,
            "services": program.services,
            "process": program.process,
        }

    def part(self, name: str) -> Any:
        """One of `vegurtx.ops.workers.reports.PARTS`.

        :raises LookupError: there is no such part.
        """
        return self._parts[name]()

    def whole(self) -> Message:
        """All parts."""
        return {name: part() for name, part in self._parts.items()}

    def _metrics(self) -> Any:
        return as_json([*self._program.snapshot(), *self._own()])

    def _own(self) -> list[Family]:
        process = self._program.process()
        requests = Family(
            "vegurtx_worker_requests_total",
            "counter",
            "Requests that have ended, by the worker's place.",
            ("worker",),
        )
        requests.add(process["requests_total"], self._label)
        connections = Family(
            "vegurtx_worker_client_connections",
            "gauge",
            "Clients' open connections, by the worker's place.",
            ("worker",),
        )
        connections.add(process["connections"], self._label)
        cpu = Family(
            "vegurtx_worker_cpu_seconds_total", "counter", "CPU time, by the worker's place.", ("worker",)
        )
        cpu.add(time.process_time(), self._label)
        memory = Family(
            "vegurtx_worker_resident_memory_bytes",
            "gauge",
            "Resident memory, by the worker's place.",
            ("worker",),
        )
        memory.add(_resident(), self._label)
        return [requests, connections, cpu, memory]


def _resident() -> int:
    """Bytes."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
