"""What a worker is told before anything else: who it is, and which sockets it serves. The first message of its line."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vegurtx.listeners import Listener, ListenerSpec, bind
from vegurtx.ops.workers import WORKER_VARIABLE
from vegurtx.ops.workers.channel import DESCRIPTOR_LIMIT, Message, receive


@dataclass
class Assignment:
    """One worker's.

    :param number: of the worker, from 0 on.
    :param workers: how many there are.
    :param secret: what all of them sign sticky cookies with.
    :param take_output: whether what is printed is logged, as twistd does it.
    :param listeners: for each of `descriptors`, the index of its listener.
    :param descriptors: listening sockets.
    :param replica_states: of each its service, its replica's key, and the state that an operator has set.
    """

    number: int
    workers: int
    secret: bytes
    take_output: bool
    listeners: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    replica_states: list[list[str]] = field(default_factory=list)

    def message(self) -> Message:
        """All but the descriptors, which go with it."""
        return {
            "number": self.number,
            "workers": self.workers,
            "secret": self.secret.hex(),
            "take_output": self.take_output,
            "listeners": self.listeners,
            "replica_states": self.replica_states,
        }

    def bind(self, specs: Sequence[ListenerSpec], reactor: Any, backlog: int) -> list[Listener]:
        """Make listeners of the sockets. Arguments and errors as for `vegurtx.listeners.bind_all`."""
        return listeners_of(self.listeners, self.descriptors, specs, reactor, backlog)


def listeners_of(
    indices: Sequence[int],
    descriptors: Sequence[int],
    specs: Sequence[ListenerSpec],
    reactor: Any,
    backlog: int,
) -> list[Listener]:
    """Make listeners of sockets.

    :param indices: for each of `descriptors`, the index of its description in `specs`.

    The rest, and errors, as for `vegurtx.listeners.bind_all`.
    """
    made = []
    for index, descriptor in zip(indices, descriptors, strict=True):
        sock = socket.socket(fileno=descriptor)
        made.append(bind(specs[index], reactor, backlog=backlog, sock=sock))
    return made


def received_assignment(line: socket.socket) -> Assignment | None:
    """Wait for the assignment; None where the supervisor is gone."""
    found = receive(line)
    if found is None:
        return None
    message, descriptors = found
    return Assignment(
        message["number"],
        message["workers"],
        bytes.fromhex(message["secret"]),
        message["take_output"],
        message["listeners"],
        descriptors,
        message["replica_states"],
    )


def line_of_worker() -> socket.socket | None:
    """The line to the supervisor; None where this process is no worker. What it starts itself knows nothing of it."""
    number = os.environ.pop(WORKER_VARIABLE, None)
    if number is None:
        return None
    line = socket.socket(fileno=int(number))
    line.set_inheritable(False)
    return line


def too_many(descriptors: int) -> bool:
    """Whether one message cannot carry so many sockets."""
    return descriptors > DESCRIPTOR_LIMIT
