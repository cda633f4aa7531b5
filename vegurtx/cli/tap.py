"""What twistd asks the plugin for: the options, and the service that they describe."""

from __future__ import annotations

from twisted.internet.error import CannotListenError

from vegurtx.cli.misuse import cannot_listen
from vegurtx.cli.options import Options
from vegurtx.service import ProxyService, bound_socket, make_service

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> ProxyService:
    """The service for `options`, which have been parsed.

    Its port is bound here, before twistd becomes a daemon: a port in use is still told to the user's terminal.
    """
    from twisted.internet import reactor

    port, interface = options.port(), options["interface"]
    try:
        sock = bound_socket(interface, port, options.settings.acceptors)
    except CannotListenError as problem:
        cannot_listen(problem)
    return make_service(
        options.router, options.settings, port=port, interface=interface, sock=sock, reactor=reactor
    )
