"""Uploads: every byte is checked at the back-end, and what it says of them is compared here."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from soak.content import chunk, digest, pieces
from soak.load.connection import Broken, Connection, Response
from soak.load.talk import Talk
from soak.outcome import Finding


async def send_body(
    talk: Talk, connection: Connection, key: int, size: int, *, chunked: bool, slow: bool
) -> None:
    """Send a body, in pieces of any size, with pauses where it is `slow`; what is left is not sent where it breaks."""
    random = talk.random
    step = (
        max(1, size // 20) if slow else random.choice((700, 4096, 65536, 65536)) if size < 200000 else 65536
    )
    with suppress(OSError):
        for piece in pieces(key, size, step):
            await connection.send(chunk(piece) if chunked else piece)
            if slow:
                await asyncio.sleep(random.uniform(0.05, 0.2))
        if chunked:
            await connection.send(b"0\r\nX-Soak-Trailer: of the upload\r\n\r\n")


def framing(chunked: bool, size: int) -> tuple[str, object]:
    """Return the field that says how the body is framed."""
    return ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", size)


async def _upload(talk: Talk, size: int, *, slow: bool = False, what: str = "upload") -> None:
    key = talk.plan.key()
    chunked = talk.random.random() < 0.5
    connection = await talk.connect()
    head = talk.head("POST", f"/plain/{what}?k={key}", framing(chunked, size), ("Trailer", "X-Soak-Trailer"))
    with suppress(OSError):
        await connection.send(head)
    # The response is read meanwhile: a back-end may answer before it has everything.
    sending = asyncio.create_task(send_body(talk, connection, key, size, chunked=chunked, slow=slow))
    try:
        response = await talk.answer("POST", key if what == "echo" else None)
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
    if response is None:
        return
    talk.count("bytes of uploads", size)
    if what == "echo":
        talk.check_body(response, key, size)
    else:
        _check_report(talk, response, key, size, chunked)


def _check_report(talk: Talk, response: Response, key: int, size: int, chunked: bool) -> None:
    """Compare what the back-end says that it has received with what was sent."""
    said = json.loads(response.body.data or b"{}")
    if said.get("wrong_at") is not None:
        raise Finding(f"{talk.id}: byte {said['wrong_at']} of the upload is wrong ({size} bytes)")
    if said.get("size") != size:
        raise Finding(f"{talk.id}: the upload has {size} bytes, {said.get('size')} came")
    if said.get("sha256") != digest(key, size):
        raise Finding(
            f"{talk.id}: the upload's digest is {digest(key, size)}, what came has {said.get('sha256')}"
        )
    if chunked and said.get("trailers", {}).get("x-soak-trailer") != "of the upload":
        raise Finding(f"{talk.id}: the upload's trailer has not come: {said.get('trailers')}")
    talk.count("bodies checked")


async def upload(talk: Talk) -> None:
    """One of any size."""
    await _upload(talk, talk.plan.size(1 << 19, 1 << 23))


async def slow_upload(talk: Talk) -> None:
    """One that takes seconds."""
    await _upload(talk, talk.random.randint(20, 100000), slow=True)


async def echo(talk: Talk) -> None:
    """One that comes back."""
    await _upload(talk, talk.plan.size(1 << 18, 1 << 20), what="echo")


async def expect(talk: Talk) -> None:
    """The body is sent when the proxy has said that it wants it (RFC 9110, section 10.1.1)."""
    key, size = talk.plan.key(), talk.plan.size(1 << 18)
    chunked = talk.random.random() < 0.5
    connection = await talk.connect()
    with suppress(OSError):
        head = talk.head("PUT", f"/plain/upload?k={key}", framing(chunked, size), ("Expect", "100-continue"))
        await connection.send(head)
    try:
        await connection.interim(100)
    except Broken:
        await talk.answer("PUT", None)  # says how it has ended, and whether that is excused
        return
    await send_body(talk, connection, key, size, chunked=chunked, slow=False)
    response = await talk.answer("PUT", None)
    if response is not None:
        talk.count("bytes of uploads", size)
        _check_report(talk, response, key, size, chunked)
