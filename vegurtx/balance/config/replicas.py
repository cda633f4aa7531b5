"""Where a service runs: ``replicas``."""

from __future__ import annotations

import os
import re
from functools import cached_property
from ipaddress import IPv6Address
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from vegurtx.balance.config.fields import Allowed, Count, FileName, Section, Switch, Weight, problem
from vegurtx.balance.config.problems import shown

_WHAT_IS_ALLOWED = "http://HOST:PORT, https://HOST:PORT or unix:/PATH"
_LONGEST_SOCKET = 107  # bytes that sockaddr_un has for a path, on Linux

_http_url = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE,
).fullmatch
_unix_url = re.compile(r"unix:(?://)?(?P<path>/[^\x00-\x1f\x7f]+)").fullmatch
_bare_address = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}").fullmatch


class Address(NamedTuple):
    """A replica's URL, taken apart. A UNIX socket has a `path` and neither host nor port."""

    scheme: Literal["http", "https", "unix"]
    host: str
    port: int
    path: str | None = None


def parse_url(url: str) -> Address:
    """Take the URL of a replica apart. The default ports are 80 and 443; IPv6 addresses lose their brackets.

    :raises ValueError: with what is wrong, to stand behind "it".
    """
    unix = _unix_url(url)
    if unix is not None:
        path = unix["path"]
        if len(path.encode("utf-8", "surrogatepass")) > _LONGEST_SOCKET:
            raise ValueError(f"has a path of more than {_LONGEST_SOCKET} bytes, too long for a UNIX socket")
        return Address("unix", "", 0, path)
    match = _http_url(url)
    if match is None:
        raise ValueError(_complaint(url))
    secure = match["scheme"].lower() == "https"
    port = int(match["port"]) if match["port"] else (443 if secure else 80)
    if not 0 < port < 65536:
        raise ValueError(f"has the port {port}; it must be one from 1 to 65535")
    host = match["host"].lower()
    if host.startswith("["):
        try:
            host = str(IPv6Address(host[1:-1]))
        except ValueError:
            raise ValueError("has no IPv6 address between its brackets") from None
    elif len(host) > 253 or not all(0 < len(label) <= 63 for label in host.removesuffix(".").split(".")):
        raise ValueError("has no host name: labels are 1 to 63 characters")
    return Address("https" if secure else "http", host, port)


def _complaint(url: str) -> str:
    must = f"it must be {_WHAT_IS_ALLOWED}"
    if _bare_address(url):
        return f"is not allowed; {must}; did you mean 'http://{url}'?"
    scheme, separator, rest = url.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        if "@" in rest:
            return f"is not allowed: user information does not belong there; {must}"
        if any(mark in rest for mark in "/?#"):
            return f"is not allowed: a path goes into rewrite.add_prefix; {must}"
    return f"is not allowed; {must}"


def _url(value: str) -> str:
    try:
        parse_url(value)
    except ValueError as error:
        said = str(error)
        secret = "@" in value  # it may be a password
        raise problem(f"{'the text' if secret else shown(value)} {said}") from None
    return value


def _readable(value: str) -> str:
    if not os.path.isfile(value) or not os.access(value, os.R_OK):
        raise problem(f"{shown(value)} is no file that can be read")
    return value


_URL_PATTERN = r"^([Hh][Tt][Tt][Pp][Ss]?://[^/?#@ ]+/?|unix:(//)?/.+)$"

Url = Annotated[
    Annotated[str, Field(json_schema_extra={"pattern": _URL_PATTERN}), Allowed(_WHAT_IS_ALLOWED)],
    AfterValidator(_url),
]
ReadableFile = Annotated[FileName, AfterValidator(_readable)]
ServerName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=253), Allowed("a host name, as certificates have it")
]
Resolve = Annotated[Literal["one", "all"], Allowed("one or all")]


class TlsConfig(Section):
    """How an https replica is spoken to. Names of files are relative to the working directory."""

    verify: Switch = Field(
        default=True, description="Check the replica's certificate, and that it is for its name."
    )
    ca: ReadableFile | None = Field(
        default=None, description="A PEM file of the authorities to trust, in the place of the system's."
    )
    server_name: ServerName | None = Field(
        default=None, description="The name to ask for (SNI) and to check, in the place of the URL's host."
    )
    certificate: ReadableFile | None = Field(
        default=None, description="The proxy's own certificate, a PEM file."
    )
    private_key: ReadableFile | None = Field(
        default=None, description="The key of `certificate`, a PEM file."
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.certificate is not None and self.private_key is None:
            raise problem("needs a private_key beside it", "certificate")
        if self.private_key is not None and self.certificate is None:
            raise problem("needs a certificate beside it", "private_key")
        if self.ca is not None and not self.verify:
            raise problem("is of no use with verify: false", "ca")
        return self


_weight = TypeAdapter(Weight)


def _weight_in(metadata: Any) -> float | None:
    """The weight in Vestri's free-form mapping, if there is one.

    :raises ValidationError: it is none.
    """
    weight = metadata.get("weight") if isinstance(metadata, dict) else None
    return None if weight is None else _weight.validate_python(weight)


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    """`weight` is the one key that means something."""
    try:
        _weight_in(value)
    except ValidationError:
        text = f"{shown(value['weight'])} is not allowed; it must be a number from 0 to 1000000"
        raise problem(text, "weight") from None
    return value


class ReplicaConfig(Section):
    """One place where the service runs, or one name that stands for several."""

    what = "a mapping with url: in it"

    url: Url = Field(
        description="Where it is; the default ports are 80 and 443. IPv6 addresses stand in brackets."
    )
    metadata: Annotated[dict[str, Any], AfterValidator(_metadata)] = Field(
        default={}, description="Whatever you like to note; `weight` in it is the same as `weight` beside it."
    )
    weight: Weight = Field(
        default=1.0,
        description="Its share of the requests, for strategies with weights; 0: none.",
    )
    max_connections: Count | None = Field(default=None, description="Requests that it may have at once.")
    resolve: Resolve = Field(
        default="one", description="A host name is one replica, or each of its addresses is one (all)."
    )
    tls: TlsConfig | None = Field(default=None, description="For https: how the certificate is checked.")

    @model_validator(mode="before")
    @classmethod
    def _weight_from_metadata(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("weight") is not None:
            return value
        try:
            weight = _weight_in(value.get("metadata"))
        except ValidationError:
            return value  # `_metadata` says so, with its place
        return value if weight is None else {**value, "weight": weight}

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        scheme = self.address.scheme
        if self.tls is not None and scheme != "https":
            raise problem("is for https:// only", "tls")
        if self.resolve == "all" and scheme == "unix":
            raise problem("all is not allowed; a UNIX socket has no addresses", "resolve")
        if _weight_in(self.metadata) not in (None, self.weight):
            raise problem("says something else than metadata.weight; one of them is enough", "weight")
        return self

    @cached_property
    def address(self) -> Address:
        """The URL, taken apart."""
        return parse_url(self.url)
