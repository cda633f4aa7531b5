"""The routing table is in a database: each request looks its domain up, in a thread, and the proxy does not wait.

The database (`ROUTES_DATABASE`, by default routes.sqlite in the working directory) has one table:

    CREATE TABLE routes (domain TEXT, host TEXT, port INTEGER);

    twistd -n vegur --router examples.sqlite_router.SQLiteRouter
"""

import os
import random
from typing import Any

from twisted.enterprise.adbapi import ConnectionPool

from vegurtx import Backend, RouteError, Router

Server = tuple[str, int]
QUERY = "SELECT host, port FROM routes WHERE domain = ?"


class SQLiteRouter(Router):
    """`adbapi` runs the query in a thread of its own; what comes back is a Deferred, and `await` takes it."""

    def __init__(self, path: str = os.environ.get("ROUTES_DATABASE", "routes.sqlite")) -> None:
        # A connection serves one thread at a time, though not always the same one.
        self.database: Any = ConnectionPool("sqlite3", path, check_same_thread=False, cp_max=4)

    def init(self, accepted_at: float, request: Any) -> list[Server]:
        return []  # the servers that were tried

    async def lookup_domain_name(self, domain: str, request: Any, tried: list[Server]) -> list[Server]:
        servers: list[Server] = await self.database.runQuery(QUERY, (domain,))
        if not servers:
            raise RouteError("not_found")
        return servers

    def checkout_service(self, servers: list[Server], request: Any, tried: list[Server]) -> Server:
        available = [server for server in servers if server not in tried]
        if not available:
            raise RouteError("all_blocked", 502)
        tried.append(random.choice(available))
        return tried[-1]

    def service_backend(self, server: Server, request: Any, tried: list[Server]) -> Backend:
        return Backend(*server, keepalive="default")
