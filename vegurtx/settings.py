"""The settings: one typed definition that drives the Python API, the options, the environment and the documents.

Validation is pydantic's: it knows types, bounds and where an error lies; the lines that a user reads are made here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from ipaddress import ip_network
from typing import Annotated, Any, NamedTuple, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

ENVIRONMENT_PREFIX = "VEGURTX_"


class SettingsError(ValueError):
    """Settings that cannot be used. `problems` has a line for each, naming key, value and what is allowed."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _field_name(value: str) -> str:
    if re.fullmatch(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", value) is None:
        raise ValueError("the name of a header")
    return value


def _networks(value: list[str]) -> list[str]:
    for network in value:
        try:
            ip_network(network)
        except ValueError as error:
            raise ValueError(f"networks such as 10.0.0.0/8 ({error})") from None
    return value


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _socket_options(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return [
            tuple(int(number, 0) for number in option.split(":")) for option in value.split(",") if option
        ]
    except ValueError:
        raise ValueError("LEVEL:NAME:VALUE in numbers, with commas between several") from None


def _no_truth(value: object) -> object:
    """Python counts with truth values; a user who writes ``yes`` for a number has meant something else."""
    if isinstance(value, bool):
        raise ValueError("a number")
    return value


#: settings that name a field which the proxy writes
_FIELD_NAMES = ("request_id_name", "start_time_header", "connect_time_header", "route_time_header")
#: fields whose meaning the proxy needs itself: framing, the connection's own, forwarding
_TAKEN = frozenset(
    {
        "connection",
        "content-length",
        "content_length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "transfer_encoding",
        "upgrade",
        "via",
        "x-forwarded-for",
        "x-forwarded-peer-port",
        "x-forwarded-port",
        "x-forwarded-proto",
    }
)

_Number = BeforeValidator(_no_truth)
FieldName = Annotated[str, AfterValidator(_field_name)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1), _Number]
Size = Annotated[int, Field(ge=1, le=2**40), _Number]
Milliseconds = Annotated[float, Field(ge=0, le=86_400_000, allow_inf_nan=False), _Number]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False), _Number]
Networks = Annotated[list[str], BeforeValidator(_listed), AfterValidator(_networks)]
SocketOptions = Annotated[list[tuple[int, int, int | bytes]], BeforeValidator(_socket_options)]


class Entry(NamedTuple):
    """One setting, as options and documents present it."""

    name: str
    option: str
    default: Any
    unit: str
    allowed: str
    description: str


class Given(NamedTuple):
    """A setting's value, and what its user calls the place that it is from (``--idle-timeout``, a file's line)."""

    value: Any
    where: str


def _setting(default: Any, unit: str, description: str) -> Any:
    return Field(default, description=description, json_schema_extra={"unit": unit})


class Settings(BaseModel):
    """All settings, with their defaults. Immutable; an unknown name is an error.

    :raises SettingsError: from `from_mapping`; the constructor itself raises pydantic's ``ValidationError``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    # vegur's own
    acceptors: Count = _setting(
        1024, "connections", "The listen backlog: connections that wait to be accepted."
    )
    max_connections: Count = _setting(
        100_000, "connections", "Client connections at once; beyond it new ones wait in the backlog."
    )
    request_id_name: FieldName = _setting("X-Request-Id", "", "The header that carries the request id.")
    request_id_max_size: Count = _setting(
        200, "bytes", "A longer id (or a shorter one than 20, or an ill-formed one) is replaced."
    )
    start_time_header: FieldName = _setting(
        "X-Request-Start", "", "The header with the request's start, in milliseconds since the epoch."
    )
    connect_time_header: FieldName = _setting(
        "Connect-Time", "", "The header with the milliseconds that the connect to the back-end took."
    )
    route_time_header: FieldName = _setting(
        "Total-Route-Time", "", "The header with the milliseconds that the router took to decide."
    )
    idle_timeout: Seconds = _setting(
        55.0, "s", "No byte either way for so long ends the request; 0: no limit."
    )
    downstream_connect_timeout: Milliseconds = _setting(
        5000.0, "ms", "For a connect to a back-end; 0: no limit."
    )
    downstream_timeout: Seconds = _setting(
        30.0, "s", "To the back-end's first response byte; idle_timeout takes over then; 0: no limit."
    )
    client_tcp_buffer_limit: Count = _setting(
        1_048_576, "bytes", "The receive buffer of a back-end's socket."
    )
    max_client_status_length: Size = _setting(8192, "bytes", "A back-end's status line.")
    max_client_header_length: Size = _setting(524_288, "bytes", "A back-end's header line.")
    max_client_cookie_length: Size = _setting(8192, "bytes", "The value of a back-end's Set-Cookie.")
    extra_socket_options: SocketOptions = _setting(
        [],
        "",
        "More options for back-end sockets, each (level, name, value); on the command line L:N:V,L:N:V.",
    )
    max_request_line_length: Size = _setting(8192, "bytes", "A request line, without its line end.")
    max_header_name_length: Size = _setting(1000, "bytes", "The name of a request header.")
    max_header_value_length: Size = _setting(8192, "bytes", "The value of a request header.")
    max_headers: Count = _setting(1000, "headers", "Headers of a request.")
    timeout: Milliseconds = _setting(
        60_000.0, "ms", "A client connection between requests, and for a request's whole head; 0: no limit."
    )

    # ours
    router_timeout: Milliseconds = _setting(
        30_000.0, "ms", "A router callback's or a middleware's Deferred must have fired by then; 0: no limit."
    )
    max_connect_tries: Count = _setting(
        10, "connects", "For one request, before the proxy stops asking the router."
    )
    pool_idle_timeout: Seconds = _setting(60.0, "s", "An idle back-end connection is closed after it.")
    pool_max_idle: Count = _setting(4096, "connections", "Idle back-end connections that are kept, in all.")
    pool_max_idle_per_backend: Count = _setting(
        512, "connections", "Idle connections that are kept, a back-end."
    )
    max_response_headers: Count = _setting(1000, "headers", "Headers of a response.")
    max_chunk_line_length: Size = _setting(4096, "bytes", "A chunk's size line with its extensions.")
    max_head_length: Size = _setting(1_048_576, "bytes", "A request's whole head.")
    linger_timeout: Seconds = _setting(
        5.0, "s", "How long a client that is still sending is read after its early answer."
    )
    retry_buffer_limit: Size = _setting(
        65_536, "bytes", "Of a request that are kept to send it again where a pooled connection was dead."
    )
    hard_stop_after: Seconds = _setting(
        30.0, "s", "When told to stop: how long running requests and tunnels have before they are cut off."
    )
    trusted_proxies: Networks = _setting(
        [], "networks", "When set, X-Forwarded-* fields from other peers are replaced, not extended (CIDR)."
    )

    @model_validator(mode="after")
    def _own_names(self) -> Self:
        """The fields that the proxy writes are four, and none of those that it needs itself."""
        seen: dict[str, str] = {}
        # Those that were chosen come last: they are the ones to blame.
        for name in sorted(_FIELD_NAMES, key=lambda name: name in self.model_fields_set):
            field = getattr(self, name)
            other = seen.setdefault(field.lower(), name)
            if field.lower() in _TAKEN:
                text = "the proxy needs this header itself"
            elif other != name:
                text = f"it is {other} already"
            else:
                continue
            raise PydanticCustomError("taken", "{text}", {"name": name, "value": field, "text": text})
        return self

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Settings from names and values (text is read as the setting's type).

        :raises SettingsError: with a line for each problem.
        """
        return cls.from_sources({name: Given(value, name) for name, value in values.items()})

    @classmethod
    def from_sources(cls, *sources: Mapping[str, Given]) -> Settings:
        """Settings from several sources: of each setting the first one's that has it, else the default.

        :raises SettingsError: with a line for each problem, which begins with where the value is from.
        """
        given: dict[str, Given] = {}
        for source in sources:
            given = {**source, **given}
        try:
            return cls(**{name: each.value for name, each in given.items()})
        except ValidationError as error:
            raise SettingsError([_problem(cls, details, given) for details in error.errors()]) from None

    @classmethod
    def entries(cls) -> Iterator[Entry]:
        """All settings in their order."""
        properties = _properties()
        for name, field in cls.model_fields.items():
            yield Entry(
                name,
                name.replace("_", "-"),
                field.get_default(),
                properties[name].get("unit", ""),
                _allowed(cls, name),
                field.description or "",
            )


def from_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    """The settings that the environment gives: ``VEGURTX_IDLE_TIMEOUT`` for ``idle_timeout``.

    Other variables of that prefix are not ours to judge (a platform may set them).
    """
    names = {ENVIRONMENT_PREFIX + name.upper(): name for name in Settings.model_fields}
    return {names[key]: Given(value, key) for key, value in environment.items() if key in names}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'idle_timeout'?``, or nothing where no known word is near."""
    near = get_close_matches(word[:100], list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


@cache
def _properties() -> dict[str, Any]:
    """What pydantic says of each setting; making it takes some milliseconds."""
    properties: dict[str, Any] = Settings.model_json_schema()["properties"]
    return properties


def _allowed(model: type[Settings], name: str) -> str:
    schema = _properties()[name]
    kinds = {"integer": "a whole number", "number": "a number"}
    kind = kinds.get(schema.get("type", ""))
    if kind is not None:
        return f"{kind} from {schema['minimum']:.0f} to {schema['maximum']:.0f}"
    if name == "trusted_proxies":
        return "networks such as 10.0.0.0/8, with commas between them"
    if name == "extra_socket_options":
        return "LEVEL:NAME:VALUE in numbers, with commas between several"
    return "the name of a header"


def _problem(model: type[Settings], details: ErrorDetails, given: Mapping[str, Given]) -> str:
    if details["type"] == "taken":
        about = details["ctx"]
        name = about["name"]
        where = given[name].where if name in given else name
        return f"{where}: {_shown(about['value'])} is not allowed; {about['text']}"
    name = str(details["loc"][0])
    where = given[name].where
    if name not in model.model_fields:
        return f"{where}: there is no such setting{did_you_mean(name, model.model_fields)}"
    return f"{where}: {_shown(details['input'])} is not allowed; it must be {_allowed(model, name)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
