"""The ``headers`` section: fields set, added and removed on the way to the replica and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Pairs = Sequence[tuple[str, str | None]]


class HeaderRules:
    """One direction's rules, in the form that ``additional_headers`` returns.

    :param config: has the mappings ``set`` and ``add`` and the list ``remove``; a name in ``set`` or ``remove`` and in
        ``add`` begins anew: what the message had is replaced.
    """

    __slots__ = ("_added", "_fixed")

    def __init__(self, config: Any) -> None:
        added = {name: _values(value) for name, value in config.add.items()}
        lowered = {name.lower() for name in added}
        fixed: list[tuple[str, str | None]] = []
        begun = set()
        for name, value in config.set.items():
            begun.add(name.lower())
            fixed.extend((name, one) for one in _values(value))
        for name in config.remove:
            begun.add(name.lower())
            if name.lower() not in lowered:
                fixed.append((name, None))
        for name, values in added.items():
            if name.lower() in begun:
                fixed.extend((name, value) for value in values)
        self._fixed = tuple(fixed)
        #: those whose present values have to be kept
        self._added = [(name, values) for name, values in added.items() if name.lower() not in begun]

    def __bool__(self) -> bool:
        return bool(self._fixed or self._added)

    def pairs(self, headers: Any) -> Pairs:
        """The pairs for a message that has the fields `headers`. Nothing is made where nothing is added."""
        if not self._added:
            return self._fixed
        pairs = list(self._fixed)
        for name, values in self._added:
            # a Set-Cookie is always added: to repeat what is there would double it
            if name.lower() != "set-cookie":
                pairs.extend((name, value) for value in headers.getall(name))
            pairs.extend((name, value) for value in values)
        return pairs


def rules(config: Any, direction: str) -> HeaderRules | None:
    """The rules of a `HeadersConfig` (or ``None``) for ``"request"`` or ``"response"``; ``None``: nothing to do."""
    part = None if config is None else getattr(config, direction)
    if part is None:
        return None
    made = HeaderRules(part)
    return made if made else None


def _values(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)
