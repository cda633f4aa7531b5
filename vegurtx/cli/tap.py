"""What twistd asks the plugin for: the options, and the service that they describe."""

from __future__ import annotations

import os

from twisted.internet.error import CannotListenError

from vegurtx.cli.misuse import cannot_listen, misuse
from vegurtx.cli.options import Options
from vegurtx.cli.program import Program
from vegurtx.listeners import bind_all
from vegurtx.net.certificates import CertificateError
from vegurtx.net.endpoint_strings import EndpointError
from vegurtx.proxy.factory import ProxyFactory
from vegurtx.service import ProxyService

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> Program:
    """The service for `options`, which have been parsed.

    Its ports are bound here, before twistd becomes a daemon: a port in use is still told to the user's terminal.

    :raises SystemExit: a listener cannot be had; after a line on standard error.
    """
    from twisted.internet import reactor

    settings = options.settings
    try:
        listeners = bind_all(options.listeners, reactor, backlog=settings.acceptors)
    except CannotListenError as problem:
        cannot_listen(problem)
    except CertificateError as problem:
        misuse(str(problem))
    except EndpointError as problem:
        misuse(f"--listen: {problem}")
    factory = ProxyFactory(options.router, settings, options.middlewares, reactor=reactor)
    reloader = None
    if options.balances:
        from vegurtx.balance.reload import Reloader

        # Absolute: a daemon may go elsewhere before it reads the file again.
        reloader = Reloader(
            options.router, os.path.abspath(options["config"]), reactor, overrides=options.overrides
        )
    return Program(
        ProxyService(factory, listeners),
        reactor,
        balancer=options.router if options.balances else None,
        reloader=reloader,
        watch=bool(options["watch-config"]),
    )
