"""`Router`: a base class that makes a useful router ten lines long."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from vegurtx.errors import Reason, entry
from vegurtx.interfaces import IRouter
from vegurtx.message import ErrorPage, HeaderPairs


@implementer(IRouter)
class Router:
    """Everything of `IRouter` but ``checkout_service`` and ``service_backend``, with vegur's default error table.

    The domain group is the domain itself, the state ``None``, no feature is on and no header is added.
    """

    def init(self, accepted_at: float, request: Any) -> Any:
        """No state."""
        return None

    def lookup_domain_name(self, domain: str, request: Any, state: Any) -> Any:
        """Each domain is a group of its own."""
        return domain

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Any:
        """For a subclass to say."""
        raise TypeError(f"{type(self).__name__} must define checkout_service")

    def service_backend(self, service: Any, request: Any, state: Any) -> Any:
        """For a subclass to say."""
        raise TypeError(f"{type(self).__name__} must define service_backend")

    def checkin_service(
        self, domain_group: Any, service: Any, phase: str, service_state: Any, request: Any, state: Any
    ) -> Any:
        """Nothing to give back."""

    def feature(self, name: str, request: Any, state: Any) -> Any:
        """All features are off."""
        return False

    def additional_headers(self, direction: str, log: Any, request: Any, state: Any) -> HeaderPairs | Any:
        """Nothing to add."""
        return ()

    def error_page(self, reason: Reason, domain_group: Any, request: Any, state: Any) -> Any:
        """An empty page with the status that the stage asked for, or else the reasons table's."""
        return ErrorPage(getattr(request, "suggested_code", None) or entry(reason).status)

    def terminate(self, status: str, request: Any, state: Any) -> Any:
        """Nothing to tear down."""
