"""Sticky sessions: a cookie keeps a client with the replica that it met first.

The cookie names the replica by a digest of its key, and carries a signature: it tells nobody where the replica is, and
nobody can make one up. What a client may send is worked out beforehand, so a request costs a look in a dict.
"""

from __future__ import annotations

import re
from hashlib import sha256
from hmac import digest
from typing import Any

from vegurtx.balance.replica import Replica, Service

#: hexadecimal digits; 16 tell 2**32 replicas apart, 32 of the signature are 128 bits
_NAME_LENGTH = 16
_SIGNATURE_LENGTH = 32


class StickySessions:
    """The sticky cookie of one service.

    :param config: the `vegurtx.balance.config.StickyConfig`.
    :param service: whose replicas it names.
    :param secret: the key of the signatures.
    """

    __slots__ = ("_attributes", "_cookie", "_find", "_replicas", "_secret", "_service", "_tokens", "_values")

    def __init__(self, config: Any, service: Service, secret: bytes) -> None:
        self._service = service
        self._secret = secret
        self._cookie: str = config.cookie
        self._find = re.compile(
            rb'(?:\A|;)[ \t]*%b=("?)([^;"\s]*)\1[ \t]*(?=;|\Z)' % re.escape(self._cookie.encode("ascii"))
        ).finditer
        self._attributes = _attributes(config)
        #: the service's list that the tokens were made for
        self._replicas: list[Replica] | None = None
        self._tokens: dict[bytes, Replica] = {}
        self._values: dict[str, str] = {}

    def replica_of(self, request: Any) -> Replica | None:
        """The replica that the request's cookie names, if it is one of ours and still configured."""
        values = request.headers.getall(b"cookie")
        if not values:
            return None
        if self._replicas is not self._service.replicas:
            self._name_replicas()
        tokens = self._tokens
        for value in values:
            for found in self._find(value):
                replica = tokens.get(found[2])
                if replica is not None:
                    return replica
        return None

    def set_cookie(self, replica: Replica) -> str:
        """The value of the ``Set-Cookie`` field that keeps a client with `replica`."""
        if self._replicas is not self._service.replicas:
            self._name_replicas()
        value = self._values.get(replica.key)
        if value is None:  # the service has lost it by now: let the next request choose again
            value = self._value(self._token(replica))
        return value

    def _name_replicas(self) -> None:
        self._replicas = replicas = self._service.replicas
        tokens = [self._token(replica) for replica in replicas]
        self._tokens = {
            token.encode("ascii"): replica for token, replica in zip(tokens, replicas, strict=True)
        }
        self._values = {
            replica.key: self._value(token) for token, replica in zip(tokens, replicas, strict=True)
        }

    def _token(self, replica: Replica) -> str:
        """``NAME.SIGNATURE``: of the key's digest, and of the service with it; a cookie is good for one service."""
        place = f"{self._service.name}\0{replica.key}".encode()
        name = digest(self._secret, b"name\0" + place, sha256).hex()[:_NAME_LENGTH]
        signed = f"cookie\0{self._service.name}\0{name}".encode()
        return f"{name}.{digest(self._secret, signed, sha256).hex()[:_SIGNATURE_LENGTH]}"

    def _value(self, token: str) -> str:
        return f"{self._cookie}={token}{self._attributes}"


def _attributes(config: Any) -> str:
    """What stands behind the cookie's value (RFC 6265 section 4.1)."""
    parts = [f"Path={config.path}"]
    if config.max_age is not None:
        parts.append(f"Max-Age={int(config.max_age)}")
    if config.secure:
        parts.append("Secure")
    if config.http_only:
        parts.append("HttpOnly")
    if config.same_site:
        parts.append(f"SameSite={config.same_site}")
    return "".join(f"; {part}" for part in parts)
