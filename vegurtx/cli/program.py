"""The running program: the proxy's service, the balancer behind it, and what SIGHUP reads again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from vegurtx.cli.hangup import on_hangup
from vegurtx.cli.misuse import misuse, not_listening
from vegurtx.net.certificates import CertificateError
from vegurtx.service import ProxyService

_log = Logger()

#: seconds between two looks at the configuration file
WATCH_INTERVAL = 1.0


class Program(Service):
    """Starts, reloads and stops what the options have asked for.

    :param proxy: the service of the proxy; its sockets are bound.
    :param reactor: the reactor that it runs on.
    :param balancer: the router, where a configuration file has made it: it has ``start`` and ``stop``.
    :param reloader: reads that file again: it has ``reload``, ``watch`` and ``stop``.
    :param watch: whether the file is looked at now and then.
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
    ) -> None:
        self.proxy = proxy
        self.balancer = balancer
        self.reloader = reloader
        self._reactor = reactor
        self._watch = watch
        self._deaf: Callable[[], None] | None = None

    def startService(self) -> None:
        """Start the balancer, then listen, and hear SIGHUP from now on.

        :raises SystemExit: an endpoint that could not be bound before cannot listen; after a line on standard error.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._deaf = on_hangup(self._reactor, self.reload)
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
        """Stop listening and end all connections, then stop the balancer."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._deaf is not None:
            self._deaf()
            self._deaf = None
        if self.reloader is not None:
            self.reloader.stop()
        stopping = maybeDeferred(self.proxy.stopService) if self.proxy.running else maybeDeferred(_nothing)
        return stopping if self.balancer is None else stopping.addCallback(lambda _: self.balancer.stop())

    def reload(self) -> None:
        """Read certificates and configuration file again. What cannot be used changes nothing, and is logged."""
        certificates = self.proxy.certificates
        for each in certificates:
            try:
                each.reload()
            except CertificateError as problem:
                _log.error("{problem}; the certificates in force stay as they were", problem=problem)
            else:
                _log.info("{certificates}: loaded", certificates=each)
        if self.reloader is not None:
            self.reloader.reload()
        if not certificates and self.reloader is None:
            _log.info("SIGHUP: there are no certificates and no services to read again")


def _nothing() -> None:
    """The proxy did not get as far as to run."""
