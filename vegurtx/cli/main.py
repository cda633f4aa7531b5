"""``python -m vegurtx``: the proxy without twistd, and the small commands beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from vegurtx.ops.workers import WORKER_VARIABLE


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what `arguments` (by default the program's) say; returns when the program is to end.

    :raises SystemExit: with status 1 after a line on standard error, where they cannot be followed.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if WORKER_VARIABLE in os.environ:
        from vegurtx.cli.work import work

        work(arguments)
        return
    command = _COMMANDS.get(arguments[0]) if arguments else None
    if command is None:
        _proxy(arguments)
    else:
        command(arguments[1:])


def _proxy(arguments: Sequence[str]) -> None:
    from vegurtx.cli.hangup import AT_THE_START, hold_back

    hold_back(AT_THE_START)
    from vegurtx.cli.options import CommandOptions
    from vegurtx.cli.tap import makeService

    options = CommandOptions()
    options.parseOptions(arguments)
    service = makeService(options)
    from twisted.internet import reactor

    from vegurtx.cli.log_options import begin_logging
    from vegurtx.cli.run import run

    begin_logging(options.log, access_log=options.operations.log_path)
    run(service, reactor)


def _demo(arguments: Sequence[str]) -> None:
    from vegurtx.cli.demo import main as demo

    demo(arguments)


def _demo_backend(arguments: Sequence[str]) -> None:
    from vegurtx.cli.demo_backend import main as demo_backend

    demo_backend(arguments)


def _settings_docs(arguments: Sequence[str]) -> None:
    from vegurtx.cli.settings_docs import settings_page

    sys.stdout.write(settings_page())


_COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "demo": _demo,
    "demo-backend": _demo_backend,
    "settings-docs": _settings_docs,
}
