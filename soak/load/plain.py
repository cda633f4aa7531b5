"""Requests that must succeed, whatever is reloaded, drained or upgraded meanwhile: GET, HEAD, pipelining, HTTP/1.0."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from soak.load.connection import Connection
from soak.load.talk import ANY_CODE, ClosedBetween, Talk
from soak.outcome import Finding, ends
from soak.plan import Planned


def target(plan: Planned, key: int, size: int, service: str = "plain", **more: object) -> str:
    """Return the target of a GET of the body with this key, in any framing."""
    framing = plan.random.choice(("length", "length", "chunked", "chunked", "close"))
    query = "".join(f"&{name}={value}" for name, value in {"f": framing, **more}.items())
    return f"/{service}/get?k={key}&n={size}{query}"


async def get(talk: Talk, service: str = "plain", **options: Any) -> None:
    """One request of many kinds, on the connection that there is."""
    plan, random = talk.plan, talk.random
    key, size = plan.key(), plan.size(1 << 18, 1 << 22)
    what = random.random()
    method, status, more = "GET", 200, dict[str, object]()
    if what < 0.1:
        method = "HEAD"
    elif what < 0.15:
        status, text = random.choice(((204, "204+None"), (304, "304+Same")))
        more = {"s": text, "f": "length"}
    elif what < 0.2:
        more["i"] = random.randint(1, 3)
    elif what < 0.3:
        more["c"] = random.choice((1000, 4096, 16384)) if size < 1 << 18 else 65536
    elif what < 0.35:
        more["ms"] = random.randint(10, 500)
    response = await talk.ask(
        method, target(plan, key, size, service, **more), key, [ends(status)], **options
    )
    if response is None or response.status != status:
        return
    talk.check_body(response, key, size if method == "GET" and status == 200 else 0, sent=method == "GET")
    if len(response.interim) != more.get("i", 0):
        raise Finding(
            f"{talk.id}: {response.interim} came before the response, not {more.get('i', 0)} times 103"
        )


async def keep_alive(talk: Talk) -> None:
    """Several on one connection, some with a pause between them."""
    for _ in range(talk.random.randint(2, 7)):
        await get(talk)
        if talk.random.random() < 0.3:
            await asyncio.sleep(talk.random.uniform(0.01, 1.5))


async def single(talk: Talk) -> None:
    """One on a connection of its own."""
    await get(talk)


async def mortal(talk: Talk) -> None:
    """Some to back-ends that die: another replica serves, unless the response has begun."""
    for _ in range(talk.random.randint(1, 4)):
        await get(talk, "mortal", excuses=["mortal-kill"])
        await asyncio.sleep(talk.random.uniform(0.0, 0.2))


async def pipelined(talk: Talk) -> None:
    """Several at once: the responses come in their order."""
    plan = talk.plan
    connection = await talk.connect()
    asked, sent = [], b""
    for _ in range(talk.random.randint(2, 8)):
        key, size = plan.key(), plan.size(1 << 14)
        method = talk.random.choice(("GET", "GET", "GET", "HEAD"))
        sent += talk.head(method, target(plan, key, size, f=talk.random.choice(("length", "chunked"))))
        asked.append((talk.id, method, key, size))
    with suppress(OSError):
        await connection.send(sent)
    for at, (id, method, key, size) in enumerate(asked):
        try:
            response = None if talk.connection is None else await talk.answer(method, key, id=id)
        except ClosedBetween:
            response = None
        if response is None:
            _unanswered(talk, [each[0] for each in asked[at:]])
            return
        talk.check_body(response, key, size if method == "GET" else 0, sent=method == "GET")


def _unanswered(talk: Talk, ids: list[str]) -> None:
    """The connection was closed behind a response, with these requests unanswered: a draining worker may do so."""
    if not talk.excused(["drain", "worker-kill"]):
        raise Finding(f"no response to {', '.join(ids)}: the connection was closed before")
    for id in ids:
        talk.count("excused: pipelined and not answered")
        talk.log_must_say(ANY_CODE, lines=(0, 1), id=id)


async def slow_reader(talk: Talk) -> None:
    """A client that takes its time, with a small window."""
    key, size = talk.plan.key(), talk.random.randint(1 << 19, 1 << 20)
    connection: Connection = await talk.connect(receive_buffer=16384)
    with suppress(OSError):
        await connection.send(talk.head("GET", target(talk.plan, key, size)))
    response = await talk.answer("GET", key, pause=0.02)
    if response is not None:
        talk.check_body(response, key, size)


async def http10(talk: Talk) -> None:
    """A client of HTTP/1.0, which knows neither chunks nor interim responses."""
    key, size = talk.plan.key(), talk.plan.size(1 << 18)
    path = target(talk.plan, key, size, i=talk.random.randint(0, 1))
    response = await talk.ask("GET", path, key, version="1.0")
    if response is None:
        return
    if response.interim or "transfer-encoding" in response.fields or not response.closes:
        raise Finding(f"{talk.id}: this is nothing for HTTP/1.0: {response.interim} {response.fields}")
    talk.check_body(response, key, size)
