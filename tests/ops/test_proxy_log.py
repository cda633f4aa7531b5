"""The proxy's own log: which events are written, what a line looks like, and that none can be forged."""

from __future__ import annotations

import io
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from vegurtx.ops.proxy_log import STYLES, LevelError, Levels, log_observer, packed, parse_levels, unpacked
from vegurtx.ops.proxy_log.escaping import LONGEST, LONGEST_TRACEBACK, printable
from vegurtx.ops.proxy_log.json_style import LONGEST_FIELD
from vegurtx.ops.proxy_log.passing_on import LONGEST_LINE

NASTY = 'a\n2026-11-21T00:00:00+0000 [x#info] forged\r\n\x1b[31mred\x1b[0m\t\x00\x85\u2028\u202e"\\é\udc80'


class LogCase(SynchronousTestCase):
    """A logger, and what comes of it."""

    def log(self, style: str = "text", levels: Levels | None = None, namespace: str = "some.place") -> Logger:
        """A logger, whose events are in `stream`."""
        self.stream = io.StringIO()
        publisher = LogPublisher(log_observer(self.stream, style, levels or Levels("debug")))
        return Logger(namespace, observer=publisher)

    @property
    def said(self) -> str:
        """What has been written."""
        return self.stream.getvalue()

    def object(self) -> dict[str, Any]:
        """The one line of the style ``json``."""
        self.assertTrue(
            self.said.endswith("\n") and self.said.count("\n") == 1 and self.said.isascii(), self.said
        )
        self.assertTrue(self.said[:-1].isprintable())
        read: dict[str, Any] = json.loads(self.said)
        return read


def failure(text: str) -> Failure:
    """An error whose text may be a peer's."""
    try:
        raise ValueError(text)
    except ValueError:
        return Failure()


class Text(LogCase):
    """The style ``text``."""

    def test_line(self) -> None:
        """Time, namespace and level as Twisted writes them."""
        self.log().warn("replica {key} is ejected", key="127.0.0.1:1")
        self.assertRegex(
            self.said,
            r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} \[some\.place#warn\] replica 127\.0\.0\.1:1 is ejected\n$",
        )

    def test_worker(self) -> None:
        """The system that an event names itself stands in the place of that."""
        self.log().info("x", log_system="some.place#info worker 3")
        self.assertIn("[some.place#info worker 3] x\n", self.said)

    def test_traceback(self) -> None:
        """Its lines stand behind a tab each, those of the exception's own text, too."""
        self.log().failure("a callback failed", failure(NASTY))
        first, *rest = self.said.removesuffix("\n").split("\n")
        self.assertTrue(first.endswith("[some.place#critical] a callback failed"), first)
        self.assertTrue(all(line.startswith("\t") and line[1:].isprintable() for line in rest), rest)
        self.assertIn("\t2026-11-21T00:00:00+0000 [x#info] forged\\r", rest)
        self.assertIn("raise ValueError(text)", self.said)

    def test_nothing_to_say(self) -> None:
        """An event without words is no line."""
        for style in STYLES:
            self.log(style).info("")
            self.assertEqual(self.said, "")

    def test_without_all_characters(self) -> None:
        """A stream that has only ASCII gets escapes for the rest."""
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, "ascii")
        Logger("x", observer=log_observer(stream, "text", Levels())).info("é")
        self.assertIn(b"[x#info] \\xe9\n", raw.getvalue())

    @given(st.text(), st.text())
    def test_one_line(self, format_value: str, system: str) -> None:
        """Whatever stands in a field, an event is one printable line."""
        self.log().info("said {value}", value=format_value, log_system=system)
        self.assertEqual((self.said[-1], self.said.count("\n")), ("\n", 1))
        self.assertTrue(self.said[:-1].isprintable(), self.said)

    def test_escapes(self) -> None:
        """As in Python's strings; what can be seen stays."""
        self.assertEqual(printable("é ü\\"), "é ü\\")
        self.assertEqual(
            printable(NASTY),
            "a\\n2026-11-21T00:00:00+0000 [x#info] forged\\r\\n\\x1b[31mred\\x1b[0m\\t\\x00\\x85\\u2028\\u202e"
            '"\\é\\udc80',
        )


class Json(LogCase):
    """The style ``json``."""

    def test_object(self) -> None:
        """Time, level, namespace and message, and the event's own fields."""
        self.log("json").warn(
            "{service}: {n}", service="web", n=3, share=0.5, on=True, gone=None, other=object()
        )
        said = self.object()
        self.assertRegex(said.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            said,
            {
                "level": "warn",
                "namespace": "some.place",
                "message": "web: 3",
                "service": "web",
                "n": 3,
                "share": 0.5,
                "on": True,
                "gone": None,
            },
        )

    def test_time(self) -> None:
        """RFC 3339, in UTC."""
        log_observer(stream := io.StringIO(), "json", Levels())(
            {"log_time": 1700000000.25, "log_level": LogLevel.info, "log_namespace": "x", "log_format": "x"}
        )
        self.stream = stream
        self.assertEqual(self.object()["time"], "2023-11-14T22:13:20.250Z")

    def test_fields_that_are_none(self) -> None:
        """A field cannot take the place of what the line says itself; numbers that JSON has not are text."""
        self.log("json").info(
            "{message}", message="mine", namespace="none", time=1, system="-", isError=0, odd=float("nan")
        )
        said = self.object()
        self.assertEqual((said["message"], said["level"], said["odd"]), ("mine", "info", "nan"))
        self.assertNotIn("system", said)

    def test_traceback(self) -> None:
        """It is a field."""
        self.log("json").failure("bad {value}", failure(NASTY), value=1)
        said = self.object()
        self.assertEqual((said["level"], said["message"], said["value"]), ("critical", "bad 1", 1))
        self.assertIn("builtins.ValueError: a\n2026-11-21T00:00:00+0000 [x#info] forged", said["traceback"])

    def test_old_events(self) -> None:
        """Those of `twisted.python.log` are the same kind of object."""
        from twisted.logger import LegacyLogObserverWrapper
        from twisted.python import log

        observer = log_observer(stream := io.StringIO(), "json", Levels())
        theirs = log.LogPublisher(observer, observer)
        self.stream = stream
        theirs.msg("printed\nby somebody", system="x")
        first, *_ = self.said.splitlines()
        said = json.loads(first)
        self.assertEqual((said["message"], said["level"]), ("printed\nby somebody", "info"))
        self.assertEqual(set(said), {"time", "level", "namespace", "message"})
        self.assertTrue(LegacyLogObserverWrapper)

    def test_from_a_worker(self) -> None:
        """An event that was JSON on its way is not JSON in JSON: it has its level, its namespace and its fields."""
        events: list[dict[str, Any]] = []
        log = Logger("vegurtx.net", observer=events.append)
        log.failure("{what} {who}", failure(NASTY), what="all", who=Failure, n=1)
        event = {**unpacked(packed(events[0])), "worker": 2}
        for style in STYLES:
            observer = log_observer(stream := io.StringIO(), style, Levels())
            observer(event)
            self.stream = stream
            if style == "json":
                said = self.object()
                self.assertIn("ValueError: a\n2026", said.pop("traceback"))
                self.assertRegex(said.pop("time"), "^2")
                expected = {
                    "level": "critical",
                    "namespace": "vegurtx.net",
                    "what": "all",
                    "n": 1,
                    "worker": 2,
                }
                self.assertEqual(said, {"message": f"all {Failure}", **expected})
            else:
                self.assertIn(f"[vegurtx.net#critical] all {Failure}\n\tTraceback", self.said)

    def test_long_from_a_worker(self) -> None:
        """A line is not longer than the supervisor reads; what comes through is the message's begin."""
        events: list[dict[str, Any]] = []
        log = Logger("vegurtx.net", observer=events.append)
        for each in ("x", "é", "\U0001f600", "\x00"):
            log.failure("{what}", failure(each * 10**6), what=each * 10**6)
        for event in events:
            line = packed(event)
            self.assertLessEqual(len(line), LONGEST_LINE)
            self.assertTrue(unpacked(line)["log_text"].startswith(event["what"][:2000]))

    def test_no_event(self) -> None:
        """Whatever else comes through the pipe is refused."""
        for line in (
            "",
            "{}",
            "[]",
            "1",
            '{"time": 1}',
            "x",
            packed({}),
            '{"time":1,"level":"x","namespace":""}',
        ):
            with self.assertRaises(ValueError):
                unpacked(line)

    @given(
        st.text(),
        st.text(min_size=1).filter(lambda name: name.isidentifier() and not name.startswith("log_")),
    )
    def test_one_object(self, value: str, name: str) -> None:
        """Whatever stands in a field, an event is one line, and reads back."""
        self.log("json").info("said {value}", **{"value": value, name: value})
        said = self.object()
        self.assertEqual(said["message"], f"said {value}".strip("\n"))


class Bounds(LogCase):
    """What a peer, or a module, can make long is cut."""

    def test_long(self) -> None:
        """Messages, fields and tracebacks; of a traceback the end is worth more."""
        for style in STYLES:
            self.log(style).failure("{value}", failure("y" * 10**6 + "end"), value="x" * 10**6)
            self.assertLess(len(self.said), LONGEST + LONGEST_FIELD + LONGEST_TRACEBACK + 1000)
            self.assertIn("x" * LONGEST, self.said)
            self.assertIn("yend", self.said)

    def test_rude(self) -> None:
        """Objects that cannot be shown do not end the log."""

        class Rude(Exception):
            def __str__(self) -> str:
                raise RuntimeError

            __repr__ = __str__

        try:
            raise Rude
        except Rude:
            raised = Failure()
        for style in STYLES:
            self.log(style).failure("{value}", raised, value=Rude())
            self.assertIn("UNFORMATTABLE", self.said.upper())


class Choosing(LogCase):
    """Levels."""

    def test_levels(self) -> None:
        """The least level, and others for single namespaces and what is below them."""
        levels = parse_levels("warn, vegurtx.balance=debug,vegurtx.balance.names=error")
        said = []
        for namespace in ("a", "vegurtx", "vegurtx.balance", "vegurtx.balance.names.x", "vegurtx.balanced"):
            log = self.log(levels=levels, namespace=namespace)
            for level in LogLevel.iterconstants():
                log.emit(level, "x")
            said.append(self.said.count("\n"))
        self.assertEqual(said, [3, 3, 5, 2, 3])

    def test_words(self) -> None:
        """Without a level for all it is ``info``; case and blanks do not matter."""
        self.assertEqual(parse_levels("ERROR"), Levels("error"))
        self.assertEqual(parse_levels("a.b = Warn"), Levels("info", {"a.b": "warn"}))

    def test_misuse(self) -> None:
        """Each with its own words."""
        for text, why in (
            ("loud", "'loud' is no level; it must be debug, info, warn, error or critical"),
            ("", "'' is no level"),
            ("info,", "'' is no level"),
            ("info,debug", "two levels for all: info and debug"),
            ("a=info,a=debug", "two levels for a"),
            ("=info", "'' is no namespace"),
            ("a..b=info", "'a..b' is no namespace"),
            ("a b=info", "'a b' is no namespace"),
        ):
            with self.assertRaises(LevelError) as caught:
                parse_levels(text)
            self.assertIn(why, str(caught.exception))

    def test_in_use(self) -> None:
        """Levels that are known later are set in a filter that is there already, and leave the rest as it is."""
        predicate = Levels().predicate()
        predicate.setLogLevelForNamespace("mine", LogLevel.error)
        parse_levels("debug,yours=warn").apply(predicate)
        self.assertEqual(
            [predicate.logLevelForNamespace(name).name for name in ("any", "mine.x", "yours")],
            ["debug", "error", "warn"],
        )
