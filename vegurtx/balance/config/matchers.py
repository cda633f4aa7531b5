"""Which requests a service gets: ``matcher``, and how their targets are rewritten: ``rewrite``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from vegurtx.balance.config.fields import (
    Allowed,
    Regex,
    RoutePath,
    Section,
    Token,
    as_text,
    no_truth,
    not_empty,
    one_or_more,
    problem,
)
from vegurtx.balance.config.problems import shown
from vegurtx.balance.matching.conditions import compiled

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})


class PatternConfig(Section):
    """A pattern in the place of a value."""

    regex: Regex = Field(description="A regular expression that is found anywhere in the value.")


def _condition(value: Any) -> Any:
    """``false`` would read as "must not be there", which no matcher can say."""
    if value is False or value is None or isinstance(value, list):
        raise problem(
            f"{shown(value)} is not allowed; it must be a value, true (any value) or {{regex: ...}}"
        )
    return as_text(value)


def _method(value: str) -> str:
    if value.upper() in _METHODS and value not in _METHODS:
        raise problem(f"methods are case-sensitive; did you mean {value.upper()!r}?")
    return value


def _kind(value: Any) -> str:
    if value is True:
        return "<any>"
    return "<pattern>" if isinstance(value, dict | PatternConfig) else "<value>"


Host = Annotated[
    str,
    Field(
        pattern=r"^(?:(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])$",
        max_length=255,
    ),
    AfterValidator(str.lower),
    Allowed("a host name without a port, or *.example.com"),
]
Method = Annotated[
    Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$"), Allowed("a method such as GET")],
    AfterValidator(_method),
]
Priority = Annotated[
    int,
    Field(ge=-1_000_000, le=1_000_000),
    BeforeValidator(no_truth),
    Allowed("a whole number from -1000000 to 1000000"),
]
#: names in the places of union branches in pydantic's paths; a file's key cannot be meant
BRANCHES = frozenset({"<any>", "<pattern>", "<value>"})

_ConditionText = Annotated[
    str,
    Field(max_length=8192),
    BeforeValidator(as_text, json_schema_input_type=str | int | float),
    Allowed("text of 8192 characters at most"),
]
Condition = Annotated[
    Annotated[Literal[True], Tag("<any>")]
    | Annotated[_ConditionText, Tag("<value>")]
    | Annotated[PatternConfig, Tag("<pattern>")],
    Discriminator(_kind),
    BeforeValidator(_condition),
]
ParameterName = Annotated[str, Field(min_length=1, max_length=1000), Allowed("the name of a query parameter")]


class MatcherConfig(Section):
    """Conditions on a request; all of them must hold. Text in its place is a `prefix`."""

    what = "a path prefix such as /api, a mapping of conditions, or a list of these"

    host: Annotated[
        tuple[Host, ...], BeforeValidator(one_or_more, json_schema_input_type=Host | list[Host])
    ] = Field((), description="The host that the request names, without its port; or a list, any of them.")
    path: RoutePath | None = Field(default=None, description="The whole path.")
    prefix: RoutePath | None = Field(
        default=None,
        description="What the path begins with, in whole segments: /api matches /api/x, not /apix.",
    )
    regex: Regex | None = Field(
        default=None, description="A regular expression that the whole path must match."
    )
    method: Annotated[
        tuple[Method, ...], BeforeValidator(one_or_more, json_schema_input_type=Method | list[Method])
    ] = Field((), description="The request's method; or a list, any of them.")
    header: dict[Token, Condition] = Field(
        default={}, description="By name: the value of a header, true for any value, or {regex: ...}."
    )
    query: dict[ParameterName, Condition] = Field(
        default={},
        description="By name: the value of a query parameter, true for any value, or {regex: ...}.",
    )
    priority: Priority = Field(default=0, description="The higher one wins, before all other rules.")

    @model_validator(mode="after")
    def _has_condition(self) -> Self:
        conditions = (self.host, self.path, self.prefix, self.regex, self.method, self.header, self.query)
        if not any(conditions):
            raise problem("has no condition; to match every request say prefix: /")
        return self


def _matchers(value: Any) -> Any:
    """Text is a path prefix, as in Vestri's file."""
    several = value if isinstance(value, list | tuple) else [value]
    return [{"prefix": one} if isinstance(one, str) else one for one in several]


Matchers = Annotated[
    tuple[MatcherConfig, ...],
    Field(max_length=1000),
    BeforeValidator(not_empty),
    BeforeValidator(
        _matchers,
        json_schema_input_type=RoutePath
        | MatcherConfig
        | Annotated[list[RoutePath | MatcherConfig], Field(min_length=1)],
    ),
]


def _prefix_to_strip(value: Any) -> Any:
    if value is False:
        return None
    return value


class RewriteConfig(Section):
    """What a replica gets in the place of the request's path."""

    strip_prefix: Annotated[
        Literal[True] | RoutePath | None,
        BeforeValidator(_prefix_to_strip, json_schema_input_type=bool | RoutePath | None),
        Allowed("true (the matcher's prefix) or a path such as /api"),
    ] = Field(default=None, description="Taken off the path: true for the matcher's prefix, or a path.")
    add_prefix: RoutePath | None = Field(
        default=None, description="Put before the path, after the other rules."
    )
    regex: Regex | None = Field(
        default=None, description="What `replacement` takes the place of, everywhere in the path."
    )
    replacement: Annotated[str, Field(max_length=4096), Allowed("text of 4096 characters at most")] | None = (
        Field(None, description="May have the groups of `regex`: \\1 or \\g<name>.")
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.regex is None or self.replacement is None:
            if self.regex is not None:
                raise problem("needs a replacement beside it", "regex")
            if self.replacement is not None:
                raise problem("needs a regex beside it", "replacement")
            return self
        if not re.fullmatch(r'[!"$->@-~]*', self.replacement):
            raise problem("must have what a path may have: no spaces, no ? or #", "replacement")
        try:
            compiled(self.regex).sub(self.replacement, "")
        except (re.error, IndexError) as error:
            raise problem(f"does not fit the regex: {error}", "replacement") from None
        return self
