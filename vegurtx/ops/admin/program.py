"""What the admin API knows and does: the one process that it runs in.

`AdminApi` asks a `Program`; a supervisor of several processes is another one, which asks all of them and adds up. So
each method may return a Deferred, and gives plain values only.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import twisted
from vegurtx import __version__
from vegurtx.ops.live import snapshot
from vegurtx.ops.metrics.census import census
from vegurtx.ops.metrics.families import Family
from vegurtx.ops.metrics.sources import Metrics

#: parts of a key whose value is nobody's business
_SECRETS = ("authorization", "password", "secret", "token", "api-key", "apikey", "api_key")
HIDDEN = "(hidden)"


class Program(Protocol):
    """What the admin API is about. Each method may also return a Deferred of what it says."""

    def ready(self) -> Any:
        """``""``, or why no more clients should be sent."""

    def snapshot(self) -> Any:
        """All numbers: a list of `Family` objects."""

    def services(self) -> Any:
        """What `vegurtx.balance.router.Balancer.status` returns; without a balancer, no services."""

    def config(self) -> Any:
        """The configuration in force, without secrets: a dict."""

    def process(self) -> Any:
        """What runs, and since when: a dict."""

    def live(self) -> Any:
        """What the admin page shows: what `vegurtx.ops.live.snapshot` returns."""

    def reload(self) -> Any:
        """Read files again; a list of what was wrong with them, a line each.

        :raises LookupError: there are none.
        """

    def drain(self) -> Any:
        """Begin to end, as on SIGTERM: no more clients, and running requests are finished.

        :raises LookupError: that cannot be done from here, or it ends already.
        """

    def set_replica_state(self, service: str, key: str, state: str) -> Any:
        """Put a replica into the state ``ready``, ``drain`` or ``maint``.

        :raises KeyError: there is no such service or replica. :raises ValueError: there is no such state.
        """


class LocalProgram:
    """The process itself. See `Program`.

    :param factory: its `ProxyFactory`.
    :param metrics: its numbers.
    :param balancer: the router, where it is a `Balancer`.
    :param reload: reads the configuration again, and returns what was wrong with it; `None`: there is nothing to read.
    :param listening: whether the proxy listens by now.
    :param drain: begins the program's end; `None`: that is for others to say.
    """

    def __init__(
        self,
        factory: Any,
        metrics: Metrics,
        *,
        balancer: Any = None,
        reload: Callable[[], list[str]] | None = None,
        listening: Callable[[], bool] = lambda: True,
        drain: Callable[[], object] | None = None,
    ) -> None:
        self._factory = factory
        self._metrics = metrics
        self._balancer = balancer
        self._reload = reload
        self._listening = listening
        self._drain = drain
        self._started_at = factory.wall()
        self._started = factory.seconds()

    def ready(self) -> str:
        """See `Program`."""
        if self._factory.draining:
            return "draining"
        return "" if self._listening() else "not listening"

    def snapshot(self) -> list[Family]:
        """See `Program`."""
        return self._metrics.snapshot()

    def services(self) -> dict[str, Any]:
        """See `Program`."""
        if self._balancer is None:
            return {"services": [], "names": []}
        status: dict[str, Any] = self._balancer.status()
        return status

    def config(self) -> dict[str, Any]:
        """See `Program`."""
        made: dict[str, Any] = {"settings": self._settings()}
        if self._balancer is not None:
            made["file"] = without_secrets(self._balancer.config.model_dump(mode="json", fallback=str))
        return made

    def _settings(self) -> Any:
        return without_secrets(self._factory.settings.model_dump(mode="json", fallback=str))

    def process(self) -> dict[str, Any]:
        """See `Program`."""
        factory = self._factory
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "uptime_seconds": factory.seconds() - self._started,
            "python": platform.python_version(),
            "twisted": twisted.__version__,
            "reactor": type(factory.reactor).__name__,
            "router": type(factory.router).__qualname__,
            "draining": factory.draining,
            "requests_total": self._metrics.traffic.requests,
            **census(factory)._asdict(),
            "settings": self._settings(),
        }

    def live(self) -> dict[str, Any]:
        """See `Program`."""
        recent = getattr(self._factory.observer, "recent", None)
        return snapshot(self._factory, self._metrics.traffic, recent=recent, balancer=self._balancer)

    def reload(self) -> list[str]:
        """See `Program`."""
        if self._reload is None:
            raise LookupError("there is nothing that could be read again")
        return list(self._reload())

    def drain(self) -> None:
        """See `Program`."""
        if self._drain is None:
            raise LookupError("whoever has started this program has to end it")
        if self._factory.draining:
            raise LookupError("it drains already")
        self._drain()

    def controlled_by(
        self, reload: Callable[[], list[str]] | None, drain: Callable[[], object] | None
    ) -> None:
        """Whoever runs this program can do these things better; see the constructor."""
        self._reload = reload or self._reload
        self._drain = drain

    def set_replica_state(self, service: str, key: str, state: str) -> None:
        """See `Program`."""
        if self._balancer is None:
            raise KeyError(service)
        self._balancer.set_replica_state(service, key, state)

    def replica_states(self) -> dict[tuple[str, str], str]:
        """``(service, replica's key) → state``, as `set_replica_state` has set it."""
        if self._balancer is None:
            return {}
        services = self._balancer.services.items()
        return {(name, each.key): each.admin for name, service in services for each in service.replicas}


def without_secrets(value: Any) -> Any:
    """`value`, plain ones nested in each other, with what stands under a secret's name taken out."""
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if each is not None and _is_secret(key) else without_secrets(each)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(each) for each in value]
    return value


def _is_secret(key: object) -> bool:
    name = str(key).lower()
    return any(part in name for part in _SECRETS)
