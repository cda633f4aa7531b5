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
from vegurtx.net.binding import remove_unix_socket
from vegurtx.ops.workers.sockets import SharedListener
from vegurtx.ops.workers.supervisor import Supervisor
from vegurtx.ops.workers.worker import State

#: the variable with the descriptor's number
VARIABLE = "VEGURTX_SUCCESSION"
#: of what is left; a program that does not know it must not be started
VERSION = 2


@dataclass
class Succession:
    """See the module's text. Plain data.

    :param secret: of the sticky cookies.
    :param listeners: of each its description (as `_key` has it), its sockets' descriptors, and a UNIX socket's file.
    :param workers: of each its number, its process, the line to it, its standard error, and its state.
    :param pid_file: the file that the last program of this process has to remove; empty: none.
    :param replica_states: of each its service, its replica's key, and the state that an operator has set.
    :param admin: the admin API's address (as `admin_key` has it), its socket's descriptor, and a UNIX socket's file.
    :param ended: what workers that have gone have counted (see `Ended.message`).
    :param reports: by their processes' numbers (as text), what workers have told last.
    """

    secret: bytes
    listeners: list[tuple[list[Any], list[int], str | None]] = field(default_factory=list)
    workers: list[tuple[int, int, int, int, str]] = field(default_factory=list)
    pid_file: str = ""
    replica_states: list[list[str]] = field(default_factory=list)
    admin: tuple[list[Any], int, str | None] | None = None
    ended: dict[str, Any] | None = None
    reports: dict[str, Any] = field(default_factory=dict)

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
        states = [[*replica, state] for replica, state in supervisor.replica_states.items()]
        reports = {str(each.pid): each.report for each in supervisor.workers}
        return cls(supervisor.secret, listeners, workers, pid_file, states, reports=reports)

    @property
    def descriptors(self) -> list[int]:
        """All that have to be inherited."""
        of_listeners = [number for _, numbers, _ in self.listeners for number in numbers]
        of_workers = [number for _, _, line, errors, _ in self.workers for number in (line, errors)]
        return [*of_listeners, *of_workers, *([self.admin[1]] if self.admin is not None else [])]

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

    def admin_socket(self, key: list[Any]) -> tuple[socket.socket, str | None] | None:
        """The admin API's socket, and a UNIX socket's file, where it is at `key`; else it is closed.

        :param key: the address that is wanted now; empty: none.
        """
        if self.admin is None:
            return None
        before, number, path = self.admin
        sock = socket.socket(fileno=number)
        if list(before) == key:
            return sock, path
        sock.close()
        if path is not None:
            remove_unix_socket(path)
        return None

    def last_reports(self) -> dict[int, Any]:
        """For `Supervisor.adopt`."""
        return {int(pid): report for pid, report in self.reports.items()}

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
