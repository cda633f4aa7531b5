"""A router for tests: it records every callback, and answers each as the test says.

It stands where a user's own router stands, behind the chain, and is built on the public contract only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from vegurtx.errors import Reason, RouteError
from vegurtx.router import Router
from vegurtx.testing.waiting import PATIENCE, Waiters, running_reactor

CALLBACKS = (
    "init",
    "lookup_domain_name",
    "checkout_service",
    "service_backend",
    "checkin_service",
    "feature",
    "additional_headers",
    "error_page",
    "terminate",
)

_UNSET: Any = object()


class Call(NamedTuple):
    """One callback as it was called.

    `arguments` are those that belong to the callback alone, in the order of the contract: `request`,
    `state` and the request's `log` are left out, and `init` has `(accepted_at,)`.
    """

    name: str
    arguments: tuple[Any, ...]
    request: Any
    state: Any


class RecordingRouter(Router):
    """A router that records every callback in `calls` and leads to the given back-ends.

    By default the first checkout of each request gives the first back-end, the next one (after a failed
    connect) the second, and so on; when there are no more, `RouteError(exhausted)`. A service is the
    back-end itself.

    Any callback can be given another answer by its name, here or later with `on`:

    - an exception, class or object: it is raised,
    - a `Deferred`, or any other value: it is returned as it is,
    - a function, `async` or not: it is called with the callback's own arguments, and its result returned.
      `Router`'s answer is to be had from the class: `Router.lookup_domain_name(router, domain, request, state)`.

    For example `RecordingRouter([backend], feature=True, checkin_service=RuntimeError("boom"))`.

    :param backends: what `checkout_service` gives in turn: `Backend`s, or anything with an `as_backend`
        method.
    :param keepalive: how connections to those back-ends are kept, as in `Backend`.
    :param exhausted: the reason when every back-end was tried.
    :param timeout: seconds that `await router.finished` waits.
    :param answers: other answers, by callback.
    """

    def __init__(
        self,
        backends: list[Any] | tuple[Any, ...] = (),
        *,
        keepalive: Any = None,
        exhausted: Reason = "all_blocked",
        timeout: float = PATIENCE,
        **answers: Any,
    ) -> None:
        self.calls: list[Call] = []
        """Every callback so far, in order."""
        self.backends = [
            each.as_backend(keepalive) if hasattr(each, "as_backend") else each for each in backends
        ]
        self.exhausted = exhausted
        self.timeout = timeout
        self._answers: dict[str, Any] = {}
        self._tries: dict[int, int] = {}
        self._terminated: deque[str] = deque()
        self._waiters: Waiters | None = None
        self.on(**answers)

    def on(self, **answers: Any) -> None:
        """From now on answer these callbacks so; see the class. Raises `TypeError` for a name that is no
        callback.
        """
        for name in answers:
            if name not in CALLBACKS:
                raise TypeError(f"{name!r} is no callback of a router; they are {', '.join(CALLBACKS)}")
        self._answers.update(answers)

    # -- what was recorded -------------------------------------------------------------------------

    @property
    def names(self) -> list[str]:
        """The names of all callbacks so far, in order."""
        return [call.name for call in self.calls]

    @property
    def requests(self) -> list[Any]:
        """The request of every `init` so far."""
        return [call.request for call in self.of("init")]

    def of(self, name: str) -> list[Call]:
        """Return every call of the callback `name` so far."""
        return [call for call in self.calls if call.name == name]

    def count(self, name: str) -> int:
        """Return how often the callback `name` was called so far."""
        return len(self.of(name))

    @property
    def finished(self) -> Finished:
        """The end of the next request: `status = await router.finished` waits for a `terminate`.

        Each `await` takes one, in the order they come, those that came before it included.
        """
        return Finished(self)

    async def _finish(self) -> str:
        if self._waiters is None:
            self._waiters = Waiters(running_reactor(), lambda: f"the router's calls so far: {self.names}")
        return await self._waiters.until(
            lambda: self._terminated.popleft() if self._terminated else None, "terminate", self.timeout
        )

    # -- the callbacks -----------------------------------------------------------------------------

    def init(self, accepted_at: float, request: Any) -> Any:
        """Record the call and answer it. (So do all that follow.)"""
        self.calls.append(Call("init", (accepted_at,), request, None))
        return self._answer("init", Router.init, accepted_at, request)

    def lookup_domain_name(self, domain: str, request: Any, state: Any) -> Any:
        """By default the domain itself is the group."""
        self.calls.append(Call("lookup_domain_name", (domain,), request, state))
        return self._answer("lookup_domain_name", Router.lookup_domain_name, domain, request, state)

    def checkout_service(self, domain_group: Any, request: Any, state: Any) -> Any:
        """By default the next back-end that this request has not tried."""
        self.calls.append(Call("checkout_service", (domain_group,), request, state))
        return self._answer("checkout_service", RecordingRouter._next_backend, domain_group, request, state)

    def service_backend(self, service: Any, request: Any, state: Any) -> Any:
        """By default the service itself is the back-end."""
        self.calls.append(Call("service_backend", (service,), request, state))
        return self._answer("service_backend", RecordingRouter._same, service, request, state)

    def checkin_service(
        self, domain_group: Any, service: Any, phase: str, service_state: Any, request: Any, state: Any
    ) -> Any:
        """By default nothing."""
        arguments = (domain_group, service, phase, service_state)
        self.calls.append(Call("checkin_service", arguments, request, state))
        return self._answer("checkin_service", Router.checkin_service, *arguments, request, state)

    def feature(self, name: str, request: Any, state: Any) -> Any:
        """By default off. An answer given as a `set` or `frozenset` names the features that are on."""
        self.calls.append(Call("feature", (name,), request, state))
        answer = self._answer("feature", Router.feature, name, request, state)
        return name in answer if isinstance(answer, (set, frozenset)) else answer

    def additional_headers(self, direction: str, log: Any, request: Any, state: Any) -> Any:
        """By default none. An answer given as a `dict` has a list of pairs for each direction."""
        self.calls.append(Call("additional_headers", (direction,), request, state))
        answer = self._answer("additional_headers", Router.additional_headers, direction, log, request, state)
        return answer.get(direction, ()) if isinstance(answer, dict) else answer

    def error_page(self, reason: Reason, domain_group: Any, request: Any, state: Any) -> Any:
        """By default the reasons table's page."""
        self.calls.append(Call("error_page", (reason, domain_group), request, state))
        return self._answer("error_page", Router.error_page, reason, domain_group, request, state)

    def terminate(self, status: str, request: Any, state: Any) -> Any:
        """By default nothing; then `finished` goes on, whatever the answer is."""
        self.calls.append(Call("terminate", (status,), request, state))
        self._tries.pop(id(request), None)
        try:
            return self._answer("terminate", Router.terminate, status, request, state)
        finally:
            self._terminated.append(status)
            if self._waiters is not None:
                # In a later turn: the proxy shall have done what it does after its last call when the test
                # goes on.
                running_reactor().callLater(0, self._waiters.check)

    # -- behind it ---------------------------------------------------------------------------------

    def _answer(self, name: str, default: Callable[..., Any], *arguments: Any) -> Any:
        answer = self._answers.get(name, _UNSET)
        if answer is _UNSET:
            return default(self, *arguments)
        return _given(answer, arguments)

    def _next_backend(self, domain_group: Any, request: Any, state: Any) -> Any:
        tried = self._tries.get(id(request), 0)
        if tried >= len(self.backends):
            raise RouteError(self.exhausted)
        self._tries[id(request)] = tried + 1
        return self.backends[tried]

    def _same(self, service: Any, request: Any, state: Any) -> Any:
        return service


class Finished:
    """The end of one request at a `RecordingRouter`; `await` it. Nothing is waited for, or taken, before
    that.
    """

    def __init__(self, router: RecordingRouter) -> None:
        self._router = router

    def __await__(self) -> Generator[Any, Any, str]:
        return self._router._finish().__await__()


def router_to(*backends: Any, keepalive: Any = None, **answers: Any) -> RecordingRouter:
    """Return a `RecordingRouter` that leads to `backends`, tried in this order by each request.

    `keepalive` is as in `Backend`; `answers` are as in `RecordingRouter`.
    """
    return RecordingRouter(backends, keepalive=keepalive, **answers)


def in_turn(*answers: Any) -> Callable[..., Any]:
    """Return an answer for `RecordingRouter.on` that gives `answers` one after the other, the last one for
    ever.

    Each is treated as an answer of its own: exceptions are raised, functions called. For example
    `router_to(a, checkout_service=in_turn(RouteError("busy"), backend))`.
    """
    left = deque(answers)

    def answer(*arguments: Any) -> Any:
        given = left.popleft() if len(left) > 1 else left[0]
        return _given(given, arguments)

    return answer


def _given(answer: Any, arguments: tuple[Any, ...]) -> Any:
    """What a callback does for which a test gave `answer`."""
    if isinstance(answer, BaseException) or (isinstance(answer, type) and issubclass(answer, BaseException)):
        raise answer
    return answer(*arguments) if callable(answer) else answer
