"""The contract: what a router and a middleware provide.

The names are vegur's callbacks (its ``vegur_interface`` behaviour). Every callback may return a plain value, a
``Deferred``, or be ``async def``; a plain value costs nothing extra.
"""

# zope.interface's methods have no self, and no body but their docstring.
# mypy knows them through its zope plugin.

from __future__ import annotations

from typing import Any

from zope.interface import Interface


class IRouter(Interface):
    """Decides where each request goes. One object serves all requests of a process.

    `state` is whatever `init` returned for this request. To fail a lookup or a checkout, raise
    `vegurtx.RouteError`; anything else that a callback raises becomes the reason ``"crashed"``.
    """

    def init(accepted_at: float, request: Any) -> Any:
        """The first call of every request; returns its `state`. `accepted_at`: seconds since the epoch."""

    def lookup_domain_name(domain: str, request: Any, state: Any) -> Any:
        """Return the domain group that `domain` (lower case, no port) belongs to, or a `vegurtx.Redirect`."""

    def checkout_service(domain_group: Any, request: Any, state: Any) -> Any:
        """Return a service of the group. Called again after each failed connect."""

    def service_backend(service: Any, request: Any, state: Any) -> Any:
        """Return the `vegurtx.Backend` at which the service is reached."""

    def checkin_service(
        domain_group: Any, service: Any, phase: str, service_state: Any, request: Any, state: Any
    ) -> Any:
        """The service is not used any more: once a failed connect, and exactly once at the end of each request.

        `phase`: ``"lookup"``, ``"checkout"``, ``"connecting"`` or ``"connected"``; `service_state`: ``"normal"``
        or the error's reason. A router that says yes to the feature ``"retry"`` also gets the phase ``"retrying"``:
        once for each try that failed after its connect and is followed by another.
        """

    def feature(name: str, request: Any, state: Any) -> Any:
        """Whether the feature `name` (``"deep_continue"``, ``"peer_port"``, or an unknown one) is on: a bool.

        ``"retry"`` is asked where a back-end has failed after its connect, nothing of a response has reached the
        client, and the request can be sent again: yes means a ``checkin_service`` and another ``checkout_service``.
        """

    def additional_headers(direction: str, log: Any, request: Any, state: Any) -> Any:
        """Return ``(name, value)`` pairs to add or to replace; with ``None`` for a value, to remove.

        A ``Set-Cookie`` stands beside those of the back-end; anything else takes the place of all of its name.
        `direction`: ``"upstream"``, into the request to the back-end, or ``"downstream"``, into the response.
        """

    def error_page(reason: Any, domain_group: Any, request: Any, state: Any) -> Any:
        """Return the `vegurtx.ErrorPage` for `reason`."""

    def terminate(status: str, request: Any, state: Any) -> Any:
        """The last call of every request. `status`: ``"normal"`` or ``"error"``."""


class IMiddleware(Interface):
    """One stage of the chain."""

    def execute(request: Any) -> Any:
        """Return ``None`` to go on, a `vegurtx.Response` to answer at once, or raise `vegurtx.RouteError`.

        It may return a ``Deferred`` of these, or be ``async def``.
        """


class IObserver(Interface):
    """Told what happens, beside the requests' way: for logs and numbers. See ``ProxyFactory.observer``.

    Everything is told at once, in the reactor's thread, and the request waits for it: an observer notes, and returns.
    What it raises is logged.
    """

    def ended(request: Any, status: str, reason: Any, domain_group: Any, service: Any) -> None:
        """A request has ended. Called before its final ``checkin_service`` and ``terminate``.

        `status`: ``"normal"`` or ``"error"``; `reason`: ``"normal"``, or what went wrong; `domain_group` and `service`:
        as for ``checkin_service``, `None` where the request never got that far.
        """

    def rejected(error: Any, connection: Any) -> None:
        """What is no request was answered by the proxy alone. `error` has ``what`` (a word of
        `vegurtx.errors.REJECTIONS`) and ``status``; `connection` has the client's address, ``peer``, or is `None`.
        """

    def opened(connection: Any) -> None:
        """A client's connection stands."""

    def closed(connection: Any) -> None:
        """A client's connection, which stood, is gone."""
