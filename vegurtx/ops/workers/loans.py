"""A worker's side of `Lending`: sockets of another place, whose clients it takes in until somebody is there again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from vegurtx.listeners import Listener

_log = Logger()


class Loan:
    """The sockets of one place. A listening port as far as the proxy is concerned: it is told to wait, and to stop.

    :param proxy: the `ProxyFactory`.
    """

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy
        self._ports: list[Any] = []
        self._waits = False
        self._over = False

    def serve(self, listeners: Sequence[Listener]) -> None:
        """Take clients in from here on."""
        self.give_back()
        for listener in listeners:
            listener.listen(self._proxy).addCallbacks(self._listens, _failed)

    def _listens(self, port: Any) -> None:
        if self._over:
            port.stopListening()
            return
        self._ports.append(port)
        if self._waits:
            port.pauseProducing()

    def give_back(self) -> None:
        """Take no more clients. Those who are here are served."""
        ports, self._ports = self._ports, []
        for port in ports:
            port.stopListening()

    def pauseProducing(self) -> None:
        """Leave new clients in the backlog."""
        self._waits = True
        for port in self._ports:
            port.pauseProducing()

    def resumeProducing(self) -> None:
        """Accept again."""
        self._waits = False
        for port in self._ports:
            port.resumeProducing()

    def stopListening(self) -> Deferred[None]:
        """The worker listens no more at all."""
        self._over = True
        self.give_back()
        return succeed(None)


class Loans:
    """All places whose sockets this worker has, or has had.

    :param service: the `ProxyService`.
    :param make: makes listeners of indices and descriptors (see `vegurtx.ops.workers.assignment.listeners_of`).
    """

    def __init__(self, service: Any, make: Callable[[Sequence[int], Sequence[int]], list[Listener]]) -> None:
        self._service = service
        self._make = make
        self._loans: dict[int, Loan] = {}

    def take(self, place: int, indices: Sequence[int], descriptors: list[int]) -> None:
        """Serve these sockets, too.

        :param descriptors: they are ours from here on, and taken out of the list.
        """
        listeners = self._make(indices, descriptors)
        descriptors.clear()
        loan = self._loans.get(place)
        if loan is None:
            loan = self._loans[place] = Loan(self._service.factory)
            self._service.factory.accepts_on(loan)
            self._service.ports.append(loan)
        loan.serve(listeners)

    def give_back(self, place: int) -> None:
        """Somebody is there again."""
        loan = self._loans.get(place)
        if loan is not None:
            loan.give_back()


def _failed(failure: Failure) -> None:
    _log.failure("another worker's clients cannot be served: {reason}", failure, reason=failure.value)
