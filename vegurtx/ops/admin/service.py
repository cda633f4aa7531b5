"""Where the admin API listens: a port, on this machine unless there is a token, or a UNIX socket."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from vegurtx.net.binding import address_text, bound_socket, bound_unix_socket, remove_unix_socket
from vegurtx.net.endpoints import pause_accepting, resume_accepting, tcp_server
from vegurtx.ops.admin.api import AdminApi
from vegurtx.ops.admin.http_server import MOST_CONNECTIONS, AdminFactory

_log = Logger()

#: seconds that requests have to be answered when another program is to follow: a bit more than workers have
REST_LIMIT = 3.0
#: seconds between two looks
_LOOK = 0.05
#: of a UNIX socket: its owner's alone
_MODE = 0o600


class Bound:
    """A listener's socket, until it is served.

    :param path: of a UNIX socket; removed in the end.
    """

    def __init__(self, sock: socket.socket, path: str | None = None) -> None:
        self.sock = sock
        self.path = path

    def close(self) -> None:
        """It is not served, or not any more."""
        self.sock.close()
        if self.path is not None:
            remove_unix_socket(self.path)


def bind_admin(interface: str, port: int, path: str | None = None) -> Bound:
    """Bind the listener, before there is a reactor or a daemon.

    :param interface: a numeric address.
    :param port: 0 to 65535; with 0 the kernel chooses, and the log says which.
    :param path: a UNIX socket's file, in place of both; only its owner may connect.
    :raises CannotListenError: the address is in use, not ours, or not an address.
    """
    if path is None:
        return Bound(bound_socket(interface, port, MOST_CONNECTIONS))
    path = os.path.abspath(path)
    return Bound(bound_unix_socket(path, MOST_CONNECTIONS, _MODE), path)


class AdminService(Service):
    """Serves the API while it runs.

    :param api: answers.
    :param bound: its socket.
    :param reactor: to run on.
    """

    name = "vegurtx admin"

    def __init__(self, api: AdminApi, bound: Bound, reactor: Any) -> None:
        self._factory = AdminFactory(api, reactor)
        self._bound = bound
        self._reactor = reactor
        #: the `IListeningPort`, while it runs
        self.port: Any = None

    def startService(self) -> None:
        """Listen."""
        super().startService()  # type: ignore[no-untyped-call]
        endpoint = tcp_server(self._reactor, 0, backlog=MOST_CONNECTIONS, sock=self._bound.sock)
        listening: Deferred[Any] = endpoint.listen(self._factory)
        listening.addCallbacks(self._listens, self._failed)

    def rest(self) -> Deferred[None]:
        """Leave new clients in the backlog, for the program that follows, and answer those who have asked.

        Fires when they have their answers, or after `REST_LIMIT`. `resume` goes on.
        """
        if self.port is not None:
            pause_accepting(self.port)
        rested: Deferred[None] = Deferred()
        self._look_whether_rested(rested, self._reactor.seconds() + REST_LIMIT, True)
        return rested

    def _look_whether_rested(self, rested: Deferred[None], deadline: float, first: bool) -> None:
        # The first time, a request may be on its way on a connection that has just been accepted.
        busy = first or any(connection.requests for connection in self._factory.connections)
        if busy and self._reactor.seconds() < deadline:
            self._reactor.callLater(_LOOK, self._look_whether_rested, rested, deadline, False)
        else:
            rested.callback(None)

    def resume(self) -> None:
        """Take clients again."""
        if self.port is not None:
            resume_accepting(self.port)

    def _listens(self, port: Any) -> None:
        self.port = port
        text = f"vegurtx admin API at {address_text(port.getHost())}"
        _log.info(text.replace("{", "{{").replace("}", "}}"))

    def _failed(self, failure: Any) -> None:
        _log.failure("the admin API cannot listen: {reason}", failure, reason=failure.value)

    def stopService(self) -> Deferred[Any]:
        """Stop listening, and end all connections."""
        super().stopService()  # type: ignore[no-untyped-call]
        port, self.port = self.port, None
        stopping: Deferred[Any] = maybeDeferred(port.stopListening if port is not None else lambda: None)
        return stopping.addCallback(self._stopped)

    def _stopped(self, _: object) -> None:
        self._factory.stop()
        self._bound.close()
