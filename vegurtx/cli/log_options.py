"""The options of the proxy's own log: a user's words become a `LogSpec`, and that the log of whichever program runs.

    python -m vegurtx   `begin_logging`: standard output; standard error, where the access log has the former
    twistd vegur        `log_under_twistd`: the same, or where twistd's own --logfile says
    a worker            `LogSpec.levels` alone: its supervisor writes

Before any of it has begun, what goes wrong is a line on standard error (see `vegurtx.cli.misuse`).
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.logger import globalLogBeginner
from twisted.python import usage
from twisted.python.logfile import LogFile

from vegurtx.ops.proxy_log import STYLES, LevelError, Levels, log_observer, parse_levels

DEFAULT_STYLE = next(iter(STYLES))
#: twistd's own default for a daemon
_TWISTD_FILE = "twistd.log"
_STANDARD_OUTPUT = "-"
#: makes the observer that twistd asks for by the name of `twistd_observer`: a dotted name is all that it takes
_ask_for_observer: list[Callable[[], Any]] = []

PARAMETERS: list[list[Any]] = [
    [
        "log-level",
        None,
        None,
        "The least level of what the proxy's own log says: debug, info, warn, error or critical; and of single "
        "parts, e.g. info,vegurtx.balance=debug. [default: info]",
    ],
    [
        "log-style",
        None,
        None,
        f"The proxy's own log as lines of {' or '.join(STYLES)}. [default: {DEFAULT_STYLE}]",
    ],
]


@dataclass(frozen=True)
class LogSpec:
    """What the options ask for. Plain data, which another process can have, too."""

    levels: Levels = field(default_factory=Levels)
    style: str = DEFAULT_STYLE

    def observer(self, stream: Any) -> Any:
        """An `ILogObserver` that writes to `stream`."""
        return log_observer(stream, self.style, self.levels)


def log_spec(options: Any, twistd: Any) -> LogSpec:
    """What the parsed `options` ask for.

    :param twistd: the options of the program whose plugin we are, if we are one's.
    :raises usage.UsageError: something cannot be used, or it is not we who write the log.
    """
    for name in ("log-level", "log-style"):
        if options[name] is not None and not _ours(twistd):
            raise usage.UsageError(f"--{name}: {_whose(twistd)}")
    style = options["log-style"]
    if style is not None and style not in STYLES:
        raise usage.UsageError(f"--log-style: {style!r} is not allowed; it must be {' or '.join(STYLES)}")
    levels = Levels()
    if options["log-level"] is not None:
        try:
            levels = parse_levels(options["log-level"])
        except LevelError as problem:
            raise usage.UsageError(f"--log-level: {problem}") from None
    return LogSpec(levels, style or DEFAULT_STYLE)


def _ours(twistd: Any) -> bool:
    """Whether the log is ours to write: no observer of the user's, no syslog, and not twist's."""
    if twistd is None:
        return True
    return "nodaemon" in twistd and not twistd.get("logger") and not twistd.get("syslog")


def _whose(twistd: Any) -> str:
    if "nodaemon" not in twistd:
        return "twist has options of its own for its log, before the plugin's name"
    return f"twistd's --{'logger' if twistd.get('logger') else 'syslog'} writes the log"


def begin_logging(spec: LogSpec, *, access_log: str | None = None) -> None:
    """Log to standard output from now on; to standard error, where the access log goes to standard output.

    :param access_log: the path of that log, or ``-``.
    """
    globalLogBeginner.beginLoggingTo([spec.observer(_stream(access_log))], redirectStandardIO=False)


def _stream(access_log: str | None) -> Any:
    return sys.stderr if access_log == _STANDARD_OUTPUT else sys.stdout


def log_under_twistd(spec: LogSpec, twistd: Any, *, access_log: str | None = None) -> None:
    """Let twistd begin our log, when it begins its own. Where that is somebody else's, it stays so.

    :param twistd: its options, or those of another program whose plugin we are; `None`: there is none.
    :param access_log: as for `begin_logging`.
    """
    if twistd is not None and _ours(twistd):
        # As if --logger had been given; what --logfile says is read when twistd asks, since it may yet change.
        _ask_for_observer[:] = [lambda: spec.observer(_file_of(twistd, access_log))]
        twistd["logger"] = f"{__name__}.{twistd_observer.__name__}"


def twistd_observer() -> Any:
    """The observer of the log that `log_under_twistd` was told of: what twistd's ``--logger`` wants."""
    return _ask_for_observer[0]()


def _file_of(twistd: Any, access_log: str | None) -> Any:
    """Where twistd would write: see its ``UnixAppLogger``."""
    name = twistd.get("logfile")
    if name == _STANDARD_OUTPUT and not twistd["nodaemon"]:
        raise SystemExit("vegurtx: --logfile -: a daemon has no standard output")
    if name == _STANDARD_OUTPUT or (twistd["nodaemon"] and not name):
        return _stream(access_log)
    file = LogFile.fromFullPath(name or _TWISTD_FILE)
    if not signal.getsignal(signal.SIGUSR1):  # who has a handler for it has a use for it

        def rotate(*_: Any) -> None:
            from twisted.internet import reactor

            reactor.callFromThread(file.rotate)  # type: ignore[attr-defined]

        signal.signal(signal.SIGUSR1, rotate)
    return file
