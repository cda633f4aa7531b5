"""A listening socket: clients come in here, and each is given a protocol and a transport.

It can be told to wait: then new clients stay in the kernel's backlog (that is what `max_connections` does).
Out of descriptors or memory it waits by itself for a moment, it neither spins nor dies.
"""

from __future__ import annotations

import errno
import socket
from enum import Enum, auto
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IListeningPort, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.net.uv.addresses import address_of, numeric_family, socket_name
from vegurtx.net.uv.flavour import Flavour, Timer

_log = Logger()
#: clients accepted in one turn of the reactor; the others' turn comes between
_BATCH = 64
#: seconds before the next try when the kernel is short of something
_REST = 0.1
#: this client is gone already, or the firewall refused it; the next one may be fine (accept(2), "Error
#: handling")
_THIS_CLIENT_ONLY = frozenset(
    {
        errno.ECONNABORTED,
        errno.EPERM,
        errno.EPROTO,
        errno.EINTR,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENOPROTOOPT,
    }
)


class Accepting(Enum):
    """What a port does with new clients."""

    NOT_YET = auto()
    ON = auto()
    HELD = auto()  # told to wait
    RESTING = auto()  # short of descriptors or memory
    STOPPED = auto()


@implementer(IListeningPort, IReadDescriptor)
class Port:
    """A listening TCP socket.

    :param flavour: makes the clients' transports.
    :param factory: makes their protocols.
    :param port: port number; 0 has the kernel choose.
    :param interface: a numeric address, or ``""`` for all IPv4 addresses.
    :param backlog: how many clients may wait in the kernel.
    :param sock: a bound socket to take over instead; it need not listen yet, and may be shared with other
        processes.
    """

    def __init__(
        self,
        flavour: Flavour,
        factory: Any,
        port: int,
        interface: str,
        backlog: int,
        sock: socket.socket | None,
    ) -> None:
        self._flavour = flavour
        #: as a Twisted port has it
        self.factory = factory
        self._port = port
        self._interface = interface
        self._backlog = backlog
        self._given = sock
        self._socket: socket.socket | None = None
        self._host: IAddress | None = None
        self._accepting = Accepting.NOT_YET
        self._rest: Timer | None = None
        self._short = False  # of descriptors or memory, and somebody may wait still

    def __repr__(self) -> str:
        where = self._host or f"{self._interface or '*'}:{self._port}"
        return f"<Port {where} {self._accepting.name.lower()}>"

    def startListening(self) -> None:
        """Bind and listen.

        :raises CannotListenError: the address is in use, not ours, or not an address.
        """
        sock = self._given
        try:
            if sock is None:
                sock = self._bound_socket()
            sock.setblocking(False)
            sock.listen(self._backlog)
        except (OSError, OverflowError) as problem:
            if sock is not None:
                sock.close()
            raise CannotListenError(self._interface, self._port, problem) from problem
        self._socket = sock
        self._host = address_of(sock.family, sock.getsockname())
        self.factory.doStart()
        self._accepting = Accepting.ON
        self._flavour.watch_reads(self)

    def _bound_socket(self) -> socket.socket:
        family = numeric_family(self._interface) if self._interface else socket.AF_INET
        if family is None:
            raise OSError(errno.EADDRNOTAVAIL, "not a numeric address")
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(socket_name(family, self._interface, self._port))
        except BaseException:
            sock.close()
            raise
        return sock

    def doRead(self) -> None:
        """Clients wait: take them in, as long as nobody says stop."""
        sock = self._socket
        for _ in range(_BATCH):
            if self._accepting is not Accepting.ON or sock is None:
                return
            try:
                client, name = sock.accept()
            except BlockingIOError:
                if self._short:
                    self._short = False
                    _log.info("all clients that waited on {port} have been accepted", port=self)
                return
            except OSError as problem:
                if problem.errno in _THIS_CLIENT_ONLY:
                    continue
                self._say_short(problem)
                self._take_rest()
                return
            self._serve(client, name)

    def _serve(self, client: socket.socket, name: Any) -> None:
        protocol: Any = None
        try:
            client.setblocking(False)
            peer = address_of(client.family, name)
            protocol = self.factory.buildProtocol(peer)
            if protocol is None:
                client.close()
            else:
                self._flavour.carry(client, protocol, peer)
        except Exception:
            failure = Failure()
            _log.failure("a client could not be served on {port}", failure, port=self)
            client.close()
            if protocol is not None and protocol.transport is None:  # its factory counts those who leave
                protocol.connectionLost(failure)

    def _say_short(self, problem: OSError) -> None:
        """Once a shortage: it may last, and the next tries find the same."""
        if not self._short:
            self._short = True
            _log.error("no client can be accepted on {port}: {problem}", port=self, problem=problem)

    def _take_rest(self) -> None:
        self._accepting = Accepting.RESTING
        self._flavour.unwatch_reads(self)
        self._rest = self._flavour.call_later(_REST, self._rested)

    def _rested(self) -> None:
        self._rest = None
        if self._accepting is Accepting.RESTING:
            self._accepting = Accepting.ON
            self._flavour.watch_reads(self)
            self.doRead()  # out of descriptors the kernel does not say that nobody waits

    def _stop_rest(self) -> None:
        rest, self._rest = self._rest, None
        if rest is not None:
            rest.cancel()

    def pause_accepting(self) -> None:
        """Leave new clients in the backlog from now on; not one more is accepted."""
        if self._accepting in (Accepting.ON, Accepting.RESTING):
            self._stop_rest()
            self._accepting = Accepting.HELD
            self._flavour.unwatch_reads(self)

    def resume_accepting(self) -> None:
        """Accept again, first those who waited."""
        if self._accepting is Accepting.HELD:
            self._accepting = Accepting.ON
            self._flavour.watch_reads(self)

    pauseProducing = pause_accepting
    resumeProducing = resume_accepting

    def stopListening(self) -> Deferred[None]:
        """Close the socket; fires when that is done. Connections that were accepted live on."""
        sock = self._socket
        if sock is None:
            return succeed(None)
        self._stop_rest()
        self._flavour.unwatch_reads(self)
        self._socket = None
        self._accepting = Accepting.STOPPED
        sock.close()  # not shutdown: other processes may listen on it
        self.factory.doStop()
        return succeed(None)

    loseConnection = stopListening

    def getHost(self) -> IAddress:
        """The address that clients reach; after `stopListening` the one that they did."""
        if self._host is None:
            raise RuntimeError("startListening has not been called")
        return self._host

    def fileno(self) -> int:
        """The socket's descriptor, or -1 when there is none."""
        return -1 if self._socket is None else self._socket.fileno()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor gives up on the descriptor, or itself."""
        self.stopListening()

    def logPrefix(self) -> str:
        """The factory's name, for log lines."""
        return type(self.factory).__name__
