"""The file as a whole: ``settings``, ``strategy``, ``services``, ``splits``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from vegurtx.balance.config.fields import (
    Allowed,
    Count,
    Name,
    PositiveSeconds,
    Section,
    Share,
    Switch,
    Weight,
    not_empty,
    off_is_none,
    problem,
)
from vegurtx.balance.config.headers import HeadersConfig
from vegurtx.balance.config.health import HealthCheckConfig, PassiveHealthConfig
from vegurtx.balance.config.limits import BreakerConfig, QueueConfig, RetryConfig
from vegurtx.balance.config.matchers import Matchers, RewriteConfig
from vegurtx.balance.config.problems import one_line
from vegurtx.balance.config.replicas import ReplicaConfig
from vegurtx.balance.config.session import StickyConfig
from vegurtx.balance.config.strategy import DEFAULT_STRATEGY, StrategyConfig
from vegurtx.balance.strategies.keys import key_of

#: of each list; far beyond what a person writes
MOST_SECTIONS = 10_000


def _switch(section: Any) -> Any:
    """A section that ``true`` turns on with its defaults, and ``false`` off."""
    return BeforeValidator(off_is_none, json_schema_input_type=section | bool | None)


def _hashed(value: str) -> str:
    try:
        key_of(value)
    except ValueError as error:
        raise problem(one_line(str(error))) from None
    return value


HashedKey = Annotated[
    Annotated[
        str, Field(max_length=300), Allowed("client_address, header:NAME, cookie:NAME, path or query:NAME")
    ],
    AfterValidator(_hashed),
]


class ServiceConfig(Section):
    """Replicas that serve the same, and which requests go there."""

    name: Name = Field(description="How logs, metrics and splits call it; unique.")
    strategy: StrategyConfig | None = Field(
        default=None,
        description="Which replica gets a request: a name, or {name: ..., options}. Default: the file's.",
    )
    matcher: Matchers = Field(
        default=(),
        description="Which requests it gets: a path prefix, a mapping of conditions, or a list, any of them. "
        "Only a service of a split can go without.",
    )
    replicas: Annotated[
        tuple[ReplicaConfig, ...],
        Field(max_length=MOST_SECTIONS, json_schema_extra={"minItems": 1}),
        BeforeValidator(not_empty),
    ] = Field(description="Where it runs.")
    keepalive: Switch = Field(
        default=True, description="Keep connections to the replicas for the next request."
    )
    rewrite: RewriteConfig | None = Field(default=None, description="What of the path the replica gets.")
    headers: HeadersConfig | None = Field(default=None, description="Header fields to set, add or remove.")
    health_check: Annotated[HealthCheckConfig | None, _switch(HealthCheckConfig)] = Field(
        default=HealthCheckConfig(),
        description="Probes; false: none. The default is a connect every 10 seconds.",
    )
    passive_health: Annotated[PassiveHealthConfig | None, _switch(PassiveHealthConfig)] = Field(
        default=None, description="Eject replicas that fail requests; true: with the defaults."
    )
    panic_threshold: Share = Field(
        default=0.0, description="With a smaller share of available replicas, health is ignored; 0: never."
    )
    queue: Annotated[QueueConfig | None, _switch(QueueConfig)] = Field(
        default=None,
        description="Where requests wait when no replica is free; true: with the defaults. Without: 503 at once.",
    )
    max_connections: Count | None = Field(
        default=None, description="Requests that the service may have at once."
    )
    retries: Annotated[RetryConfig | None, _switch(RetryConfig)] = Field(
        default=RetryConfig(), description="Further tries, with other replicas; false: none."
    )
    connect_timeout: PositiveSeconds | None = Field(
        default=None,
        description="Seconds for a connect, in the place of the setting downstream_connect_timeout.",
    )
    try_timeout: PositiveSeconds | None = Field(
        default=None,
        description="Seconds to the first byte of a try, in the place of the setting downstream_timeout.",
    )
    circuit_breaker: Annotated[BreakerConfig | None, _switch(BreakerConfig)] = Field(
        default=None, description="Leave a failing service alone for a while; true: with the defaults."
    )
    sticky: Annotated[StickyConfig | None, _switch(StickyConfig)] = Field(
        default=None, description="A cookie keeps a client with its replica; true: with the defaults."
    )

    @field_validator("replicas")
    @classmethod
    def _not_all_zero(cls, value: tuple[ReplicaConfig, ...]) -> tuple[ReplicaConfig, ...]:
        if not any(replica.weight for replica in value):
            raise problem("all weights are 0; one replica at least must have more")
        return value

    @field_validator("rewrite")
    @classmethod
    def _has_a_prefix(cls, value: RewriteConfig | None, info: ValidationInfo) -> RewriteConfig | None:
        matchers = info.data.get("matcher", ())
        if (
            value is not None
            and value.strip_prefix is True
            and matchers
            and not any(one.prefix for one in matchers)
        ):
            raise problem("true needs a matcher with a prefix; or name the path to strip", "strip_prefix")
        return value


class SplitConfig(Section):
    """A share of the requests for each of several services: a canary, a migration."""

    name: Name = Field(description="Unique, among the services too.")
    matcher: Matchers = Field(description="Which requests are split, as in a service.")
    services: Annotated[
        dict[str, Weight],
        Field(max_length=1000, json_schema_extra={"minProperties": 1}),
        BeforeValidator(not_empty),
    ] = Field(description="The services' names, with their weights.")

    on: HashedKey | None = Field(
        default=None,
        description="What keeps a client with its service: client_address, header:NAME, cookie:NAME, path or "
        "query:NAME. Without it the requests are spread evenly.",
    )

    @field_validator("services")
    @classmethod
    def _not_all_zero(cls, value: dict[str, float]) -> dict[str, float]:
        if not any(value.values()):
            raise problem("all weights are 0; one service at least must have more")
        return value


class Config(Section):
    """A whole file."""

    settings: dict[str, Any] = Field(
        default={}, description="Any of the proxy's settings. Options and the environment win over them."
    )
    strategy: StrategyConfig = Field(
        default=StrategyConfig(name=DEFAULT_STRATEGY), description="The strategy of services that name none."
    )
    services: Annotated[tuple[ServiceConfig, ...], Field(max_length=MOST_SECTIONS)] = Field(
        default=(), description="What requests go to."
    )
    splits: Annotated[tuple[SplitConfig, ...], Field(max_length=MOST_SECTIONS)] = Field(
        default=(), description="Weighted splits between services."
    )
