"""Who of the replicas gets a request: ``strategy``. Which strategies there are is known when the file is loaded."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from vegurtx.balance.config.fields import Allowed, Section
from vegurtx.balance.config.problems import one_line
from vegurtx.balance.strategies import make

DEFAULT_STRATEGY = "RoundRobin"

StrategyName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_]*)*$", max_length=200),
    Allowed("the name of a strategy, or the dotted name of a class"),
]


class StrategyConfig(Section):
    """A strategy's name and its options."""

    what = "the name of a strategy, or a mapping with name: and its options"

    name: StrategyName = Field(description="A strategy's name, or the dotted name of your own class.")
    options: dict[str, Any] = Field(default={}, description="All other keys.")

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        """``RoundRobin``, or ``{name: ConsistentHash, on: ...}``: whatever is no name is an option."""
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, dict) or value.keys() == {"name", "options"}:
            return value
        given = {"name": value["name"]} if "name" in value else {}
        return {**given, "options": {key: part for key, part in value.items() if key != "name"}}


def complaint(config: StrategyConfig) -> str | None:
    """What is wrong with a strategy, in one line; ``None`` if it can be made."""
    try:
        make(config)
    except Exception as error:  # a class of one's own may raise anything
        return one_line(str(error)) or type(error).__name__
    return None
