"""The line between the supervisor and one worker: small messages both ways, and sockets with them.

A pair of UNIX sockets that keep messages apart (``SOCK_SEQPACKET``, unix(7)); a message is a JSON object, descriptors
go with it (``SCM_RIGHTS``). What is too long for the socket's buffer (a worker's numbers, the state of a thousand
replicas) is in a file in memory (memfd_create(2)), whose descriptor goes in its place: whoever sends never waits for
whoever reads. The other end's death is the end of the line, however it came.
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
#: bytes of a message that go by the socket itself; longer ones are in a file
_INLINE = 16384
#: bytes of such a file
FILE_LIMIT = 64 * 1024 * 1024
#: in place of a message: it is in the file that the last descriptor leads to. No JSON object begins with it
_IN_FILE = b"@"


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a new line."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return ours, theirs


def receive(sock: socket.socket) -> tuple[Message, list[int]] | None:
    """The next message and its descriptors; None at the end of the line. Waits, where `sock` does.

    What is no message (no JSON object, or a file that is too long) is an empty one.

    :raises BlockingIOError: `sock` does not wait, and there is none.
    """
    try:
        data, descriptors = _received(sock)
    except ConnectionResetError:
        # The other end went with messages unread. That is said once, before what it had still sent.
        try:
            data, descriptors = _received(sock)
        except ConnectionResetError:
            return None
    if not data:
        return None
    if data == _IN_FILE and descriptors:
        data = _content(descriptors.pop())
    try:
        message = json.loads(data)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        for descriptor in descriptors:
            os.close(descriptor)
        return {}, []
    return message, descriptors


def _received(sock: socket.socket) -> tuple[bytes, list[int]]:
    data, descriptors, _, _ = socket.recv_fds(sock, MESSAGE_LIMIT, DESCRIPTOR_LIMIT, socket.MSG_CMSG_CLOEXEC)
    return data, list(descriptors)


def _content(descriptor: int) -> bytes:
    """All of a file in memory, which is closed."""
    with open(descriptor, "rb") as file:
        file.seek(0)
        data = file.read(FILE_LIMIT + 1)
    return data if len(data) <= FILE_LIMIT else b""


def _file_with(data: bytes) -> int:
    """The descriptor of a file in memory that has `data`.

    :raises OSError: there is no memory or no descriptor for it.
    """
    descriptor = os.memfd_create("vegurtx-message")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class Channel:
    """One end of the line, under a reactor.

    :param sock: the end.
    :param received: called with each message that comes, and with the descriptors that came with it, which are the
        receiver's: it takes them out of the list, and the rest are closed.
    :param lost: called once, when the other end is gone; not after `close`.
    """

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        received: Callable[[Message, list[int]], None],
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

        :returns: whether it is on its way. It is not where the other end is gone, has not read for a long time, or
            would not read so long a message.
        """
        data = json.dumps(message, default=str).encode("ascii")
        if len(data) <= _INLINE:
            return self._sent(data, descriptors)
        if len(data) > FILE_LIMIT:
            return False
        try:
            file = _file_with(data)
        except OSError:
            return False
        try:
            return self._sent(_IN_FILE, [*descriptors, file])
        finally:
            os.close(file)

    def _sent(self, data: bytes, descriptors: Sequence[int]) -> bool:
        try:
            socket.send_fds(self._socket, [data], list(descriptors))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """End the line."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
            self._socket.close()

    def read_rest(self) -> None:
        """Hear what the other end has still said before it went. (Its death may be seen by other signs, and sooner.)"""
        self._ready()

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
            try:
                self._received(message, descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
