"""The listening sockets, which the supervisor holds for as long as it lives, and who of the workers serves which.

A TCP listener has one socket for each worker, all on one address (``SO_REUSEPORT``, socket(7)): the kernel chooses one
by the client's address, evenly. One socket that all share would give most clients to whoever wakes up first. Since the
supervisor holds them, clients that come while a worker is replaced wait in its socket's backlog, and none is refused.
UNIX sockets, and those that systemd has opened, are one each, and all workers serve it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any

from vegurtx.listeners import Listener, ListenerSpec, bind
from vegurtx.net.binding import address_text, remove_unix_socket, twin_of
from vegurtx.net.uv.addresses import address_of

_TCP = frozenset({socket.AF_INET, socket.AF_INET6})


class Unshareable(ValueError):
    """An endpoint whose socket cannot be handed to workers; the message is one line that names it."""


class SharedListener:
    """A listener's sockets.

    :param spec: its description.
    :param sockets: one, which all workers share; or several, for one worker each (or more, where there are more sockets
        than workers).
    :param path: the file of a UNIX socket, to be removed in the end.
    """

    def __init__(self, spec: ListenerSpec, sockets: list[socket.socket], path: str | None = None) -> None:
        self.spec = spec
        self.sockets = sockets
        self.path = path

    @property
    def address(self) -> str:
        """Where clients reach it, as `address_text` says it."""
        sock = self.sockets[0]
        return address_text(address_of(sock.family, sock.getsockname()))

    def of_worker(self, number: int, workers: int) -> list[socket.socket]:
        """Those that worker `number` of so many serves; the first one has number 0."""
        if len(self.sockets) == 1:
            return self.sockets
        return self.sockets[number::workers]

    def close(self) -> None:
        """Nobody listens any more, but who has copies of the sockets."""
        for sock in self.sockets:
            sock.close()
        self.sockets = []
        if self.path is not None:
            remove_unix_socket(self.path)
            self.path = None


def bind_shared(
    specs: Sequence[ListenerSpec],
    reactor: Any,
    *,
    backlog: int,
    workers: int,
    inherited: Mapping[int, SharedListener] | None = None,
) -> list[SharedListener]:
    """Bind what `specs` describe for so many workers, or nothing: where one fails, those before it are closed.

    :param reactor: for checking what they describe; nothing is served here.
    :param backlog: how many clients may wait in the kernel for one socket (the setting ``acceptors``).
    :param inherited: sockets that are there already, by the index of their description.
    :raises CannotListenError: an address is in use, not ours, or not an address.
    :raises CertificateError: a certificate or a key cannot be used.
    :raises EndpointError: there is no such endpoint.
    :raises Unshareable: an endpoint makes its socket by itself, when it listens.
    """
    made: list[SharedListener] = []
    try:
        for index, spec in enumerate(specs):
            former = (inherited or {}).get(index)
            made.append(_shared(spec, reactor, backlog, workers, former))
    except BaseException:
        for each in made:
            each.close()
        raise
    return made


def _shared(
    spec: ListenerSpec, reactor: Any, backlog: int, workers: int, former: SharedListener | None
) -> SharedListener:
    # Whoever inherits sockets binds them once more for what the binding checks: certificates, above all.
    listener = bind(spec, reactor, backlog=backlog, sock=former.sockets[0] if former else None)
    if listener.sock is None:
        listener.close()
        raise Unshareable(f"--workers: {spec.description!r} cannot be shared by several processes")
    shared = former or SharedListener(spec, [listener.sock], listener.path)
    try:
        _add_twins(shared, listener, workers)
    except BaseException:
        shared.close()
        raise
    return shared


def _add_twins(shared: SharedListener, listener: Listener, workers: int) -> None:
    sock = shared.sockets[0]
    if sock.family not in _TCP or shared.spec.passed_on:
        return
    while len(shared.sockets) < workers:
        shared.sockets.append(twin_of(sock, listener.backlog))


def descriptors_of(
    listeners: Iterable[SharedListener], number: int, workers: int
) -> tuple[list[int], list[int]]:
    """The descriptors for one worker, and for each of them the index of its listener."""
    indices, descriptors = [], []
    for index, listener in enumerate(listeners):
        for sock in listener.of_worker(number, workers):
            indices.append(index)
            descriptors.append(sock.fileno())
    return indices, descriptors


def own_descriptors_of(
    listeners: Iterable[SharedListener], number: int, workers: int
) -> tuple[list[int], list[int]]:
    """As `descriptors_of`, without the sockets that all workers share."""
    listeners = list(listeners)
    indices, descriptors = descriptors_of(listeners, number, workers)
    own = [len(listeners[index].sockets) > 1 for index in indices]
    return list(compress(indices, own)), list(compress(descriptors, own))
