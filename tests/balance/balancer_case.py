"""What the balancer's conversations share: a configuration, its balancer behind a real proxy, and an even account."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

from vegurtx.balance.config import load
from vegurtx.balance.router import Balancer
from vegurtx.testing import (
    ProxyTestCase,
    Response,
    RunningProxy,
    ScriptedConnection,
    ScriptedServer,
    answering,
)

GET = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"


def saying(text: str, status: str = "200 OK") -> Any:
    """The handler of a back-end that answers with `text`."""
    return answering(
        b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status.encode(), len(text), text.encode())
    )


def get(target: str = "/", *fields: str, method: str = "GET") -> bytes:
    """A request without a body."""
    lines = [f"{method} {target} HTTP/1.1", "Host: example.org", *fields]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def file(text: str) -> Any:
    """The configuration that a YAML text says; without health checks, unless the text has one."""
    return load(dedent(text), "config.yaml")


def one_service(*urls: str, **sections: Any) -> Any:
    """A configuration with the one service ``web``, which gets everything; `sections` are its other keys."""
    lines = "".join(f"      - {{url: '{url}'}}\n" for url in urls)
    sections.setdefault("health_check", "false")
    rest = "".join(f"    {key}: {value}\n" for key, value in sections.items())
    return load(f"services:\n  - name: web\n    matcher: /\n    replicas:\n{lines}{rest}", "config.yaml")


def url(backend: Any) -> str:
    """Where a scripted back-end is."""
    return f"unix:{backend.path}" if getattr(backend, "path", None) else f"http://127.0.0.1:{backend.port}"


class BalancerCase(ProxyTestCase):
    """A balancer behind a proxy, with scripted peers on both sides."""

    balancer: Balancer

    def balance(self, config: Any, **options: Any) -> Balancer:
        """A balancer of `config`, stopped after the test."""
        balancer = self.balancer = Balancer(config, reactor=self.reactor, **options)
        self.addCleanup(balancer.stop)
        return balancer

    async def serving(self, config: Any, **settings: Any) -> RunningProxy:
        """A proxy whose router is a balancer of `config`."""
        return await self.proxy(self.balance(config), **settings)

    async def named(self, *names: str) -> list[ScriptedServer]:
        """Back-ends that answer with their names."""
        return [await self.backend(handler=saying(name)) for name in names]

    async def ask(self, client: ScriptedConnection, request: bytes = GET) -> Response:
        """One request, and its response."""
        client.send(request)
        return await client.receive_response()

    async def even(self) -> None:
        """Wait until nobody holds or awaits anything any more: every try was given back, and none twice."""
        services = list(self.balancer.services.values())
        await self.until(lambda: not any(one.in_flight or one.queue for one in services), "an even account")
        for service in services:
            self.assertEqual([one.in_flight for one in service.replicas], [0] * len(service.replicas))
            self.assertEqual(service.full, 0)
            total = sum(one.total for one in service.replicas)
            self.assertLessEqual(
                total, service.total
            )  # those of replicas that have gone are the service's alone

    def service(self, name: str = "web") -> Any:
        """A service of the balancer."""
        return self.balancer.services[name]
