"""Clients that leave at every stage, in good order or with a reset. The access log must know of it, nobody else."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from soak.content import chunk, pieces
from soak.load.connection import Connection
from soak.load.plain import target
from soak.load.talk import Talk
from soak.load.uploads import framing

#: a response may be out already when its client leaves, and be whole as far as anybody can know
_LEFT_WHILE_READING = ("", "H18", "H27")


def _leave(talk: Talk, connection: Connection) -> None:
    how = "reset" if talk.random.random() < 0.5 else "close"
    talk.count(f"aborts {talk.plan.kind}, {how}")
    connection.reset() if how == "reset" else connection.close()


async def abort_head(talk: Talk) -> None:
    """Inside the head: no request has ever come."""
    connection = await talk.connect()
    head = talk.head("GET", target(talk.plan, 1, 1), ("X-Fill", "x" * 300))
    with suppress(OSError):
        await connection.send(head[: talk.random.randrange(len(head))])
    await asyncio.sleep(talk.random.uniform(0, 0.3))
    _leave(talk, connection)
    talk.log_must_say([], lines=(0, 0))


async def abort_upload(talk: Talk) -> None:
    """Inside the body."""
    connection = await talk.connect()
    key, size = talk.plan.key(), talk.random.randint(1000, 1 << 20)
    chunked = talk.random.random() < 0.5
    part = talk.random.randrange(size)
    with suppress(OSError):
        await connection.send(talk.head("POST", f"/plain/upload?k={key}", framing(chunked, size)))
        for piece in pieces(key, part):
            await connection.send(chunk(piece) if chunked else piece)
    await asyncio.sleep(talk.random.uniform(0, 0.3))
    _leave(talk, connection)
    # A reset may overtake the head.
    talk.log_must_say(["H27"], lines=(0, 1))


async def abort_waiting(talk: Talk) -> None:
    """Before the response."""
    connection = await talk.connect()
    with suppress(OSError):
        await connection.send(talk.head("GET", target(talk.plan, 1, 1000, ms=800)))
    await asyncio.sleep(talk.random.uniform(0, 0.4))
    _leave(talk, connection)
    talk.log_must_say(_LEFT_WHILE_READING, lines=(0, 1))


async def abort_response(talk: Talk) -> None:
    """Inside the response."""
    connection = await talk.connect(receive_buffer=talk.random.choice((0, 16384)))
    key, size = talk.plan.key(), talk.random.randint(1 << 16, 1 << 22)
    with suppress(OSError):
        await connection.send(talk.head("GET", target(talk.plan, key, size)))
        for _ in range(talk.random.randint(1, 5)):
            if not await connection.read_some():
                break
    _leave(talk, connection)
    talk.log_must_say(_LEFT_WHILE_READING, lines=(0, 1))
