"""How a replica's health is found out: ``health_check`` (probes) and ``passive_health`` (what requests tell)."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from vegurtx.balance.config.fields import (
    Allowed,
    Count,
    Port,
    PositiveSeconds,
    PositiveShare,
    Seconds,
    Section,
    Share,
    as_text,
    no_truth,
    one_or_more,
    problem,
)

_STATUS = r"^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$"
_HTTP_ONLY = ("path", "method", "host", "expect")

_status = re.compile(_STATUS).fullmatch


def _statuses(value: Any) -> Any:
    """``200``, ``"200-399"``, ``"200, 204"`` or a list of these → pairs of the first and the last one."""
    parts: list[Any] = []
    for one in one_or_more(value):
        if isinstance(one, tuple):
            parts.append(one)
            continue
        text = as_text(one)
        if not isinstance(text, str):
            raise ValueError
        for word in text.split(","):
            word = "".join(word.split())
            if not _status(word):
                raise ValueError
            first, _, last = word.partition("-")
            parts.append((int(first), int(last or first)))
    if not all(first <= last for first, last in parts):
        raise ValueError
    return parts


_StatusInput = Annotated[int, Field(ge=100, le=599)] | Annotated[str, Field(pattern=r"^[-0-9, ]+$")]
Statuses = Annotated[
    tuple[tuple[int, int], ...],
    Field(min_length=1, max_length=100),
    BeforeValidator(_statuses, json_schema_input_type=_StatusInput | list[_StatusInput]),
    Allowed('a status such as 200, a range such as "200-399", or a list of these'),
]
ProbeTarget = Annotated[
    str,
    Field(pattern=r'^/[!"$-~]*$', max_length=4096),
    Allowed("a path such as /health, with or without a query"),
]
ProbeMethod = Annotated[
    Literal["GET", "HEAD", "OPTIONS", "POST"], Allowed("GET, HEAD, OPTIONS or POST (in capitals)")
]
ProbeHost = Annotated[
    str,
    Field(pattern=r"^([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$", max_length=261),
    Allowed("the value of the Host header, such as example.com"),
]
ExpectedText = Annotated[
    str,
    Field(min_length=1, max_length=4096),
    BeforeValidator(as_text, json_schema_input_type=str | int | float),
    Allowed("text of 1 to 4096 characters"),
]
Interval = Annotated[
    float,
    Field(ge=0.01, le=86_400, allow_inf_nan=False),
    BeforeValidator(no_truth),
    Allowed("seconds from 0.01 to 86400"),
]
Probe = Annotated[Literal["http", "tcp"], Allowed("http or tcp")]


class ExpectConfig(Section):
    """What the answer to an HTTP probe must be."""

    status: Statuses = Field(
        default=((200, 399),), description="The allowed statuses: one, a range, or a list of these."
    )
    body: ExpectedText | None = Field(default=None, description="Text that the body must have in it.")


class HealthCheckConfig(Section):
    """Active health checks: probes of each replica."""

    what = "a mapping, true or false"
    if_true = {}

    type: Probe = Field(
        default_factory=lambda: "tcp",
        description="tcp: a connect; http: a request. The default is http where one of its keys is given, else tcp.",
    )
    path: ProbeTarget = Field(default="/", description="http: the target.")
    method: ProbeMethod = Field(default="GET", description="http: the method.")
    host: ProbeHost | None = Field(
        default=None, description="http: the Host header; default: the replica's own address."
    )
    expect: ExpectConfig = Field(default=ExpectConfig(), description="http: what the answer must be.")
    interval: Interval = Field(default=10.0, description="Seconds between the probes of a replica.")
    timeout: PositiveSeconds = Field(default=5.0, description="Seconds that a probe may take.")
    rise: Count = Field(default=2, description="Good probes, one after the other, that bring a replica back.")
    fall: Count = Field(default=3, description="Bad ones that take it out.")
    jitter: Share = Field(
        default=0.1, description="The share by which each interval varies, so that probes do not line up."
    )
    port: Port | None = Field(default=None, description="Another port than the replica's.")

    @model_validator(mode="before")
    @classmethod
    def _http_by_its_keys(cls, value: Any) -> Any:
        if (
            isinstance(value, dict)
            and value.get("type") is None
            and any(value.get(key) for key in _HTTP_ONLY)
        ):
            return {**value, "type": "http"}
        return value

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.type == "tcp":
            for key in _HTTP_ONLY:
                if key in self.model_fields_set:
                    raise problem("is for type: http", key)
        elif self.method == "HEAD" and self.expect.body is not None:
            raise problem("a HEAD request has no body to look at; method: GET has one", "expect")
        return self


class PassiveHealthConfig(Section):
    """Outlier detection: a replica that fails its requests is ejected for a while."""

    what = "a mapping, true or false"
    if_true = {}

    consecutive_errors: Count = Field(
        default=5, description="Errors, one after the other, that eject a replica."
    )
    error_rate: PositiveShare = Field(
        default=0.5, description="The share of errors in `window` that ejects it."
    )
    window: PositiveSeconds = Field(default=30.0, description="Seconds that `error_rate` looks back.")
    min_requests: Count = Field(default=20, description="Requests in `window` before `error_rate` counts.")
    ejection_time: PositiveSeconds = Field(
        default=10.0, description="Seconds of the first ejection; each next one lasts longer."
    )
    max_ejection_time: PositiveSeconds = Field(default=300.0, description="Seconds of the longest one.")
    max_ejected: Share = Field(
        default=0.5, description="The share of the replicas that may be ejected at once."
    )
    slow_start: Seconds = Field(
        default=0.0, description="Seconds in which a replica that is back gets its full share."
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.max_ejection_time < self.ejection_time:
            text = f"{self.max_ejection_time:g} is shorter than ejection_time: {self.ejection_time:g}"
            raise problem(
                text, "max_ejection_time" if "max_ejection_time" in self.model_fields_set else "ejection_time"
            )
        return self
