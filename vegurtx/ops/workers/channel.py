"""The line between the supervisor and one worker: small messages both ways, and sockets with them.

A pair of UNIX sockets that keep messages apart (``SOCK_SEQPACKET``, unix(7)); a message is a JSON object, descriptors
go with it (``SCM_RIGHTS``). The other end's death is the end of the line, however it came.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from vegurtx.ops.workers.watch import Watch

Message = dict[str, Any]

#: bytes of a message, and descriptors with it (the kernel's own bound, SCM_MAX_FD)
MESSAGE_LIMIT = 65536
DESCRIPTOR_LIMIT = 253


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a new line."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ours, theirs


def receive(sock: socket.socket) -> tuple[Message, list[int]] | None:
    """The next message and its descriptors; None at the end of the line. Waits, where `sock` does.

    :raises BlockingIOError: `sock` does not wait, and there is none.
    """
    try:
        data, descriptors, _, _ = socket.recv_fds(
            sock, MESSAGE_LIMIT, DESCRIPTOR_LIMIT, socket.MSG_CMSG_CLOEXEC
        )
    except ConnectionResetError:  # the other end went with messages unread
        return None
    if not data:
        return None
    try:
        message = json.loads(data)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        for descriptor in descriptors:
            os.close(descriptor)
        return {}, []
    return message, list(descriptors)


class Channel:
    """One end of the line, under a reactor.

    :param sock: the end.
    :param received: called with each message that comes. Descriptors that nobody has asked for are closed.
    :param lost: called once, when the other end is gone; not after `close`.
    """

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        received: Callable[[Message], None],
        lost: Callable[[], None],
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._received = received
        self._lost = lost
        self._watch: Watch | None = Watch(reactor, sock.fileno(), self._ready)

    def fileno(self) -> int:
        """Its descriptor; -1 when it is closed."""
        return self._socket.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> bool:
        """Send `message`, and copies of `descriptors` with it.

        :returns: whether it is on its way. It is not where the other end is gone, or has not read for a long time.
        """
        try:
            socket.send_fds(self._socket, [json.dumps(message).encode("ascii")], list(descriptors))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """End the line."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
            self._socket.close()

    def _ready(self) -> None:
        while self._watch is not None:
            try:
                found = receive(self._socket)
            except BlockingIOError:
                return
            except OSError:
                found = None
            if found is None:
                self.close()
                self._lost()
                return
            message, descriptors = found
            for descriptor in descriptors:
                os.close(descriptor)
            self._received(message)
