"""The words that a router and the proxy exchange: headers, back-ends, answers.

Plain values without I/O, shared by all rooms. Text is ``str`` (latin-1, as HTTP's bytes are), and whoever asks with
``bytes`` is answered in ``bytes``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal, overload

KeepAlive = Literal["default", "new"]


class Headers:
    """A message's fields: order, case and duplicates as they came; looked up without regard to case.

    Names are ``str`` or ``bytes``; what comes back has the name's type (as in ``twisted.web.http_headers``).
    Iterating gives the raw ``(name, value)`` pairs, both ``bytes``.
    """

    __slots__ = ("_index", "_pairs")

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._pairs = tuple(pairs)
        self._index: dict[bytes, list[bytes]] | None = None

    def _values(self, name: str | bytes) -> list[bytes]:
        index = self._index
        if index is None:
            index = self._index = {}
            for key, value in self._pairs:
                index.setdefault(key.lower(), []).append(value)
        key = name.encode("latin-1", "replace") if isinstance(name, str) else name
        return index.get(key.lower(), [])

    @overload
    def get(self, name: str, default: str | None = None) -> str | None: ...
    @overload
    def get(self, name: bytes, default: bytes | None = None) -> bytes | None: ...
    def get(self, name: str | bytes, default: Any = None) -> Any:
        """The first value of the field `name`, or `default`."""
        values = self._values(name)
        if not values:
            return default
        return values[0].decode("latin-1") if isinstance(name, str) else values[0]

    @overload
    def getall(self, name: str) -> list[str]: ...
    @overload
    def getall(self, name: bytes) -> list[bytes]: ...
    def getall(self, name: str | bytes) -> list[str] | list[bytes]:
        """All values of the field `name`, in their order; an empty list if it is not there."""
        values = self._values(name)
        return [value.decode("latin-1") for value in values] if isinstance(name, str) else list(values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, (str, bytes)) and bool(self._values(name))

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._pairs == other._pairs

    def __hash__(self) -> int:
        return hash(self._pairs)

    def __repr__(self) -> str:
        return f"Headers({list(self._pairs)!r})"


@dataclass(frozen=True, slots=True)
class BackendTLS:
    """How TLS is spoken with a back-end. A value: back-ends with equal ones share pooled connections, others never.

    Files are read when the first connection needs them, not here.

    :param verify: check the back-end's certificate: its authority, its dates, its name. ``False`` trusts anybody
        who answers at that address.
    :param ca: whom to trust in place of the system's authorities: a PEM file, or a folder of PEM files.
    :param server_name: the name (or address) that is asked for and checked, in place of the back-end's host.
    :param certificate: a PEM file with the certificate that the proxy shows, and what of its chain goes with it.
    :param private_key: the PEM file with its key; without it, the key is in the certificate's file.
    :param alpn: the protocols that are offered, best first; none of them may be HTTP/2 or 3. Empty: no offer.
    :param minimum: the oldest version of TLS: ``"TLSv1.2"`` or ``"TLSv1.3"``.
    :raises ValueError: a part is not of these kinds, or there is a key without a certificate.
    """

    verify: bool = True
    ca: str | None = None
    server_name: str | None = None
    certificate: str | None = None
    private_key: str | None = None
    alpn: tuple[str, ...] = ("http/1.1",)
    minimum: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.verify, bool):
            raise ValueError(f"verify is True or False, not {self.verify!r}")
        for name in ("ca", "certificate", "private_key"):
            path = getattr(self, name)
            if path is not None:
                object.__setattr__(self, name, _path(name, path))
        if self.private_key is not None and self.certificate is None:
            raise ValueError("a private_key needs its certificate")
        if self.server_name is not None:
            _check_server_name(self.server_name)
        object.__setattr__(self, "alpn", _protocols(self.alpn))
        if self.minimum not in ("TLSv1.2", "TLSv1.3"):
            raise ValueError(f"minimum is 'TLSv1.2' or 'TLSv1.3', not {self.minimum!r}")
        object.__setattr__(self, "_hash", hash(self._values()))

    def _values(self) -> tuple[Any, ...]:
        files = (self.ca, self.certificate, self.private_key)
        return (self.verify, files[0], self.server_name, *files[1:], self.alpn, self.minimum)

    def __hash__(self) -> int:
        """Known beforehand: the pool asks for it with each request."""
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies are made anew: a hash means nothing in another process."""
        return BackendTLS, self._values()


def _path(name: str, path: Any) -> str:
    try:
        return os.fsdecode(path)
    except TypeError:
        raise ValueError(f"{name} is a path, not {path!r}") from None


def _check_server_name(name: Any) -> None:
    try:
        good = isinstance(name, str) and name.isprintable() and not set(name) & set(" /\\@")
        if not (good and name.encode("idna")):
            raise UnicodeError
    except UnicodeError:
        raise ValueError(f"server_name is a host's name or address, not {name!r}") from None


def _protocols(protocols: Any) -> tuple[str, ...]:
    if isinstance(protocols, str):
        raise ValueError(f"alpn is a sequence of names, not {protocols!r}")
    for name in protocols:
        if not (isinstance(name, str) and name.isascii() and 0 < len(name) < 256):
            raise ValueError(f"alpn has names of 1 to 255 ASCII characters, not {name!r}")
        if name.startswith(("h2", "h3")):
            raise ValueError(f"the proxy speaks HTTP/1.1 to back-ends: alpn cannot offer {name!r}")
    return tuple(protocols)


_DEFAULT_TLS: Final = BackendTLS()


def _tls(tls: object, host: str) -> object:
    if tls is True:
        tls = _DEFAULT_TLS
    if not host and isinstance(tls, BackendTLS) and tls.verify and tls.server_name is None:
        raise ValueError("TLS without a host needs a server_name, or verify=False")
    return None if tls is False else tls


class Backend:
    """Where a service can be reached, and how its connections are kept (vegur's ``service_backend``).

    :param host: an address or a name.
    :param port: a TCP port.
    :param keepalive: ``None`` opens a connection for this request and closes it after it; ``"default"`` takes one
        from the pool, or opens one, and pools it after; ``"new"`` always opens one and pools it after.
    :param tls: ``None`` or ``False`` for none; ``True`` for TLS with `host` checked against the system's authorities;
        a `BackendTLS` for anything else. (One of Twisted's TLS client options is taken as it is.)
    :param path: the path of a UNIX socket, in place of host and port (see `unix`).
    :param connect_timeout: seconds for this connect, in place of the setting ``downstream_connect_timeout``.
    :param response_timeout: seconds to the first byte of this response, in place of ``downstream_timeout``.
    :raises ValueError: `keepalive` is none of the three, the port is no port, a timeout is not positive, or `tls`
        is to check a name and there is none.
    """

    __slots__ = ("connect_timeout", "host", "keepalive", "key", "path", "port", "response_timeout", "tls")

    def __init__(
        self,
        host: str,
        port: int,
        *,
        keepalive: KeepAlive | None = None,
        tls: object = None,
        path: str | None = None,
        connect_timeout: float | None = None,
        response_timeout: float | None = None,
    ) -> None:
        if keepalive is not None and keepalive != "default" and keepalive != "new":
            raise ValueError(f"keepalive is None, 'default' or 'new', not {keepalive!r}")
        if path is None and not (type(port) is int and 0 < port < 65536):
            raise ValueError(f"a port is a number from 1 to 65535, not {port!r}")
        for seconds in (connect_timeout, response_timeout):
            if seconds is not None and not seconds > 0:
                raise ValueError(f"a timeout is a positive number of seconds, not {seconds!r}")
        if tls is not None:
            tls = _tls(tls, host)
        self.connect_timeout = connect_timeout
        self.response_timeout = response_timeout
        self.host = host
        self.port = port
        self.keepalive = keepalive
        self.tls = tls
        self.path = path
        #: everything that makes one connection different from another (rule 23)
        self.key = (host, port, tls, path)

    @classmethod
    def unix(
        cls,
        path: str,
        *,
        keepalive: KeepAlive | None = None,
        tls: object = None,
        connect_timeout: float | None = None,
        response_timeout: float | None = None,
    ) -> Backend:
        """A back-end that listens on the UNIX socket `path`; the rest as for the class."""
        return cls(
            "",
            0,
            keepalive=keepalive,
            tls=tls,
            path=path,
            connect_timeout=connect_timeout,
            response_timeout=response_timeout,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Backend) and (self.key, self.keepalive) == (other.key, other.keepalive)

    def __hash__(self) -> int:
        return hash((self.key, self.keepalive))

    def __repr__(self) -> str:
        tls = f", tls={self.tls!r}" if self.tls is not None else ""
        if self.path is not None:
            return f"Backend.unix({self.path!r}, keepalive={self.keepalive!r}{tls})"
        return f"Backend({self.host!r}, {self.port!r}, keepalive={self.keepalive!r}{tls})"


class Redirect:
    """What ``lookup_domain_name`` returns to send the client to another domain: 301, same scheme, path and query.

    :param domain: the domain to go to, with its port if that is not the scheme's own.
    :param reason: whatever the router wants to remember of it; for its own logs.
    """

    __slots__ = ("domain", "reason")

    def __init__(self, domain: str, reason: object = None) -> None:
        self.domain = domain
        self.reason = reason

    def __repr__(self) -> str:
        return f"Redirect({self.domain!r}, {self.reason!r})"


HeaderPairs = Iterable[tuple[str | bytes, str | bytes]]


class ErrorPage:
    """What ``error_page`` returns: a status, header pairs, and the body (``bytes``; ``str`` is sent as UTF-8)."""

    __slots__ = ("body", "code", "headers")

    def __init__(self, code: int, headers: HeaderPairs = (), body: bytes | str = b"") -> None:
        self.code = code
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r}, {self.headers!r}, {self.body!r})"


class Response(ErrorPage):
    """What a middleware returns to answer a request at once."""

    __slots__ = ()


class _Taken:
    __slots__ = ()

    def __repr__(self) -> str:
        return "TAKEN"


#: What a stage returns when it has taken the request over: the chain ends here, and the stage answers.
TAKEN: Final = _Taken()
