"""What twistd asks the plugin for: the options, and the service that they describe."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from twisted.internet.error import CannotListenError

from vegurtx.cli.misuse import cannot_listen, misuse
from vegurtx.cli.ops_options import Operations, build_operations
from vegurtx.cli.options import Options
from vegurtx.cli.program import Program
from vegurtx.cli.tracing_options import traced
from vegurtx.listeners import Listener, bind_all
from vegurtx.net.certificates import CertificateError
from vegurtx.net.endpoint_strings import EndpointError
from vegurtx.proxy.factory import ProxyFactory
from vegurtx.service import ProxyService

__all__ = ["Options", "makeService", "program_of"]


def makeService(options: Options) -> Any:
    """The service for `options`, which have been parsed: the proxy, or with ``--workers`` their supervisor.

    Its ports are bound here, before twistd becomes a daemon: a port in use is still told to the user's terminal.

    :raises SystemExit: a listener cannot be had; after a line on standard error.
    """
    from twisted.internet import reactor

    try:
        if options.workers is not None:
            from vegurtx.cli.supervise import supervision_of

            return supervision_of(options, reactor)
        listeners = bind_all(options.listeners, reactor, backlog=options.settings.acceptors)
    except CannotListenError as problem:
        cannot_listen(problem)
    except CertificateError as problem:
        misuse(str(problem))
    except EndpointError as problem:
        misuse(f"--listen: {problem}")
    try:
        return program_of(options, listeners, reactor)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise


def program_of(options: Options, listeners: Sequence[Listener], reactor: Any) -> Program:
    """The proxy that `options` describe, on `listeners`."""
    router = traced(options.router, options.tracing, reactor)
    factory = ProxyFactory(router, options.settings, options.middlewares, reactor=reactor)
    reloader = None
    if options.balances:
        from vegurtx.balance.reload import Reloader

        # Absolute: a daemon may go elsewhere before it reads the file again.
        reloader = Reloader(
            options.router, os.path.abspath(options["config"]), reactor, overrides=options.overrides
        )
    balancer = options.router if options.balances else None
    proxy = ProxyService(factory, listeners)
    return Program(
        proxy,
        reactor,
        balancer=balancer,
        reloader=reloader,
        watch=bool(options["watch-config"]),
        operations=_operations_of(options, proxy, balancer, reloader, reactor),
    )


def _operations_of(
    options: Options, proxy: ProxyService, balancer: Any, reloader: Any, reactor: Any
) -> Operations:
    try:
        return build_operations(
            options.operations,
            proxy.factory,
            reactor,
            balancer=balancer,
            reloader=reloader,
            listening=lambda: bool(proxy.ports),
        )
    except CannotListenError as problem:
        cannot_listen(problem)
    except OSError as problem:
        misuse(f"--access-log: {problem.filename}: {problem.strerror}")
