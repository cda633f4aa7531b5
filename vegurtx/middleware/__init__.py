"""The stages of the chain, one a file. Each is an `IMiddleware`; a user puts his own anywhere among them."""

from __future__ import annotations

from vegurtx.middleware.continue_ import Continue
from vegurtx.middleware.lookup_domain import LookupDomain
from vegurtx.middleware.lookup_service import LookupService
from vegurtx.middleware.proxy import Proxy
from vegurtx.middleware.upgrade import Upgrade
from vegurtx.middleware.validate_headers import ValidateHeaders

#: the stages that have nothing to do for a plain request: a good head that expects no 100 and no upgrade
IDLE_ON_PLAIN = (ValidateHeaders, Continue, Upgrade)

__all__ = [
    "IDLE_ON_PLAIN",
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
