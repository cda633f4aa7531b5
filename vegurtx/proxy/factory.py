"""`ProxyFactory`: the Twisted protocol factory, and what all exchanges of one proxy share."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from ipaddress import ip_address, ip_network
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from zope.interface.verify import verifyObject

from vegurtx.interfaces import IRouter
from vegurtx.middleware import IDLE_ON_PLAIN, default_middlewares
from vegurtx.middleware.chain import execute_of
from vegurtx.net.client import BackendClient, EndpointFor
from vegurtx.net.endpoints import pause_accepting, resume_accepting
from vegurtx.net.server import ClientConnection
from vegurtx.net.timer import FOREVER
from vegurtx.proxy.exchange import Exchange
from vegurtx.proxy.ids import RequestIds
from vegurtx.proxy.intake import READ, TAKE
from vegurtx.proxy.observing import tell
from vegurtx.proxy.upstream import own_names
from vegurtx.settings import Settings
from vegurtx.wire.errors import BadHead
from vegurtx.wire.limits import BodyLimits, RequestLimits, ResponseLimits
from vegurtx.wire.request import RequestHead, RequestParser

#: seconds; for what needs a number
_NO_LIMIT = 86_400.0
#: seconds without a request after which a connection of a proxy that drains is closed: whoever has just been answered
#: may have the next request on its way, and it would be lost
DRAIN_REST = 1.0
_STATUS_LINES = {
    400: b"400 Bad Request",
    408: b"408 Request Timeout",
    414: b"414 URI Too Long",
    431: b"431 Request Header Fields Too Large",
    505: b"505 HTTP Version Not Supported",
}


class ProxyFactory(Factory):
    """A proxy in front of whatever `router` says, for any Twisted endpoint.

    :param router: provides `IRouter`; one object serves all requests.
    :param settings: a `Settings`, or a mapping of settings by name; the defaults where it says nothing.
    :param middlewares: the chain (objects that provide `IMiddleware`, or functions of the request); without it,
        `default_middlewares()`.
    :param reactor: the reactor; without it, the global one.
    :param endpoint_for: makes the endpoint for a `Backend`; without it, the sockets' (TCP, TLS, UNIX).
    :raises zope.interface.Invalid: the router does not provide `IRouter`.
    :raises SettingsError: a setting is unknown or not in its bounds.
    :raises TypeError: a middleware is none.
    """

    noisy = False
    #: what metrics and logs call the listener, where it has no factory of its own
    label = "http"

    def __init__(
        self,
        router: Any,
        settings: Settings | Mapping[str, Any] | None = None,
        middlewares: Iterable[Any] | None = None,
        *,
        reactor: Any = None,
        endpoint_for: EndpointFor | None = None,
    ) -> None:
        verifyObject(IRouter, router)
        if not isinstance(settings, Settings):
            settings = Settings.from_mapping(settings or {})
        if reactor is None:  # as everywhere in Twisted; our own code always names one
            from twisted.internet import reactor
        self.settings = settings
        self.router = router
        self.reactor = reactor
        #: the clock of all timeouts, and the one of the day; seconds
        self.seconds = reactor.seconds
        self.wall = time.time
        #: whether each response is to be the last of its connection
        self.draining = False
        #: whether `stop` has cut what was still going on
        self.stopped = False
        #: an `IObserver`, or `None`: told of each request's end, and of connections
        self.observer: Any = None
        chain = default_middlewares() if middlewares is None else list(middlewares)
        self.stages: tuple[Any, ...] = tuple(execute_of(stage) for stage in chain)
        #: the same for plain requests (see `Intake.plain`)
        self.plain_stages: tuple[Any, ...] = tuple(
            execute_of(stage) for stage in chain if type(stage) not in IDLE_ON_PLAIN
        )
        self.connections: set[ClientConnection] = set()
        self._ports: list[Any] = []
        self._drained: list[Deferred[None]] = []
        self._clients = 0
        self._crowded = False
        self._read_limits(settings)
        self._read_names(settings)
        self.new_id = RequestIds().new
        self.client = BackendClient(
            reactor,
            connect_timeout=settings.downstream_connect_timeout / 1000 or _NO_LIMIT,
            idle_timeout=settings.pool_idle_timeout,
            per_backend=settings.pool_max_idle_per_backend,
            total=settings.pool_max_idle,
            limits=ResponseLimits(
                status_line=settings.max_client_status_length,
                field_line=settings.max_client_header_length,
                cookie=settings.max_client_cookie_length,
                fields=settings.max_response_headers,
            ),
            body_limits=self.body_limits,
            buffer_size=settings.client_tcp_buffer_limit,
            socket_options=settings.extra_socket_options,
            endpoint_for=endpoint_for,
        )

    def _read_limits(self, settings: Settings) -> None:
        self.request_limits = RequestLimits(
            line=settings.max_request_line_length,
            name=settings.max_header_name_length,
            value=settings.max_header_value_length,
            fields=settings.max_headers,
            head=settings.max_head_length,
        )
        self.body_limits = BodyLimits(
            chunk_line=settings.max_chunk_line_length,
            name=settings.max_header_name_length,
            value=settings.max_header_value_length,
            fields=settings.max_headers,
        )
        #: seconds; rule 24
        self.idle_limit = settings.timeout / 1000 or FOREVER
        #: how long a connection may rest before its first request, and between two
        self.rest_limit = self.idle_limit
        self.router_limit = settings.router_timeout / 1000 or FOREVER
        self.response_limit = settings.downstream_timeout or FOREVER
        self.body_limit = settings.idle_timeout or FOREVER
        self.linger_limit = settings.linger_timeout
        self.rest = min(self.idle_limit, self.router_limit, self.response_limit, self.body_limit)
        self.max_connect_tries = settings.max_connect_tries
        self.retry_buffer_limit = settings.retry_buffer_limit
        self._trusted = [ip_network(network) for network in settings.trusted_proxies]

    def _read_names(self, settings: Settings) -> None:
        """The fields whose names are settings: they are patterns once, not per request."""
        key = self.request_id_key = settings.request_id_name.lower().encode("ascii")
        self.request_id_max_size = settings.request_id_max_size
        self.request_id_line = b"%b: %%b\r\n" % _escaped(settings.request_id_name)
        times = [settings.start_time_header, settings.connect_time_header, settings.route_time_header]
        self.time_lines = b"".join(b"%b: %%d\r\n" % _escaped(name) for name in times)
        time_keys = {name.lower().encode("ascii") for name in times}
        self.own_names = own_names({key, *time_keys})
        self.parser = RequestParser(self.request_limits, TAKE | time_keys, READ | {key})

    # -- Twisted's side ---------------------------------------------------------------------------------------------

    def buildProtocol(self, addr: IAddress | None) -> ClientConnection:
        """A client has connected."""
        self.accepted()
        connection = ClientConnection(self)
        connection.factory = self
        return connection

    def accepts_on(self, port: Any) -> None:
        """`port` (an `IListeningPort`) takes clients for us: it waits while there are `max_connections`."""
        self._ports.append(port)
        if self._crowded:
            pause_accepting(port)

    def drain(self) -> Deferred[None]:
        """Let running requests end, each as the last one of its connection; close those that rest. Tunnels go on.

        Clients are still served that have been accepted; whoever calls this stops the listening first.

        :returns: fires when the last client has gone. `stop` cuts off those who stay.
        """
        self.draining = True
        self.rest_limit = min(self.rest_limit, DRAIN_REST)
        drained: Deferred[None] = Deferred()
        self._drained.append(drained)
        for connection in list(self.connections):
            connection.retire()
        self._look_whether_drained()
        return drained

    def _look_whether_drained(self) -> None:
        if not self._clients:
            drained, self._drained = self._drained, []
            for each in drained:
                each.callback(None)

    @property
    def clients(self) -> int:
        """How many clients are here, those included that have been accepted and not heard yet."""
        return self._clients

    def stop(self) -> None:
        """End all connections at once, and leave no delayed call."""
        self.stopped = True
        for connection in list(self.connections):
            connection.abort()
        self.client.stop()

    # -- what the clients' connections ask --------------------------------------------------------------------------

    def begin(self, connection: ClientConnection, head: RequestHead) -> None:
        """A request's head is here."""
        Exchange(self, connection, head).start()

    def accepted(self) -> None:
        """A client is being taken in. It is counted here, since many are accepted before the first is `opened`."""
        self._clients += 1
        if self._clients >= self.settings.max_connections and not self._crowded:
            self._crowded = True
            for port in self._ports:
                pause_accepting(port)

    def opened(self, connection: ClientConnection) -> None:
        """A client's connection stands."""
        self.connections.add(connection)
        if self.observer is not None:
            tell(self.observer.opened, connection)

    def closed(self, connection: ClientConnection) -> None:
        """A client's connection is gone."""
        self.connections.discard(connection)
        self._clients -= 1
        if self.observer is not None:
            tell(self.observer.closed, connection)
        if self._crowded and self._clients < self.settings.max_connections:
            self._crowded = False
            for port in () if self.draining else self._ports:  # those do not listen any more
                resume_accepting(port)
        if self._drained:
            self._look_whether_drained()

    def rejection(self, error: BadHead, connection: ClientConnection | None = None) -> bytes:
        """The proxy's own page for what is no request (rules 1, 3, 4): no router sees it."""
        if self.observer is not None:
            tell(self.observer.rejected, error, connection)
        status = _STATUS_LINES.get(error.status, _STATUS_LINES[400])
        date = formatdate(self.wall(), usegmt=True).encode("ascii")
        lines = b"Date: %b\r\nServer: vegur\r\nContent-Length: 0\r\nConnection: close\r\n" % date
        return b"HTTP/1.1 %b\r\n%b\r\n" % (status, lines)

    def trusts(self, peer: Any) -> bool:
        """Whether the forwarding fields that `peer` brings are believed (rule 12)."""
        if not self._trusted:
            return True
        try:
            address = ip_address(str(getattr(peer, "host", "")).removeprefix("::ffff:"))
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def _escaped(name: str) -> bytes:
    """A field's name in a template for the ``%`` operator; a percent sign may stand in a name."""
    return name.encode("ascii").replace(b"%", b"%%")
