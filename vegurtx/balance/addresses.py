"""From a service's configured replicas to its members: what each is called, and at which `Backend` it is reached."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from vegurtx.balance.names import backend_at, is_numeric, members_at
from vegurtx.message import Backend, BackendTLS, KeepAlive

#: ``host name → its IP addresses``; none: they are not known yet
Addresses = Callable[[str], Sequence[str]]


class Member(NamedTuple):
    """One replica of a service, as a configuration and the name service have it."""

    key: str
    config: Any
    backend: Backend


def members(service: Any, addresses: Addresses) -> list[Member]:
    """The members of a `ServiceConfig`: one for each replica, and of ``resolve: all`` one for each address.

    A key is the URL, or ``URL#ADDRESS``. Two replicas of one URL are two members; the second one's key ends in ``(2)``.
    """
    found: dict[str, Member] = {}
    counts: dict[str, int] = {}
    for replica in service.replicas:
        backend = backend_of(service, replica)
        name = host_name(replica)
        known = () if name is None else addresses(name)
        if replica.resolve == "all":
            several = members_at(replica.url, backend, known)
        else:
            several = {replica.url: backend_at(backend, known)}
        for key, one in several.items():
            counts[key] = count = counts.get(key, 0) + 1
            unique = key if count == 1 else f"{key} ({count})"
            found[unique] = Member(unique, replica, one)
    return list(found.values())


def host_name(replica: Any) -> str | None:
    """The name that is to be resolved for a `ReplicaConfig`; ``None``: there is nothing to resolve."""
    host: str = replica.address.host
    return host if host and not is_numeric(host) else None


def backend_of(service: Any, replica: Any) -> Backend:
    """The back-end of a `ReplicaConfig`, by its name."""
    scheme, host, port, path = replica.address
    keepalive: KeepAlive | None = "default" if service.keepalive else None
    connect, response = service.connect_timeout, service.try_timeout
    if path is not None:
        return Backend.unix(path, keepalive=keepalive, connect_timeout=connect, response_timeout=response)
    return Backend(
        host,
        port,
        keepalive=keepalive,
        tls=_tls(replica) if scheme == "https" else None,
        connect_timeout=connect,
        response_timeout=response,
    )


def _tls(replica: Any) -> BackendTLS:
    """Whom TLS asks for is said here, since the back-end may be given an address in the place of its name."""
    config = replica.tls
    name = host_name(replica)
    if config is None:
        return BackendTLS(server_name=name)
    return BackendTLS(
        verify=config.verify,
        ca=config.ca,
        server_name=config.server_name or name,
        certificate=config.certificate,
        private_key=config.private_key,
    )
