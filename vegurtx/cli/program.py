"""The running program: the proxy's service, the balancer behind it, what SIGHUP reads again, and the end in order.

SIGTERM → nobody listens any more → running requests end, within `hard_stop_after` → the rest is cut off → balancer
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from vegurtx.cli.hangup import hear_again, on_signal
from vegurtx.cli.misuse import misuse, not_listening
from vegurtx.cli.run import stop, stop_on_signals
from vegurtx.net.certificates import CertificateError
from vegurtx.service import ProxyService

_log = Logger()

#: seconds that connections have to go when they are cut off
_CUT_LIMIT = 1.0
#: seconds between two looks at the configuration file
WATCH_INTERVAL = 1.0


class Program(Service):
    """Starts, reloads and stops what the options have asked for.

    :param proxy: the service of the proxy; its sockets are bound.
    :param reactor: the reactor that it runs on.
    :param balancer: the router, where a configuration file has made it: it has ``start`` and ``stop``.
    :param reloader: reads that file again: it has ``reload``, ``watch`` and ``stop``.
    :param watch: whether the file is looked at now and then.
    :param operations: the access log and the admin API (see `vegurtx.cli.ops_options.Operations`).
    """

    name = "vegurtx"

    def __init__(
        self,
        proxy: ProxyService,
        reactor: Any,
        *,
        balancer: Any = None,
        reloader: Any = None,
        watch: bool = False,
        operations: Any = None,
    ) -> None:
        self.proxy = proxy
        self.balancer = balancer
        self.reloader = reloader
        self._reactor = reactor
        self._watch = watch
        self.operations = operations
        self._deaf: list[Callable[[], None]] = []
        #: fires when the drain is over, one way or the other
        self._draining: Deferred[None] | None = None
        self._hard_stop: Any = None
        self._hurried = False
        if operations is not None and operations.program is not None:
            operations.program.controlled_by(self.reload_files, lambda: stop(reactor))

    def startService(self) -> None:
        """Start the balancer, then listen, and hear SIGHUP from now on.

        :raises SystemExit: an endpoint that could not be bound before cannot listen; after a line on standard error.
        """
        super().startService()  # type: ignore[no-untyped-call]
        if not self._reactor.running:  # twistd starts services first; others hear the signals for us
            self._reactor.callWhenRunning(stop_on_signals, self._reactor, self.at_once)
        self._deaf = [on_signal(signal.SIGHUP, self._reactor, self.reload)]
        if self.operations is not None:
            if self.operations.writer is not None:
                self._deaf.append(on_signal(signal.SIGUSR1, self._reactor, self.operations.reopen))
            self.operations.startService()
        # What is meant for an access log, or for workers, must not end a program that has none: the signals' default.
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            if signal.getsignal(number) is signal.SIG_DFL:
                self._deaf.append(on_signal(number, self._reactor, partial(_not_for_us, number)))
        hear_again()
        if self.balancer is not None:
            self.balancer.start()
        if self.reloader is not None and self._watch:
            self.reloader.watch(WATCH_INTERVAL)
        try:
            self.proxy.startService()
        except CannotListenError as problem:
            # twistd has put its log in the place of sys.stderr.
            misuse(not_listening(problem), sys.__stderr__)

    def stopService(self) -> Deferred[Any]:
        """Stop listening, let running requests end, then end all connections, and stop the balancer.

        The Deferred fires when all is done, at the latest when the setting `hard_stop_after` is over.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        if self.reloader is not None:
            self.reloader.stop()
        stopping = self._drain().addCallback(self._drained)
        if self.balancer is not None:
            stopping.addCallback(lambda _: self.balancer.stop())
        if self.operations is not None:
            stopping.addCallback(lambda _: self.operations.stopService())
        return stopping.addBoth(self._deafened)

    def _deafened(self, result: Any) -> Any:
        """Not before the end: unheard, each of the signals would cut the drain off."""
        for deafen in self._deaf:
            deafen()
        self._deaf = []
        return result

    def _drain(self) -> Deferred[None]:
        draining = self._draining = Deferred()
        if not self.proxy.running:  # it did not get as far as to run
            draining.callback(None)
            return draining
        closing = DeferredList([maybeDeferred(port.stopListening) for port in self.proxy.ports])
        closing.addCallback(lambda _: self._wait_for_clients())
        return draining

    def _wait_for_clients(self) -> None:
        factory = self.proxy.factory
        limit = factory.settings.hard_stop_after
        factory.drain().addCallback(lambda _: self._drain_is_over())
        if self._draining is None or self._draining.called:
            return
        if self._hurried:
            self.at_once()
            return
        _log.info(
            "draining: {clients} client connections, which have {limit:.0f} s at the most",
            clients=factory.clients,
            limit=limit,
        )
        self._hard_stop = self._reactor.callLater(limit, self.at_once)

    def _drain_is_over(self) -> None:
        call, self._hard_stop = self._hard_stop, None
        if call is not None and call.active():
            call.cancel()
        if self._draining is not None and not self._draining.called:
            self._draining.callback(None)

    def at_once(self) -> None:
        """When it stops, or while it does, whoever is still being served is cut off."""
        self._hurried = True
        if self._draining is None or self._draining.called or not self.proxy.running:
            return
        if self.proxy.factory.clients:
            _log.warn("{clients} client connections are cut off (H24)", clients=self.proxy.factory.clients)
        self._drain_is_over()

    def _drained(self, _: object) -> Any:
        return self.proxy.stopService().addCallback(self._cut_off) if self.proxy.running else None

    def _cut_off(self, _: object) -> Deferred[None] | None:
        """Clients learn in the reactor's next turn that they are cut off; a process that has ended by then would end
        their connections in order, and a part of a response would look like the whole."""
        if not self.proxy.factory.clients:
            return None
        gone: Deferred[None] = Deferred()
        waiting = self._reactor.callLater(_CUT_LIMIT, gone.callback, None)

        def all_gone(_: object) -> None:
            if waiting.active():
                waiting.cancel()
                gone.callback(None)

        self.proxy.factory.drain().addCallback(all_gone)
        return gone

    def reload(self) -> None:
        """Read certificates and configuration file again. What cannot be used changes nothing, and is logged."""
        if self.operations is not None:
            self.operations.reopen()
        if self._draining is not None:
            return
        try:
            self.reload_files()
        except LookupError:
            _log.info("SIGHUP: there are no certificates and no services to read again")

    def reload_files(self) -> list[str]:
        """As `reload`, but for the logs; returns what cannot be used, a line each.

        :raises LookupError: there are no such files.
        """
        problems: list[str] = []
        certificates = self.proxy.certificates
        for each in certificates:
            try:
                each.reload()
            except CertificateError as problem:
                problems.append(str(problem))
                _log.error("{problem}; the certificates in force stay as they were", problem=problem)
            else:
                _log.info("{certificates}: loaded", certificates=each)
        for line in self.proxy.factory.client.reload_tls():
            problems.append(line)
            _log.error("{problem}; what was read of it before stays in force", problem=line)
        if self.reloader is not None:
            problems += self.reloader.reload() or ()
        if not certificates and self.reloader is None and not problems:
            raise LookupError("there is nothing that could be read again")
        return problems


def _not_for_us(number: int) -> None:
    _log.warn(
        "{name} changes nothing: it is for a program with an access log (SIGUSR1) or with --workers (SIGUSR2)",
        name=signal.Signals(number).name,
    )
