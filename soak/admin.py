"""A client of the proxy's admin API, on its UNIX socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote


class AdminFailed(Exception):
    """There is no answer, or another one than was asked for."""


class Admin:
    """See the module's text.

    :param path: of the socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    async def process(self) -> dict[str, Any]:
        """What runs, and what it has to do: connections, requests, workers."""
        found: dict[str, Any] = (await self.ask("GET", "/api/process"))[1]
        return found

    async def set_replica_state(self, service: str, key: str, state: str) -> bool:
        """Put a replica into a state; returns whether there is such a replica now."""
        path = f"/api/services/{service}/replicas/{quote(key, safe='')}/state"
        return (await self.ask("POST", path, {"state": state}, allowed=(200, 404)))[0] == 200

    async def ask(
        self, method: str, path: str, value: Any = None, allowed: tuple[int, ...] = (200,)
    ) -> tuple[int, Any]:
        """Make a request; returns its status, and what the JSON says.

        :raises AdminFailed: no answer, or another status than `allowed`.
        """
        try:
            async with asyncio.timeout(20.0):
                return await self._ask(method, path, value, allowed)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as problem:
            raise AdminFailed(f"{method} {path}: {problem!r}") from None

    async def _ask(self, method: str, path: str, value: Any, allowed: tuple[int, ...]) -> tuple[int, Any]:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            body = b"" if value is None else json.dumps(value).encode()
            head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            status = int(answer.split(b" ", 2)[1])
            text = await reader.read()
        finally:
            writer.close()
        if status not in allowed:
            raise AdminFailed(f"{method} {path}: {status} {text[:300]!r}")
        return status, json.loads(text)
