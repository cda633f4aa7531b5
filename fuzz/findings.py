"""What a target raises when something that must hold does not."""

from __future__ import annotations

from typing import NoReturn


class Finding(AssertionError):
    """A claim about a parser, or about the proxy, is broken by an input."""


def fail(claim: str, *shown: object) -> NoReturn:
    """Report a broken claim with the values that break it, each cut to 400 characters."""
    raise Finding("\n  ".join([claim, *(repr(value)[:400] for value in shown)]))


def hold(condition: object, claim: str, *shown: object) -> None:
    """Go on if `condition` holds.

    :raises Finding: it does not.
    """
    if not condition:
        fail(claim, *shown)


def same(found: object, wanted: object, claim: str, *shown: object) -> None:
    """Go on if both are equal.

    :raises Finding: they are not.
    """
    if found != wanted:
        fail(claim, found, wanted, *shown)
