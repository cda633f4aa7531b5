"""SIGHUP under load: requests and WebSockets do not notice, and nothing is left of the old files."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from acceptance_case import AcceptanceCase, Clients, until
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

#: files that follow each other; the service of the WebSockets is in the first one only
FILES = (
    """
    services:
      - {name: talk, matcher: /talk, replicas: [{url: TALK}], sticky: true}
      - name: web
        matcher: /
        keepalive: false
        replicas: [{url: A, weight: 2}, {url: B}]
    """,
    """
    services:
      - name: web
        matcher: [/, /other]
        strategy: {name: ConsistentHash, on: path}
        keepalive: false
        replicas: [{url: B}]
        passive_health: true
        circuit_breaker: true
        queue: true
        headers: {response: {set: {X-File: second}}}
    """,
    """
    services:
      - {name: gone, matcher: /gone, replicas: [{url: A}], health_check: {path: /bytes/1, interval: 0.05}}
      - {name: renamed, keepalive: false, replicas: [{url: A, max_connections: 50}], strategy: LeastConnections}
      - {name: web, keepalive: false, replicas: [{url: A}, {url: B}], health_check: false, sticky: true}
    splits: [{name: part, matcher: /, services: {renamed: 1, web: 1}}]
    """,
)
BROKEN = "services: [{name: web, matcher: x, replicas: [{url: ftp://x}]}]\n"
STAYS = "the configuration in force stays as it was"


class Talking:
    """Open WebSockets, and the server that repeats what they say. Leaving it closes both."""

    def __init__(self) -> None:
        self._open: list[Any] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Talking:
        self._server = self._stack.enter_context(serve(_repeat, "127.0.0.1", 0))
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(self._server.shutdown)
        self.url = f"http://127.0.0.1:{self._server.socket.getsockname()[1]}"
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def open(self, port: int, count: int) -> None:
        """So many through the proxy."""
        for _ in range(count):
            self._open.append(self._stack.enter_context(connect(f"ws://127.0.0.1:{port}/talk", proxy=None)))

    def close(self) -> None:
        """Close all of them."""
        for one in self._open:
            one.close()
        self._open.clear()

    def say(self, text: str) -> list[str]:
        """What each of them hears when it says `text`."""
        for one in self._open:
            one.send(text)
        return [one.recv(timeout=30) for one in self._open]


def _repeat(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


class Reload(AcceptanceCase):
    """Files that take turns."""

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[Talking, Any, list[str]]]:
        """WebSockets, the program, and the files with their URLs."""
        backends = self.backends("A", "B")
        with Talking() as talking:
            files = [file.replace("TALK", f'"{talking.url}"') for file in FILES]
            for backend in backends:
                files = [file.replace(f"url: {backend.name}", f'url: "{backend.url}"') for file in files]
            yield talking, self.start(files[0]), files

    def test_under_load(self) -> None:
        """Twelve reloads, each third one of a file that cannot be used."""
        with self.running() as (talking, proxy, files):
            talking.open(proxy.port, 3)
            talking.say("before")
            before = proxy.fds()
            with Clients(proxy.port, 6) as clients:
                for turn in range(1, 13):
                    if turn % 3:
                        self.reload(proxy, files[turn % len(files)])
                    else:
                        self.reload(proxy, BROKEN, STAYS)
                    clients.go_on(20)
                    self.assertEqual(talking.say(f"turn {turn}"), [f"turn {turn}"] * 3)
            self.assertEqual(clients.failures, [])
            self.reload(proxy, files[0])
            until(lambda: proxy.fds() <= before, f"{before} descriptors, not {proxy.fds()}")
            talking.close()
            until(lambda: proxy.fds() <= before - 6, "closed tunnels")

    def test_in_a_burst(self) -> None:
        """As many signals as the kernel takes, with files that change in between: the last one counts."""
        with self.running() as (_, proxy, files):
            for turn in range(60):
                self.write(files[turn % 2])
                proxy.signal(1)
            self.reload(proxy, files[1])
            with Clients(proxy.port, 2) as clients:
                clients.go_on(10)
            self.assertEqual(clients.failures, [])

    def test_what_is_known_stays(self) -> None:
        """A replica that is down is down after a reload; a changed file of the same replica does not revive it."""
        alive, dead = self.demo_replicas(2)
        text = (
            "services: [{name: web, matcher: /, retries: false, "
            f"replicas: [{{url: '{alive.url}'}}, {{url: '{dead.url}', weight: WEIGHT}}], "
            "health_check: {interval: 0.05, fall: 1}}]"
        )
        proxy = self.start(text.replace("WEIGHT", "1"))
        dead.kill()
        proxy.wait_for("is down")
        for weight in range(2, 6):
            self.reload(proxy, text.replace("WEIGHT", str(weight)))
            with Clients(proxy.port, 1) as clients:
                clients.go_on(6)
            self.assertEqual(clients.failures, [])
