"""From pydantic's errors to problems: where in the file, what was found there, what is allowed."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from vegurtx.balance.config.fields import Section
from vegurtx.balance.config.matchers import BRANCHES
from vegurtx.balance.config.problems import Path, Problems, did_you_mean, found, shown

_KINDS = {
    "dict_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "string_type": "text",
}


def add_error(problems: Problems, section: type[BaseModel], path: Path, error: ErrorDetails) -> None:
    """Say what an error means.

    :param section: the model that was validated.
    :param path: where its mapping is in the file.
    """
    # "[key]" is how pydantic says that a mapping's key is wrong, not its value.
    of_key = error["loc"][-1:] == ("[key]",)
    inner = tuple(part for part in error["loc"] if part not in BRANCHES and part != "[key]")
    kind, context = error["type"], error.get("ctx", {})
    if kind == "problem":
        key = context.get("key")
        problems.add((*path, *inner, *([key] if key else [])), context["text"])
    elif kind == "extra_forbidden":
        keys = _keys(section, inner[:-1])
        hint = did_you_mean(str(inner[-1]), keys) or f"; there are {', '.join(keys)}"
        problems.add((*path, *inner), f"there is no such key{hint}")
    elif kind == "missing":
        problems.add((*path, *inner), "is missing")
    else:
        value = shown(inner[-1]) if of_key else found(inner, error["input"])
        problems.add((*path, *inner), f"{value} is not allowed; {_must(kind, context, error['msg'])}")


def _must(kind: str, context: dict[str, Any], message: str) -> str:
    if kind == "allowed":
        return f"it must be {context['must']}"
    if kind == "model_type":
        sections = {section.__name__: section for section in Section.__subclasses__()}
        return f"it must be {sections[context['class_name']].what}"
    if kind in _KINDS:
        return f"it must be {_KINDS[kind]}"
    if kind == "too_short":
        return f"it must have at least {context['min_length']}"
    if kind == "too_long":
        return f"it must have {context['max_length']} at most"
    return message


def _keys(section: type[BaseModel], path: Path) -> list[str]:
    """The keys that the section at `path` within `section` knows."""
    for part in path:
        if not isinstance(part, int) and part in section.model_fields:
            section = _section(section.model_fields[part].annotation) or section
    return list(section.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model within ``tuple[Model, ...] | None`` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        inner = _section(part)
        if inner is not None:
            return inner
    return None
