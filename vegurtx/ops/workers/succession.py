"""What one program of this process leaves to the next (SIGUSR2): sockets, workers, and the secret.

The process is replaced by a new program (execv(2)), and keeps its number, its children and those descriptors that are
inheritable. The list of them is in a file in memory (memfd_create(2)): its descriptor's number is in a variable, so the
secret in it is in no environment.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vegurtx.listeners import ListenerSpec
from vegurtx.ops.workers.sockets import SharedListener
from vegurtx.ops.workers.supervisor import Supervisor
from vegurtx.ops.workers.worker import State

#: the variable with the descriptor's number
VARIABLE = "VEGURTX_SUCCESSION"
#: of what is left; a program that does not know it must not be started
VERSION = 1


@dataclass
class Succession:
    """See the module's text. Plain data.

    :param secret: of the sticky cookies.
    :param listeners: of each its description (as `_key` has it), its sockets' descriptors, and a UNIX socket's file.
    :param workers: of each its number, its process, the line to it, its standard error, and its state.
    :param pid_file: the file that the last program of this process has to remove; empty: none.
    """

    secret: bytes
    listeners: list[tuple[list[Any], list[int], str | None]] = field(default_factory=list)
    workers: list[tuple[int, int, int, int, str]] = field(default_factory=list)
    pid_file: str = ""

    def __post_init__(self) -> None:
        """It is in no file yet."""
        self._file = -1

    @classmethod
    def of(cls, supervisor: Supervisor, pid_file: str) -> Succession:
        """What `supervisor` has."""
        listeners = [
            (_key(each.spec), [sock.fileno() for sock in each.sockets], each.path)
            for each in supervisor.listeners
        ]
        workers = [
            (each.number, each.pid, *each.descriptors, each.state.value)
            for each in supervisor.workers
            if each.descriptors is not None
        ]
        return cls(supervisor.secret, listeners, workers, pid_file)

    @property
    def descriptors(self) -> list[int]:
        """All that have to be inherited."""
        of_listeners = [number for _, numbers, _ in self.listeners for number in numbers]
        return of_listeners + [number for _, _, line, errors, _ in self.workers for number in (line, errors)]

    def leave(self) -> dict[str, str]:
        """Make everything inheritable; returns what the next program's environment needs."""
        state = {**asdict(self), "secret": self.secret.hex(), "version": VERSION, "pid": os.getpid()}
        file = self._file = os.memfd_create("vegurtx-succession", 0)
        with open(file, "wb", closefd=False) as stream:
            stream.write(json.dumps(state).encode("ascii"))
        for number in self.descriptors:
            os.set_inheritable(number, True)
        return {VARIABLE: str(file)}

    def keep(self) -> None:
        """It was in vain: nothing is to be inherited."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        for number in self.descriptors:
            os.set_inheritable(number, False)

    def listeners_for(self, specs: Sequence[ListenerSpec]) -> dict[int, SharedListener]:
        """The sockets that are there for `specs`, by their index; those that nobody wants any more are closed."""
        left: dict[tuple[Any, ...], list[tuple[list[int], str | None]]] = {}
        for key, numbers, path in self.listeners:
            left.setdefault(_hashed(key), []).append((numbers, path))
        found = {}
        for index, spec in enumerate(specs):
            candidates = left.get(_hashed(_key(spec)))
            if candidates:
                numbers, path = candidates.pop(0)
                sockets = [socket.socket(fileno=number) for number in numbers]
                found[index] = SharedListener(spec, sockets, path)
        for numbers, path in (each for rest in left.values() for each in rest):
            SharedListener(specs[0], [socket.socket(fileno=number) for number in numbers], path).close()
        return found

    def former_workers(self) -> list[tuple[int, int, int, int, State]]:
        """For `Supervisor.adopt`."""
        return [(*each[:4], State(each[4])) for each in self.workers]


def succession() -> Succession | None:
    """What the former program of this process has left; None where there was none. Asked twice, it is None, too."""
    number = os.environ.pop(VARIABLE, None)
    if number is None:
        return None
    with open(int(number), "rb") as file:
        file.seek(0)
        state = json.load(file)
    if state.pop("pid") != os.getpid() or state.pop("version") != VERSION:
        return None
    state["secret"] = bytes.fromhex(state["secret"])
    found = Succession(**state)
    for descriptor in found.descriptors:
        os.set_inheritable(descriptor, False)
    return found


def _key(spec: ListenerSpec) -> list[Any]:
    """What tells one listener from another; not its certificates, which may be others by now."""
    return [spec.kind.value, spec.host, spec.port, spec.description]


def _hashed(key: list[Any]) -> tuple[Any, ...]:
    return tuple(key)
