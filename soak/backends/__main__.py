"""A process with back-ends: ``python -m soak.backends '{"name": PORT, ...}'``, each a port that is reserved, or 0.

Names that begin with ``tls`` speak TLS (``--certificate``, ``--private-key``), those with ``ws`` WebSocket. It prints
a line of JSON with the ports when all listen, and one with its counts for each line that it reads; the input's end ends
it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import ssl
import sys
from contextlib import suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from soak.backends.heads import LIMIT
from soak.backends.listening import listening
from soak.backends.server import Backend


async def echo_messages(connection: ServerConnection) -> None:
    """Send each message back, until the client leaves, in whatever way."""
    with suppress(ConnectionClosed):
        async for message in connection:
            await connection.send(message)


async def _serve(options: argparse.Namespace) -> None:
    ports: dict[str, int] = json.loads(options.ports)
    backends = []
    for name in ports:
        sock = listening(ports[name])
        ports[name] = sock.getsockname()[1]
        if name.startswith("ws"):
            await serve(echo_messages, sock=sock, compression=None, ping_interval=None)
            continue
        backend = Backend(name)
        backends.append(backend)
        context = None
        if name.startswith("tls"):
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(options.certificate, options.private_key)
        await asyncio.start_server(backend.serve, sock=sock, ssl=context, limit=LIMIT)
    _say(ports)
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    while await orders.readline():
        _say(
            {
                "counts": {backend.name: dict(backend.counts) for backend in backends},
                "malformed": [problem for backend in backends for problem in backend.malformed],
            }
        )


def _say(what: Any) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m soak.backends")
    parser.add_argument("ports")
    parser.add_argument("--certificate")
    parser.add_argument("--private-key")
    # That handshakes and responses are cut short is planned.
    for name in ("websockets", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
