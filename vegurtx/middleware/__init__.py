"""The stages of the chain, one a file. Each is an `IMiddleware`; a user puts his own anywhere among them."""

from __future__ import annotations

from vegurtx.middleware.continue_ import Continue
from vegurtx.middleware.lookup_domain import LookupDomain
from vegurtx.middleware.lookup_service import LookupService
from vegurtx.middleware.proxy import Proxy
from vegurtx.middleware.upgrade import Upgrade
from vegurtx.middleware.validate_headers import ValidateHeaders

__all__ = [
    "Continue",
    "LookupDomain",
    "LookupService",
    "Proxy",
    "Upgrade",
    "ValidateHeaders",
    "default_middlewares",
]


def default_middlewares() -> list[object]:
    """The default chain, in its order: a new list, to put own stages into."""
    return [ValidateHeaders(), LookupDomain(), Continue(), Upgrade(), LookupService(), Proxy()]
