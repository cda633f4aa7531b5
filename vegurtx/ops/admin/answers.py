"""What the admin API answers: JSON, and for Prometheus text. HTML is the admin page alone, which is a fixed file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """A response."""

    code: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class Refusal(Exception):
    """A request that is not followed.

    :param code: the status.
    :param message: one line for people; what of it came with the request ends up in a JSON string, escaped.
    :param headers: for the response.
    :param more: further members of the JSON object.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.headers = headers
        self.more = more or {}

    @property
    def answer(self) -> Answer:
        """The response that says so."""
        return Answer(self.code, encoded({"error": self.message, **self.more}), headers=self.headers)


def json_answer(value: Any, code: int = 200) -> Answer:
    """`value` as JSON."""
    return Answer(code, encoded(value))


def encoded(value: Any) -> bytes:
    """`value` as ASCII that is safe in a page, too: no ``<``, no ``>``, no ``&``."""
    text = json.dumps(value, default=str)
    for character in "<>&":  # they can only stand in strings
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f"{text}\n".encode("ascii")
