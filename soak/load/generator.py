"""Starts conversations at a rate, whatever becomes of those before: a slow proxy does not lower the load."""

from __future__ import annotations

import asyncio
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from soak.load import aborts, faults, plain, sockets, uploads
from soak.load.talk import Shared, Talk
from soak.outcome import Finding
from soak.plan import Planned

KINDS: dict[str, Callable[[Talk], Awaitable[None]]] = {
    each.__name__: each
    for each in (
        *(plain.keep_alive, plain.single, plain.pipelined, plain.slow_reader, plain.http10, plain.mortal),
        *(uploads.upload, uploads.slow_upload, uploads.expect, uploads.echo),
        *(sockets.websocket, sockets.abort_websocket),
        *(faults.fault, faults.no_backend, faults.malformed),
        *(aborts.abort_head, aborts.abort_upload, aborts.abort_waiting, aborts.abort_response),
    )
}
"""By name: what makes a conversation of this kind."""
#: seconds that a conversation may last: far more than all the limits in it together
PATIENCE = 60.0
#: conversations at once; where there are more, the load waits, and the report says so
MOST = 400


class Generator:
    """See the module's text.

    :param seed: with a number, it says what a conversation is.
    :param rate: conversations that begin in a second, on average.
    :param shared: what they have in common.
    :param found: takes a finding: its conversation's number, its kind, and what it is.
    """

    def __init__(
        self, seed: int, rate: float, shared: Shared, found: Callable[[int, str, str], None]
    ) -> None:
        self._seed = seed
        self._rate = rate
        self._shared = shared
        self._found = found
        self._arrivals = Random(f"{seed}/arrivals")
        self._running: set[asyncio.Task[Any]] = set()
        self._next = 0
        self._starting: asyncio.Task[None] | None = None

    @property
    def counts(self) -> Counter[str]:
        """What was counted so far."""
        return self._shared.counts

    def resume(self) -> None:
        """Start conversations from now on."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())

    async def pause(self) -> None:
        """Start no more, and wait for those that go on."""
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
        while self._running:
            await asyncio.wait(self._running)

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self._arrivals.expovariate(self._rate)
            late = loop.time() - due
            if late > 5.0:  # the machine is busy with other things
                due = loop.time()
                self.counts["times that the load fell behind"] += 1
            elif late < 0:
                await asyncio.sleep(-late)
            if len(self._running) >= MOST:
                self.counts["times that the load waited for conversations to end"] += 1
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self.converse(Planned(self._seed, self._next)))
            self._next += 1
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def converse(self, plan: Planned) -> None:
        """Make one conversation, and tell what is found."""
        self.counts["conversations"] += 1
        talk = Talk(plan, self._shared)
        try:
            async with asyncio.timeout(PATIENCE):
                await KINDS[plan.kind](talk)
        except Finding as finding:
            self._found(plan.number, plan.kind, str(finding))
        except TimeoutError:
            self._found(plan.number, plan.kind, f"{talk.id}: no end within {PATIENCE:.0f} s")
        except Exception:
            self._found(plan.number, plan.kind, f"{talk.id}: {traceback.format_exc(limit=-4)}")
        finally:
            talk.leave()
