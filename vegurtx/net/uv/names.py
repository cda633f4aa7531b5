"""From a name to a connected socket: the resolver first, then a race of attempts ("happy eyeballs", RFC
8305).

Only endpoints whose host is no numeric address come here. The addresses are those of the reactor's own
resolver, so that what a program installs there holds for the proxy's back-ends too.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.address import HostnameAddress, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectingCancelledError, DNSLookupError, TimeoutError
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from vegurtx.net.uv.flavour import Flavour, Timer

#: starts one attempt: (family, host, port, address) -> the connected socket
AttemptFor = Callable[[int, str, int, IAddress], Deferred[socket.socket]]


@implementer(IResolutionReceiver)
class Race:
    """Connects to the first of a name's addresses that answers.

    :param flavour: has the timers.
    :param resolver: an `IHostnameResolver`.
    :param host: the name.
    :param port: the port number.
    :param timeout: seconds for all of it, the resolver's time included.
    :param attempt: starts an attempt at one address.
    """

    #: seconds until the next address is tried beside those that have not answered (RFC 8305, section 5)
    attempt_delay = 0.25

    def __init__(
        self, flavour: Flavour, resolver: Any, host: str, port: int, timeout: float, attempt: AttemptFor
    ) -> None:
        self._flavour = flavour
        self._resolver = resolver
        self._host = host
        self._port = port
        self._timeout = timeout
        self._attempt = attempt
        self._waiting: list[IAddress] = []
        self._running: list[Deferred[socket.socket]] = []
        self._problem: Failure | None = None
        self._deadline: Timer | None = None
        self._next: Timer | None = None
        self._result: Deferred[tuple[socket.socket, IAddress]] | None = None

    def start(self) -> Deferred[tuple[socket.socket, IAddress]]:
        """Resolve, then try.

        :returns: fires with the connected socket and its peer's address. It fails with `DNSLookupError`,
            `TimeoutError`, `ConnectingCancelledError`, or what the first attempt failed with.
        """
        result: Deferred[tuple[socket.socket, IAddress]] = Deferred(self._cancelled)
        self._result = result
        self._deadline = self._flavour.call_later(self._timeout, self._timed_out)
        try:
            self._resolver.resolveHostName(self, self._host, portNumber=self._port)
        except Exception:  # a resolver that the program has plugged in; ours tells of no result
            self._finish(Failure())
        return result

    # -- IResolutionReceiver
    # ------------------------------------------------------------------------------------------

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """The resolver is at work. Twisted's own cannot be cancelled; a late answer is not listened to."""

    def addressResolved(self, address: IAddress) -> None:
        """One more address."""
        self._waiting.append(address)

    def resolutionComplete(self) -> None:
        """These were all: the race is on."""
        if self._result is None:
            return
        if not self._waiting:
            self._finish(Failure(DNSLookupError(f"no results for hostname lookup: {self._host}")))
            return
        self._start_next()

    # -- the race
    # -----------------------------------------------------------------------------------------------------

    def _start_next(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if not self._waiting:
            return
        address: Any = self._waiting.pop(0)
        family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
        attempt = self._attempt(family, address.host, address.port, address)
        self._running.append(attempt)
        attempt.addCallbacks(self._won, self._lost, callbackArgs=(attempt, address), errbackArgs=(attempt,))
        if self._waiting and self._result is not None and self._next is None:
            self._next = self._flavour.call_later(self.attempt_delay, self._next_due)

    def _next_due(self) -> None:
        self._next = None
        self._start_next()

    def _won(self, sock: socket.socket, attempt: Deferred[Any], address: IAddress) -> None:
        self._running.remove(attempt)
        if self._result is None:
            sock.close()
        else:
            self._finish((sock, address))

    def _lost(self, failure: Failure, attempt: Deferred[Any]) -> None:
        self._running.remove(attempt)
        if self._result is None:
            return
        self._problem = self._problem or failure
        if self._waiting:
            self._start_next()
        elif not self._running:
            self._finish(self._problem)

    def _finish(self, outcome: Any) -> None:
        result, self._result = self._result, None
        self._waiting.clear()
        for timer in (self._deadline, self._next):
            if timer is not None:
                timer.cancel()
        self._deadline = self._next = None
        for attempt in list(self._running):
            attempt.cancel()
        if result is not None:
            result.callback(outcome)  # a Failure fails it

    def _timed_out(self) -> None:
        self._deadline = None
        self._finish(Failure(TimeoutError()))

    def _cancelled(self, result: Deferred[Any]) -> None:
        name = self._host.encode("ascii", "backslashreplace")
        self._finish(Failure(ConnectingCancelledError(HostnameAddress(name, self._port))))
