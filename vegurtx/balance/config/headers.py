"""Header fields that are set, added and removed on the way to a replica and back: ``headers``."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from vegurtx.balance.config.fields import FieldValue, Section, Token, not_empty, one_or_more, problem
from vegurtx.balance.config.problems import shown

#: what frames a message or belongs to one connection; the proxy writes these itself (RFC 9110 section 7.6.1)
_THE_PROXYS_OWN = frozenset(
    {
        "connection",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def _not_ours(name: str) -> str:
    if name.lower() in _THE_PROXYS_OWN:
        raise problem(f"{name!r} is the proxy's own header; no rule can change it")
    return name


HeaderName = Annotated[Token, AfterValidator(_not_ours)]
Values = Annotated[
    tuple[FieldValue, ...],
    Field(max_length=100),
    BeforeValidator(not_empty),
    BeforeValidator(one_or_more, json_schema_input_type=FieldValue | list[FieldValue]),
]
Names = Annotated[
    tuple[HeaderName, ...],
    Field(max_length=1000),
    BeforeValidator(one_or_more, json_schema_input_type=HeaderName | list[HeaderName]),
]


class HeaderRulesConfig(Section):
    """One direction's rules. A field is set, added to, or removed, and only one of these."""

    set: dict[HeaderName, FieldValue] = Field(
        default={}, description="By name: the one value that the field then has."
    )
    add: dict[HeaderName, Values] = Field(
        default={}, description="By name: a value, or a list, beside those that are there."
    )
    remove: Names = Field(default=(), description="Names of fields that are taken away.")

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        seen: dict[str, str] = {}
        rules: list[tuple[str, Any]] = [("set", self.set), ("add", self.add), ("remove", self.remove)]
        for key, names in rules:
            for name in names:
                before = seen.setdefault(name.lower(), key)
                if before != key or sum(other.lower() == name.lower() for other in names) > 1:
                    raise problem(f"{shown(name)} is in {before} too; one rule for a header is enough", key)
        return self


class HeadersConfig(Section):
    """Rules for both directions."""

    request: HeaderRulesConfig = Field(
        default=HeaderRulesConfig(), description="For the request that the replica gets."
    )
    response: HeaderRulesConfig = Field(
        default=HeaderRulesConfig(), description="For the response that the client gets."
    )
