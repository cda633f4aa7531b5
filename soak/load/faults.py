"""What clients must see of back-ends' faults: the right status, the right code in the access log, and never a clean end
of what was cut short.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from soak.content import pieces
from soak.load.plain import target
from soak.load.talk import Talk
from soak.outcome import BROKEN, Outcome, ends

#: bytes of the whole response that the fault `surplus` begins with
_PART = 20000
#: seconds to a back-end's first byte, in milliseconds; the configuration has it, too
TRY_TIMEOUT = 1500
#: the limit of `idle_timeout`, in milliseconds; as above
IDLE_TIMEOUT = 4000

_NO_RESPONSE = (ends(503, "H13"),)
_CUT_SHORT = (
    ends(BROKEN, "H18"),
    ends(503, "H13", "H18"),
)  # the latter where head and end came in one segment
_POOR = (ends(502, "H17"),)
_TOO_LONG = (ends(502, "H25"),)
EXPECTED: dict[str, tuple[Outcome, ...]] = {
    "close": _NO_RESPONSE,
    "reset": (ends(503, "H18"),),
    "half_head": _NO_RESPONSE,
    "hang": (ends(503, "H12"),),
    "bad_status": _POOR,
    "rubbish": _POOR,
    "long_status": _TOO_LONG,
    "bad_field": _TOO_LONG,
    "long_cookie": _TOO_LONG,
    "bad_length": _POOR,
    "two_lengths": _POOR,
    "bad_coding": _POOR,
    "unasked_101": _POOR,
    "bad_chunk": (ends(BROKEN, "H18"), *_POOR),
    "short_chunked": _CUT_SHORT,
    "short_length": _CUT_SHORT,
    "reset_body": _CUT_SHORT,
    "stall_body": (ends(BROKEN, "H15"),),
    "surplus": (ends(200),),
    "early": (ends(413),),
}
"""By fault: what may come of the request."""
_NAMES = list(EXPECTED)


async def fault(talk: Talk) -> None:
    """A back-end's fault; then, on the same connection if it is still there, a request that must succeed."""
    random = talk.random
    name = random.choice(_NAMES)
    key = talk.plan.key()
    talk.count(f"fault {name}")
    wait = {"hang": TRY_TIMEOUT, "stall_body": IDLE_TIMEOUT}.get(name, 0) + 2500
    path = f"/fault/fault/{name}?k={key}&ms={wait}"
    if name == "early":
        await _early(talk, path)
        return
    response = await talk.ask("GET", path, key if name == "surplus" else None, EXPECTED[name])
    if response is not None and name == "surplus":
        talk.check_body(response, key, _PART)
    if talk.connection is not None and random.random() < 0.5:
        key, size = talk.plan.key(), talk.plan.size(1 << 14)
        response = await talk.ask("GET", target(talk.plan, key, size), key)
        if response is not None:
            talk.check_body(response, key, size)


async def _early(talk: Talk, path: str) -> None:
    """The back-end answers while the client is still uploading, and takes no more."""
    connection = await talk.connect()
    size = 1 << 20
    with suppress(OSError):
        await connection.send(talk.head("POST", path, ("Content-Length", size)))

    async def send() -> None:
        with suppress(OSError):
            for piece in pieces(0, size):
                await connection.send(piece)
                await asyncio.sleep(0.02)

    sending = asyncio.create_task(send())
    try:
        await talk.answer("POST", None, EXPECTED["early"])
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


async def no_backend(talk: Talk) -> None:
    """Nobody listens, nobody answers the connect, or nothing is routed there."""
    path, allowed = talk.random.choice(
        (("/refused/x", ends(503, "H21")), ("/blackhole/x", ends(503, "H19")), ("/nowhere", ends(404)))
    )
    talk.count(f"fault connect {path}")
    await talk.ask("GET", path, None, [allowed])


async def malformed(talk: Talk) -> None:
    """What is no request is answered with 400, and never reaches a back-end."""
    connection = await talk.connect()
    head = talk.random.choice(
        (
            b"GET  /two-spaces HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /plain/get HTTP/1.1\r\nHost: x\r\nNo Colon\r\n\r\n",
            b"GET /plain/get HTTP/1.1\r\nHost: x\r\nX-Bad: \x00\r\n\r\n",
            b"GET /plain/get HTTP/1.1\r\nHost: x\nX-Bare: newline\r\n\r\n",
        )
    )
    talk.count("requests malformed")
    talk.next_id()
    with suppress(OSError):
        await connection.send(head)
    await talk.answer("GET", None, [ends(400, "H26")])
    talk.log_must_say([], lines=(0, 0))  # what is no request has no id
