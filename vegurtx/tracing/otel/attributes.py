"""What spans say of requests: OpenTelemetry's semantic conventions for HTTP spans (stable, version 1.23 and later).

What a peer chooses is cut, so that the queue of spans has a bound in bytes, too. The query is left out: it is where
people put secrets.
"""

from __future__ import annotations

from typing import Any

from vegurtx.ops.access_log.quoting import name_of

#: characters of a path, a user agent or a host that are kept
LONGEST = 512
#: the method in the place of those that nobody knows
OTHER = "_OTHER"

#: RFC 9110 section 9 and RFC 5789; others could be any number
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})

Attributes = dict[str, str | int | float | bool]


def method_of(request: Any) -> str:
    """The request's method, `OTHER` if it is none of the usual ones."""
    method: str = request.method
    return method if method in _METHODS else OTHER


def span_name(method: str, route: str = "") -> str:
    """The name of a span: few different ones, never a path."""
    what = "HTTP" if method == OTHER else method
    return f"{what} {route}" if route else what


def at_begin(request: Any, method: str) -> Attributes:
    """What a sampler may look at."""
    attributes: Attributes = {
        "http.request.method": method,
        "url.path": request.path[:LONGEST],
        "url.scheme": _scheme(request),
    }
    if request.host:
        attributes["server.address"] = request.host[:LONGEST]
    return attributes


def at_end(request: Any, method: str, route: str) -> Attributes:
    """What else a server span says."""
    attributes: Attributes = {
        "network.protocol.version": f"1.{request.version[1]}",
        "vegurtx.request_id": request.id,
    }
    if method == OTHER:
        attributes["http.request.method_original"] = request.method[:LONGEST]
    peer = request.peer
    _address(attributes, "client", peer)
    _address(attributes, "network.peer", request.proxy_peer or peer)
    agent = request.headers.get("user-agent")
    if agent:
        attributes["user_agent.original"] = agent[:LONGEST]
    if route:
        attributes["http.route"] = route
    if request.response_code is not None:
        attributes["http.response.status_code"] = request.response_code
    return attributes


def of_try(request: Any, backend: Any, method: str, tries: int) -> Attributes:
    """What a client span says from its begin: which back-end is asked for what.

    :param tries: how many there were before this one.
    """
    attributes: Attributes = {"http.request.method": method}
    scheme = "http" if backend.tls is None else "https"
    path = request.forward_target.partition("?")[0][:LONGEST]
    if backend.path is not None:
        attributes["server.address"] = attributes["network.peer.address"] = backend.path[:LONGEST]
        attributes["network.transport"] = "unix"
        attributes["url.full"] = f"{scheme}://localhost{path}"
    else:
        host = backend.host[:LONGEST]
        attributes["server.address"] = host
        attributes["server.port"] = backend.port
        attributes["url.full"] = f"{scheme}://{f'[{host}]' if ':' in host else host}:{backend.port}{path}"
    if tries:
        attributes["http.request.resend_count"] = tries
    return attributes


def route_of(service: Any) -> str:
    """The service's name; empty, if it has none."""
    return name_of(service)[:LONGEST]


def _scheme(request: Any) -> str:
    return "https" if request.exchange.intake.secure else "http"


def _address(attributes: Attributes, prefix: str, address: Any) -> None:
    host = getattr(address, "host", None)
    if isinstance(host, str) and host:
        attributes[f"{prefix}.address"] = host
        attributes[f"{prefix}.port"] = address.port
