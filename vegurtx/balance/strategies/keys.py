"""What of a request says whose it is: the client's address, a header, a cookie, the path, a query parameter.

Consistent hashing and sticky splits ask here; the names are those of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from urllib.parse import unquote_to_bytes

#: from a request to what it is known by; ``None``: it has no such thing
Key = Callable[[Any], bytes | None]

#: values of ``on`` and how they are written
ON = "client_address, path, header:NAME, cookie:NAME or query:NAME"

_ADDRESS = frozenset({"client", "address", "client_address", "ip"})
_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}").fullmatch


def key_of(on: str) -> Key:
    """What to look at in a request.

    :param on: as in the file, see `ON`.
    :raises ValueError: it is nothing that there is.
    """
    kind, colon, name = on.strip().partition(":") if isinstance(on, str) else ("", "", "")
    kind = kind.strip().lower().replace(" ", "_").replace("-", "_")
    name = name.strip()
    if not colon:
        if kind in _ADDRESS:
            return client_address
        if kind == "path":
            return path
    elif kind == "header" and _token(name):
        return _header(name)
    elif kind == "cookie" and _token(name):
        return _cookie(name)
    elif kind == "query" and 0 < len(name) <= 200:
        return _query(name)
    raise ValueError(f"on is {ON}, not {str(on)[:60]!a}")


def point_of(key: bytes) -> int:
    """Where a key lies among 2**64 points: the same in each process, and after each restart."""
    return int.from_bytes(blake2b(key, digest_size=8).digest(), "big")


def client_address(request: Any) -> bytes | None:
    """The client's address without its port; that of a UNIX socket's client says nothing."""
    host = getattr(request.peer, "host", None)
    return host.removeprefix("::ffff:").encode("utf-8", "replace") if isinstance(host, str) else None


def path(request: Any) -> bytes | None:
    """The path as it came, without the query."""
    raw: str = request.path
    return raw.encode("latin-1", "replace")


def _header(name: str) -> Key:
    raw = name.encode("ascii")

    def header(request: Any) -> bytes | None:
        return request.headers.get(raw) or None

    return header


def _cookie(name: str) -> Key:
    find = re.compile(
        rb'(?:\A|;)[ \t]*%b=("?)([^;"\s]+)\1[ \t]*(?=;|\Z)' % re.escape(name.encode("ascii"))
    ).search

    def cookie(request: Any) -> bytes | None:
        for value in request.headers.getall(b"cookie"):
            found = find(value)
            if found is not None:
                return found[2]
        return None

    return cookie


def _query(name: str) -> Key:
    raw = name.encode()

    def query(request: Any) -> bytes | None:
        values = parameters(request.query).get(raw)
        return values[0] or None if values else None

    return query


@lru_cache(maxsize=4)  # the same request is asked by several conditions, one after the other
def parameters(query: str) -> dict[bytes, list[bytes]]:
    """The parameters of a query by their names, as forms are encoded (the URL standard's urlencoded parsing).

    ``&`` parts them, ``+`` is a space, ``%41`` an A. A name without ``=`` has an empty value. The dict is shared:
    it must not be changed.
    """
    found: dict[bytes, list[bytes]] = {}
    for part in query.split("&"):
        if part:
            name, _, value = part.replace("+", " ").partition("=")
            found.setdefault(_decoded(name), []).append(_decoded(value))
    return found


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.encode("latin-1", "replace"))
