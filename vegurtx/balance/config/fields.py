"""The kinds of values that the file has: their bounds, and in words what is allowed.

A kind is an annotated type. pydantic checks it and makes its JSON Schema; `Allowed` puts one sentence in the place of
whatever went wrong within. A section is a mapping with known keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from vegurtx.balance.config.problems import one_line, shown
from vegurtx.balance.matching import normal_form
from vegurtx.balance.matching.conditions import compiled


@dataclass(frozen=True)
class Allowed:
    """What a value must be, in words: "a number from 0 to 1"."""

    text: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Whatever the kind's own checks say becomes one error of the type ``allowed``."""
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def _check(self, value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except (ValidationError, ValueError):
            raise PydanticCustomError("allowed", "it must be {must}", {"must": self.text}) from None


def problem(text: str, key: str | None = None) -> PydanticCustomError:
    """An error that says all itself; `key` is the one within the present section that it lies in."""
    return PydanticCustomError("problem", "{text}", {"text": text, "key": key})


class Section(BaseModel):
    """A mapping of the file. Immutable; an unknown key is an error, and one without a value counts as absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: what may stand in the place of the section, in words
    what: ClassVar[str] = "a mapping"
    #: what ``section: true`` stands for; ``None``: it is not allowed
    if_true: ClassVar[dict[str, Any] | None] = None

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, value: Any) -> Any:
        if value is True and cls.if_true is not None:
            return dict(cls.if_true)
        if not isinstance(value, dict):
            return value
        return {key: part for key, part in value.items() if part is not None or key not in cls.model_fields}


def off_is_none(value: Any) -> Any:
    """``section: false`` turns a section off."""
    return None if value is False else value


def one_or_more(value: Any) -> Any:
    """What stands alone is a list of one."""
    return value if isinstance(value, list | tuple) else [value]


def not_empty(value: Any) -> Any:
    """pydantic counts the items that are in order: one that is wrong would leave its list "too short", too.

    :raises PydanticCustomError: a list, or a mapping, without anything in it.
    """
    if isinstance(value, list | tuple | dict) and not value:
        raise problem("is empty; it must have one at least")
    return value


def no_truth(value: Any) -> Any:
    """Python counts with truth values; a file does not."""
    if isinstance(value, bool):
        raise ValueError
    return value


def as_text(value: Any) -> Any:
    """A number is text where text is asked for. (`Source` leaves those as text that would not read back.)"""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _regex(value: str) -> str:
    try:
        compiled(value)
    except ValueError as error:
        raise problem(one_line(str(error))) from None
    return value


def _one_reading(value: str) -> str:
    """A path that is read in different ways would match none."""
    if normal_form(value) is None:
        raise problem(
            f"{shown(value)} can be read in different ways; write it without dots and broken escapes"
        )
    return value


def _printable(value: str) -> str:
    if not value.isprintable() or value != value.strip():
        raise ValueError
    return value


def _at_least_a_millionth(value: float) -> float:
    """0 stays 0. Shares are counted in millionths, and what is divided by 1e-323 is no number any more."""
    return max(value, 1e-6) if value else 0.0


_TOKEN = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_Number = BeforeValidator(no_truth)
_Text = BeforeValidator(as_text)

Switch = Annotated[bool, Allowed("true or false")]
Count = Annotated[int, Field(ge=1, le=2**31 - 1), _Number, Allowed("a whole number from 1 to 2147483647")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), _Number, Allowed("a number from 0 to 1")]
PositiveShare = Annotated[
    float, Field(gt=0, le=1, allow_inf_nan=False), _Number, Allowed("a number above 0, up to 1")
]
Rate = Annotated[
    float, Field(ge=0, le=1_000_000, allow_inf_nan=False), _Number, Allowed("a number from 0 to 1000000")
]
Seconds = Annotated[
    float, Field(ge=0, le=86_400, allow_inf_nan=False), _Number, Allowed("seconds from 0 to 86400")
]
PositiveSeconds = Annotated[
    float, Field(gt=0, le=86_400, allow_inf_nan=False), _Number, Allowed("seconds above 0, up to 86400")
]
Weight = Annotated[
    float,
    Field(ge=0, le=1_000_000, allow_inf_nan=False),
    BeforeValidator(
        no_truth,
        json_schema_input_type=Annotated[float, Field(ge=0, le=1_000_000)]
        | Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?$")],
    ),
    AfterValidator(_at_least_a_millionth),
    Allowed("a number from 0 to 1000000"),
]
Port = Annotated[int, Field(ge=1, le=65535), _Number, Allowed("a port from 1 to 65535")]

Name = Annotated[
    str,
    Field(min_length=1, max_length=100),
    AfterValidator(_printable),
    BeforeValidator(as_text, json_schema_input_type=str | int | float),
    Allowed("text of 1 to 100 printable characters, without spaces around it"),
]
Token = Annotated[str, Field(pattern=_TOKEN, max_length=200), Allowed("the name of a header")]
CookieName = Annotated[str, Field(pattern=_TOKEN, max_length=200), Allowed("the name of a cookie")]
_FieldText = Annotated[
    str,
    Field(pattern=r"^([!-~\u0080-\u00ff]([\t -~\u0080-\u00ff]*[!-~\u0080-\u00ff])?)?$", max_length=8192),
]
FieldValue = Annotated[
    _FieldText,
    BeforeValidator(as_text, json_schema_input_type=_FieldText | int | float),
    Allowed("the value of a header: one line of text (true and numbers with zeros around them in quotes)"),
]
RoutePath = Annotated[
    Annotated[
        str,
        Field(pattern=r'^/[!"$->@-~]*$', max_length=4096),
        Allowed("a path such as /api, percent-encoded, without a query"),
    ],
    AfterValidator(_one_reading),
]
RegexText = Annotated[
    str, Field(min_length=1, max_length=1000), _Text, Allowed("a regular expression of 1 to 1000 characters")
]
Regex = Annotated[RegexText, AfterValidator(_regex)]
FileName = Annotated[
    str,
    Field(min_length=1, max_length=4096, pattern=r"^[^\x00]*$"),
    Allowed("the name of a file"),
]
SameSite = Annotated[Literal["Strict", "Lax", "None"], Allowed("Strict, Lax or None")]
