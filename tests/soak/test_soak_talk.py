"""The load finds what a bad proxy does: a stand-in before a back-end of the soak's has each fault in turn."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from twisted.trial.unittest import TestCase

from soak.backends.server import Backend
from soak.load.connection import Where
from soak.load.generator import Generator
from soak.load.talk import Shared
from soak.load.windows import Windows
from soak.outcome import Entry
from soak.plan import Planned, planned_for_all

Change = Callable[[bytes], bytes]
CLOSE = b""
SEED = 5


class BadProxy:
    """Passes bytes on between clients and the back-end, and changes what goes home.

    :param change: what becomes of each piece of a response; `CLOSE`: the connection is closed in its place.
    """

    def __init__(self, change: Change) -> None:
        self._change = change
        self._backend = Backend("plain0")

    async def __aenter__(self) -> int:
        """Listen; returns the port."""
        self._behind = await asyncio.start_server(self._backend.serve, "127.0.0.1", 0, limit=1 << 18)
        self._front = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._front.sockets[0].getsockname()[1])

    async def __aexit__(self, *_: object) -> None:
        """Listen no more, and wait until all have left."""
        self._front.close()
        self._behind.close()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self._behind.sockets[0].getsockname()[1]
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port)
        there = asyncio.create_task(self._pass_on(reader, back_writer, lambda data: data))
        await self._pass_on(back_reader, writer, self._change)
        back_writer.close()
        await there

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Change
    ) -> None:
        try:
            while data := await reader.read(65536):
                if not (changed := change(data)):
                    break
                writer.write(changed)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


def conversation(kind: str, change: Change, windows: Windows | None = None) -> tuple[list[str], list[Entry]]:
    """Make a conversation of this kind through a bad proxy; returns what is found, and what the ledger has."""
    found: list[str] = []
    entries: list[Entry] = []

    async def converse() -> None:
        async with BadProxy(change) as port:
            shared = Shared(Where(port, port), windows or Windows(), Counter(), entries.append)
            generator = Generator(SEED, 1.0, shared, lambda number, kind, what: found.append(what))
            await generator.converse(plan)

    plan = _planned(kind)
    asyncio.run(converse())
    return found, entries


def _planned(kind: str) -> Planned:
    plan = planned_for_all(SEED)[kind]
    plan = Planned(SEED, plan.number)
    plan.tls = False
    return plan


class Once:
    """Does something to the first piece of a response for which it can be done."""

    def __init__(self, what: Callable[[bytes], bytes]) -> None:
        self._what = what
        self._done = False

    def __call__(self, data: bytes) -> bytes:
        """See `Change`."""
        if self._done:
            return data
        changed = self._what(data)
        self._done = changed != data
        return changed


def _last_byte(data: bytes) -> bytes:
    head, end, rest = data.partition(b"\r\n\r\n")
    return data if len(rest) < 20 else head + end + rest[:15] + bytes([rest[15] ^ 1]) + rest[16:]


def _replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old, new, 1)


class Findings(TestCase):
    """One bad proxy each."""

    def test_good(self) -> None:
        """Where nothing is changed nothing is found, and the ledger has each request once."""
        for kind in ("keep_alive", "pipelined", "upload", "echo"):
            found, entries = conversation(kind, lambda data: data)
            self.assertEqual(found, [], kind)
            self.assertEqual(len({entry.id for entry in entries}), len(entries))
            self.assertGreater(len(entries), 0)

    def assert_found(self, text: str, what: Callable[[bytes], bytes], kind: str = "keep_alive") -> None:
        """This change leads to this finding."""
        found, _ = conversation(kind, Once(what))
        self.assertEqual(len(found), 1, found)
        self.assertIn(text, found[0])

    def test_corrupted(self) -> None:
        """A byte of a body that is another one."""
        self.assert_found("of the body is wrong", _last_byte)

    def test_status(self) -> None:
        """A status that is not the back-end's."""
        self.assert_found("status 500, not", _replaced(b"HTTP/1.1 200", b"HTTP/1.1 500"))

    def test_mixed_up(self) -> None:
        """The response to somebody else's request."""
        self.assert_found("this is the response to", _replaced(b"X-Soak-Id: soak-", b"X-Soak-Id: other-"))

    def test_lost(self) -> None:
        """No response at all, and the connection is closed."""
        self.assert_found("closed; allowed is", lambda data: CLOSE)

    def test_lost_in_a_pipeline(self) -> None:
        """One of several responses is missing."""
        found, _ = conversation("pipelined", Once(lambda data: CLOSE))
        self.assertEqual(len(found), 1)

    def test_no_http(self) -> None:
        """Something that is no response."""
        self.assert_found("no response", _replaced(b"HTTP/1.1 ", b"HTTP!1.1 "))

    def test_upload(self) -> None:
        """A back-end that has had another upload than was sent."""
        for text, old, new in (
            ("of the upload is wrong", b'"wrong_at": null', b'"wrong_at":   17'),
            ("the upload's digest", b'"sha256": ', b'"sha257": '),
            ("the upload has", b'"size": ', b'"size":1'),
        ):
            self.assert_found(text, _replaced(old, new), "upload")

    def test_excused(self) -> None:
        """The same is none while a worker is killed; and the access log need not have it."""
        windows = Windows()
        windows.begin("worker-kill")
        found, entries = conversation("single", Once(lambda data: CLOSE), windows)
        self.assertEqual(found, [])
        self.assertEqual([entry.lines for entry in entries], [(0, 1)])


class Plans(TestCase):
    """A conversation can be had again."""

    def test_same(self) -> None:
        """The same seed and number are the same conversation; another seed's is another one."""

        def told(seed: int, number: int) -> tuple[object, ...]:
            plan = Planned(seed, number)
            return plan.kind, plan.tls, plan.key(), plan.size(1 << 20)

        self.assertEqual(told(1, 7), told(1, 7))
        self.assertNotEqual(told(1, 7), told(2, 7))


class Excuses(TestCase):
    """Windows excuse what they touch."""

    def test_touch(self) -> None:
        """What began before a window or in it is touched; what begins long after it, or without one, is not."""
        windows = Windows()
        self.assertFalse(windows.touch("drain", 0.0))
        windows.begin("drain")
        self.assertTrue(windows.touch("drain", 0.0))
        self.assertFalse(windows.touch("worker-kill", 0.0))
        windows.end("drain")
        self.assertTrue(windows.touch("drain", 0.0))
        self.assertFalse(windows.touch("drain", float("inf")))
