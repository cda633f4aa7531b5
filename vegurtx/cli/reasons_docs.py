"""``docs/errors.md``, generated from the reasons table (run this module, it prints the page)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vegurtx.errors import REASONS, REJECTIONS, Entry, Reason

_HEAD = """\
# Errors

Generated from the tables in `vegurtx/errors.py` (`python -m vegurtx.cli.reasons_docs > docs/errors.md`); do
not edit.

A request that cannot be served ends with a *reason*. `error_page(reason, …)` says what the client gets (by
default an empty page with the status below), and the last `checkin_service` has the reason as its
`service_state`. *Blame* says whose doing it was, in vegur's words: `upstream` is the client's side,
`downstream` the back-end's, `undefined` neither. *Code* is what Heroku's router logs for the like.

Where a part of the response is on its way already, no page can follow: the client's connection is broken
off, and `checkin_service` alone has the reason. The same holds where the client has left.

## What the proxy finds

"""

_ROUTERS = """
`("bad_chunk", …)` has a second item that says more: `("upstream", ("bad_chunk", what))`, `what` being
`size`, `extension`, `delimiter`, `trailer` or `length`.

## What a router may raise

`RouteError` takes any reason. These have a meaning and a status; every other one is a 503. The `downstream`
ones are the words for failed connects: `checkin_service(…, "connecting", "econnrefused", …)` has the bare
word, and a router that gives up then may raise it with its blame. An errno that is not listed has its own
name in lower case (`eacces`).

"""

_REJECTIONS = """
## What is no request

Answered by the proxy alone, with an empty page and a closed connection. There is no request to show to the
router, and no callback is called.

"""


def errors_page() -> str:
    """The page's Markdown."""
    proxys = {reason: line for reason, line in REASONS.items() if line.origin == "proxy"}
    routers = {reason: line for reason, line in REASONS.items() if line.origin == "router"}
    parts = [_HEAD, _table("reason", proxys), _ROUTERS, _table("reason", routers), _REJECTIONS]
    return "".join([*parts, _table("word", REJECTIONS)])


def _table(first: str, lines: Mapping[str, Entry] | Mapping[Reason, Entry]) -> str:
    head = _row([first, "blame", "status", "code", "meaning"]) + "|---|---|---|---|---|\n"
    return head + "".join(
        _row([f"`{_shown(reason)}`", line.blame, str(line.status), line.code or "–", line.meaning])
        for reason, line in lines.items()
    )


def _shown(reason: Reason) -> str:
    if reason[-1] == "bad_chunk":
        return f'("{reason[0]}", ("bad_chunk", …))'
    return repr(reason).replace("'", '"')


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    print(errors_page(), end="")
