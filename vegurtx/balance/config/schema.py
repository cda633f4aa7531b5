"""The JSON Schema (draft 2020-12) of the file, for editors: ``python -m vegurtx.balance.config schema`` prints it."""

from __future__ import annotations

from typing import Any

from vegurtx.balance.config.services import Config
from vegurtx.settings import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """What a file may be, as far as a schema can say it: keys, kinds and bounds, but not what has to go together."""
    schema = Config.model_json_schema(mode="validation")
    settings = Settings.model_json_schema()
    sections = schema["$defs"]
    sections["Settings"] = settings
    schema["properties"]["settings"] = {
        "anyOf": [{"$ref": "#/$defs/Settings"}, {"type": "null"}],
        "description": schema["properties"]["settings"]["description"],
    }
    sections["StrategyConfig"] = _strategy(sections["StrategyConfig"])
    for section in [schema, *sections.values()]:
        for value in section.get("properties", {}).values():
            _tidy(value)
        section.pop("title", None)
    del schema["description"]
    return {"$schema": DIALECT, "title": "A vegurtx configuration file", **schema}


def _strategy(section: dict[str, Any]) -> dict[str, Any]:
    """Text or a mapping; what options there are is the strategy's own matter."""
    name = section["properties"]["name"]
    mapping = {"type": "object", "properties": {"name": name}, "required": ["name"]}
    return {"anyOf": [{**name, "description": section["description"]}, mapping]}


def _tidy(value: Any) -> None:
    """Take out what helps no reader: a title that repeats the key, defaults in the models' own form."""
    if isinstance(value, list):
        for part in value:
            _tidy(part)
    if not isinstance(value, dict):
        return
    value.pop("title", None)
    value.pop("unit", None)
    if isinstance(value.get("default"), list | dict | None):
        value.pop("default", None)
    if "patternProperties" in value:
        value.setdefault("additionalProperties", False)
    for part in value.values():
        _tidy(part)
