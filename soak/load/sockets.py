"""WebSockets through the proxy: messages of all sizes come back, whole or in fragments; some clients just leave."""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from soak.content import Received, body
from soak.load.talk import ANY_CODE, Talk
from soak.outcome import Finding

_HANDSHAKE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


async def websocket(talk: Talk) -> None:
    """Messages to and fro, pings, and a close in good order."""
    where = talk.shared.where
    scheme, port = ("wss", where.https) if talk.plan.tls else ("ws", where.http)
    context: Any = {"ssl": where.context, "server_hostname": "soak.example"} if talk.plan.tls else {}
    talk.count("requests websocket")
    try:
        async with connect(
            f"{scheme}://127.0.0.1:{port}/ws/echo",
            additional_headers={"X-Request-Id": talk.next_id()},
            compression=None,
            ping_interval=None,
            proxy=None,
            close_timeout=10,
            **context,
        ) as connection:
            for _ in range(talk.random.randint(1, 12)):
                await _message(talk, connection)
                if talk.random.random() < 0.2:
                    await (await connection.ping())
                if talk.random.random() < 0.5:
                    await asyncio.sleep(talk.random.uniform(0.0, 0.6))
    except (ConnectionClosed, InvalidHandshake, OSError, EOFError) as problem:
        ended = repr(problem)
    else:
        ended = f"{connection.close_code} {connection.close_reason!r}"
        if connection.close_code == 1000:
            talk.log_must_say([""], [101])
            return
    if not talk.excused(["worker-kill"]):
        raise Finding(f"{talk.id}: the WebSocket ended with {ended}")
    talk.count("excused: broken off")
    talk.log_must_say(ANY_CODE, lines=(0, 1))


async def _message(talk: Talk, connection: Any) -> None:
    key, size = talk.plan.key(), talk.plan.size(1 << 15, 1 << 18)
    data = body(key, size)
    as_text = talk.random.random() < 0.3
    message: Any = data.hex() if as_text else data
    if size > 3 and talk.random.random() < 0.3:
        cuts = sorted(talk.random.sample(range(len(message)), 2))
        await connection.send([message[: cuts[0]], message[cuts[0] : cuts[1]], message[cuts[1] :]])
    else:
        await connection.send(message)
    echo = await connection.recv()
    received = Received(key)
    received.feed(bytes.fromhex(echo) if isinstance(echo, str) else echo)
    if isinstance(echo, str) != as_text:
        raise Finding(f"{talk.id}: a message came back as {type(echo).__name__}")
    if problem := received.problem(size):
        raise Finding(f"{talk.id}: {problem} (a message)")
    talk.count("bytes of messages", 2 * size)
    talk.count("bodies checked", 2)


async def abort_websocket(talk: Talk) -> None:
    """In the handshake, or inside a message."""
    connection = await talk.connect()
    try:
        await connection.send(talk.head("GET", "/ws/echo", *_HANDSHAKE))
        if talk.random.random() < 0.7:
            await connection.read_some()
            # A masked binary message of 1000 bytes, and a part of it.
            await connection.send(b"\x82\xfe\x03\xe8\x00\x00\x00\x00" + bytes(talk.random.randrange(1000)))
    except OSError:
        pass
    await asyncio.sleep(talk.random.uniform(0, 0.2))
    how = "reset" if talk.random.random() < 0.5 else "close"
    talk.count(f"aborts {talk.plan.kind}, {how}")
    connection.reset() if how == "reset" else connection.close()
    talk.log_must_say(["", "H18", "H27"], lines=(0, 1))
