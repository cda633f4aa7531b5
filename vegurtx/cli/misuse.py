"""Misuse of the command line: exactly one clear line on standard error, and exit status 1. No usage, no traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

from twisted.internet.error import CannotListenError
from twisted.python import usage

from vegurtx.net.binding import ANYWHERE
from vegurtx.settings import did_you_mean


def misuse(message: str, stream: TextIO | None = None) -> NoReturn:
    """End the program: `message`, in one line, goes to standard error, or to `stream`."""
    (stream or sys.stderr).write(f"vegurtx: {' '.join(message.split())}\n")
    raise SystemExit(1)


class StrictOptions(usage.Options):
    """Options whose misuse ends the program, whichever program asks for them (twistd would print all its help)."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """See `usage.Options`; ends the program where that raises ``UsageError``."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as problem:
            misuse(str(problem) + self._hint(str(problem)))

    def _hint(self, problem: str) -> str:
        unknown = re.fullmatch(r"option --([^ ]+) not recognized", problem)
        if unknown is None:
            return ""
        return did_you_mean(f"--{unknown[1]}", [f"--{name.rstrip('=')}" for name in self.longOpt])

    def parseArgs(self, *args: str) -> None:
        """There is nothing but options."""
        if args:
            raise usage.UsageError(f"{args[0]!r} is not an option")

    def opt_version(self) -> NoReturn:
        """Display the version and exit."""
        from vegurtx import __version__

        sys.stdout.write(f"vegurtx {__version__}\n")
        raise SystemExit(0)

    def port(self, name: str = "port") -> int:
        """The option `name` as a port number, 0 to 65535.

        :raises usage.UsageError: it is none.
        """
        return port_number(f"--{name}", self[name])


def port_number(option: str, value: Any) -> int:
    """`value` as a port number, 0 to 65535; `option` is what the user calls it.

    :raises usage.UsageError: it is none.
    """
    text = str(value)
    if not (text.isascii() and text.isdecimal() and int(text) < 65536):
        raise usage.UsageError(
            f"{option}: {text!r} is not allowed; it must be a whole number from 0 to 65535"
        )
    return int(text)


def not_listening(problem: CannotListenError) -> str:
    """What to say where a port is in use, or not ours to have."""
    interface = str(problem.interface or ANYWHERE)
    interface = f"[{interface}]" if ":" in interface else interface
    reason = getattr(problem.socketError, "strerror", None) or problem.socketError
    return f"cannot listen on {interface}:{problem.port}: {reason}"


def cannot_listen(problem: CannotListenError) -> NoReturn:
    """End the program: the port is in use, or not ours to have."""
    misuse(not_listening(problem))
