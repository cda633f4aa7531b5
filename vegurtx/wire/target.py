"""Reads request targets that are more than a path, and the ``Host`` field: where a request wants to go.

``proxy`` asks for the target only when it does not start with a slash; the host is looked at on every
request, so its answers are remembered. Both answer what they do not like with ``ValueError`` and leave the
status to the caller.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple

_REG_NAME = rb"(?:[A-Za-z0-9._~!$&'()*+,;=\-]|%[0-9A-Fa-f]{2})++"

_host = re.compile(rb"(%s|\[([0-9A-Fa-f:.]++)\])(?::([0-9]{0,5}))?" % _REG_NAME).fullmatch
_absolute = re.compile(rb"(?i:https?)://([^/?#]*+)(.*+)").fullmatch

_REMEMBERED_LENGTH = 128
"""Bytes; longer hosts are not remembered, since peers choose them."""


class Target(NamedTuple):
    """Where a request goes."""

    authority: bytes | None
    """What replaces ``Host``, as it came; ``None`` if the target names none."""
    origin: bytes
    """What the back-end gets: a path with its query, or ``*`` (for CONNECT, the authority)."""


def parse_target(method: bytes, target: bytes) -> Target:
    """Take a request target apart (RFC 9112 section 3.2, rule 2).

    :param method: case-sensitive, as it came
    :param target: from a checked request line
    :raises ValueError: if the target is none of the four forms, or not one that `method` may have
    """
    if method == b"CONNECT":
        if _port(target) is None:
            raise ValueError("CONNECT needs a host and a port")
        return Target(target, target)
    if target.startswith(b"/"):
        return Target(None, target)
    if target == b"*":
        if method != b"OPTIONS":
            raise ValueError("* is for OPTIONS only")
        return Target(None, target)
    match = _absolute(target)
    if match is None:
        raise ValueError("neither a path nor an http URI")
    authority, rest = match.groups()
    # User information has no place in an http URI (RFC 9110 section 4.2.4), and "@" none in a host.
    parse_host(authority)
    if rest.startswith(b"/"):
        return Target(authority, rest)
    if not rest and method == b"OPTIONS":
        return Target(authority, b"*")
    return Target(authority, b"/" + rest)


def parse_host(value: bytes) -> tuple[str, int | None]:
    """Take a ``Host`` value apart (RFC 9110 section 7.2, RFC 3986 section 3.2.2; rule 2).

    :param value: without white space around it
    :return: the host in lower case, and the port if there is one. An IPv6 address keeps its brackets, a
        trailing dot stays.
    :raises ValueError: if it is empty or no host, or the port is not in 1 to 65535; also for the IPvFuture
        literals and zone identifiers that nobody serves
    """
    return _remembered_host(value) if len(value) <= _REMEMBERED_LENGTH else _parse_host(value)


def _parse_host(value: bytes) -> tuple[str, int | None]:
    match = _host(value)
    if match is None:
        raise ValueError("not a host")
    host, address, digits = match.groups()
    if address is not None:
        IPv6Address(address.decode("ascii"))
    port = int(digits) if digits else None
    if port is not None and not 0 < port < 65536:
        raise ValueError("not a port")
    return host.decode("ascii").lower(), port


_remembered_host = lru_cache(maxsize=1024)(_parse_host)


def _port(value: bytes) -> int | None:
    return parse_host(value)[1]
