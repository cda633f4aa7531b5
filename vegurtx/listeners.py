"""A proxy's listeners, in three steps: described (`ListenerSpec`), bound (`bind`), served (`Listener.listen`).

A description is plain data: options make it, and another process can have it too. Binding is done before a daemon is
one, so that a port in use is told at once; the bound socket may be handed to worker processes, which `bind` the same
description with it. Serving begins with the reactor. All listeners of a proxy share one `ProxyFactory`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort

from vegurtx.net.binding import ANYWHERE, bound_socket, remove_unix_socket
from vegurtx.net.certificates import Certificates
from vegurtx.net.endpoint_strings import PROXIED, is_proxied, open_endpoint
from vegurtx.net.endpoints import tcp_server, tls_server
from vegurtx.net.listening import ListenerFactory
from vegurtx.net.proxied import ProxiedFactory


class Kind(Enum):
    """What clients speak, or who says so."""

    HTTP = "http"
    HTTPS = "https"  # TLS with `Certificates`
    PROXY = "proxy"  # a PROXY header, then HTTP
    ENDPOINT = "endpoint"  # whatever Twisted's endpoint description says


@dataclass(frozen=True)
class ListenerSpec:
    """Where a listener is to be. Plain data.

    :param kind: see `Kind`; the other arguments are for some kinds only.
    :param host: a numeric address; ``""`` for all IPv4 addresses, ``"::"`` for all.
    :param port: 0 to 65535; with 0 the kernel chooses.
    :param description: of an `ENDPOINT`, as for Twisted's ``serverFromString``.
    :param certificate: of `HTTPS`, as for `Certificates`; `private_key` too.
    """

    kind: Kind
    host: str = ANYWHERE
    port: int = 0
    description: str = ""
    certificate: str = ""
    private_key: str | None = None

    @property
    def label(self) -> str:
        """What metrics and logs call it: the kind, or the endpoint's description."""
        return self.description if self.kind is Kind.ENDPOINT else self.kind.value

    @property
    def passed_on(self) -> bool:
        """Whether its socket is one that systemd has opened."""
        return self.description.removeprefix(PROXIED).startswith("systemd:")


class Listener:
    """A listener that is bound, and not yet served; an endpoint for `ProxyService`. `bind` makes it.

    :param sock: its socket, unless `endpoint` makes one.
    :param endpoint: one of Twisted's, of a kind that is not bound before it listens.
    :param tls: its TLS context factory; None: no TLS, or the endpoint's own.
    :param path: the file of a UNIX socket, to be removed in the end.
    """

    def __init__(
        self,
        spec: ListenerSpec,
        reactor: Any,
        *,
        backlog: int,
        sock: socket.socket | None = None,
        endpoint: Any = None,
        tls: Any = None,
        path: str | None = None,
    ) -> None:
        self.spec = spec
        #: until it is served; then it belongs to the port
        self.sock = sock
        self._reactor = reactor
        self._backlog = backlog
        self._endpoint = endpoint
        self._tls = tls
        #: the file of a UNIX socket, which is removed in the end
        self.path = path

    @property
    def label(self) -> str:
        """See `ListenerSpec`."""
        return self.spec.label

    @property
    def backlog(self) -> int:
        """How many clients may wait in the kernel."""
        return self._backlog

    @property
    def certificates(self) -> Certificates | None:
        """What can be read again while it is served."""
        return self._tls if isinstance(self._tls, Certificates) else None

    def listen(self, proxy: Any) -> Deferred[IListeningPort]:
        """Serve: clients are given to `proxy`, a `ProxyFactory`. Fails with `CannotListenError`."""
        proxied = self.spec.kind is Kind.PROXY or is_proxied(self.spec.description)
        factory = (ProxiedFactory if proxied else ListenerFactory)(proxy, self.label)
        listening: Deferred[IListeningPort] = (self._endpoint or self._socket_endpoint()).listen(factory)
        return listening

    def _socket_endpoint(self) -> Any:
        sock, self.sock = self.sock, None
        reactor, spec, backlog = self._reactor, self.spec, self._backlog
        if self._tls is None:
            return tcp_server(reactor, spec.port, spec.host, backlog, sock=sock)
        return tls_server(reactor, spec.port, self._tls, spec.host, backlog, sock=sock)

    def close(self) -> None:
        """It is not served, or not any more: nothing of it stays."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None
        if self.path is not None:
            remove_unix_socket(self.path)
            self.path = None


def bind(
    spec: ListenerSpec, reactor: Any, *, backlog: int = 1024, sock: socket.socket | None = None
) -> Listener:
    """Bind what `spec` describes. Needs neither a running reactor nor a daemon.

    :param reactor: will serve it.
    :param backlog: how many clients may wait in the kernel (the setting ``acceptors``).
    :param sock: the socket, bound already; another process has handed it on.
    :raises CannotListenError: the address is in use, not ours, or not an address.
    :raises CertificateError: a certificate or a key cannot be used.
    :raises EndpointError: there is no such endpoint.
    """
    if sock is not None and spec.passed_on:
        # Its description is a place in the list that systemd has given to one process, and was good for once.
        return Listener(spec, reactor, backlog=backlog, sock=sock)
    if spec.kind is Kind.ENDPOINT:
        opened = open_endpoint(spec.description, reactor, backlog, sock)
        return Listener(
            spec,
            reactor,
            backlog=opened.backlog,
            sock=opened.sock,
            endpoint=opened.endpoint,
            tls=opened.tls,
            path=opened.path,
        )
    tls = Certificates(spec.certificate, spec.private_key) if spec.kind is Kind.HTTPS else None
    sock = sock or bound_socket(spec.host, spec.port, backlog)
    return Listener(spec, reactor, backlog=backlog, sock=sock, tls=tls)


def bind_all(specs: Iterable[ListenerSpec], reactor: Any, *, backlog: int = 1024) -> list[Listener]:
    """`bind` each of them, or none: where one fails, those before it are closed. Arguments and errors as there."""
    listeners: list[Listener] = []
    try:
        for spec in specs:
            listeners.append(bind(spec, reactor, backlog=backlog))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners
