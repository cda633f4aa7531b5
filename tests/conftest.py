"""Which reactor the tests run on: ``VEGURTX_TEST_REACTOR=epoll`` (default) or ``uvloop``.

pytest reads this before any test module, so the reactor is there before anything imports the global one.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

# For what tests share (``tests.net.transport_peers``), however pytest was started.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# A shell's background job ignores SIGINT, and so would all programs that the tests start and stop with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _install_reactor(name: str) -> None:
    if "twisted.internet.reactor" in sys.modules:
        raise RuntimeError(
            "something imported twisted.internet.reactor before tests/conftest.py could choose one"
        )
    if name == "epoll":
        from twisted.internet import epollreactor

        epollreactor.install()
    elif name == "uvloop":
        import uvloop
        from twisted.internet import asyncioreactor

        asyncioreactor.install(uvloop.new_event_loop())
    else:
        raise RuntimeError(f"VEGURTX_TEST_REACTOR is {name!r}; it must be 'epoll' or 'uvloop'")


def pytest_report_header() -> str:
    """Say it at the head of the report."""
    return f"reactor: {_REACTOR}"


_REACTOR = os.environ.get("VEGURTX_TEST_REACTOR", "epoll")
_install_reactor(_REACTOR)
