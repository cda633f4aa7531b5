"""Which tests hold which rule: made from the tests' docstrings, for `docs/behaviour.md`.

`make docs-behaviour` writes the page; `test_table.py` fails when it is out of date, or when a rule has no test.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
PAGE = TESTS.parent / "docs" / "behaviour.md"

#: each rule in a line, and where it lives in the code
RULES = {
    1: ("Versions and methods", "wire/request.py, wire/partial.py, proxy/intake.py"),
    2: ("Host and the forms of the target", "wire/target.py, proxy/intake.py"),
    3: ("Limits of a request's head, while it is arriving", "wire/partial.py, wire/limits.py"),
    4: ("The head's grammar", "wire/grammar.py, wire/request.py"),
    5: ("Framing of requests", "wire/framing.py, proxy/intake.py"),
    6: ("Chunked bodies and trailers", "wire/chunked.py, wire/trailers.py, proxy/relay.py"),
    7: ("Pipelining", "net/server.py"),
    8: ("Expect: 100-continue", "middleware/continue_.py, proxy/relay.py"),
    9: ("Upgrade and the byte pipe", "middleware/upgrade.py, proxy/intake.py, net/tunnel.py"),
    10: ("HTTP/1.0 clients", "proxy/relay.py, proxy/downstream.py"),
    11: ("What is forwarded, and hop-by-hop fields", "proxy/upstream.py"),
    12: ("What is added to a request", "proxy/upstream.py, proxy/intake.py, proxy/ids.py"),
    13: ("Host goes on as received", "proxy/upstream.py"),
    14: ("The grammar and limits of responses", "wire/response.py, wire/partial.py, wire/framing.py"),
    15: ("Responses without a body", "wire/framing.py, net/backend.py"),
    16: ("Responses that end by close, and surplus bytes", "net/backend.py, proxy/relay.py"),
    17: ("Interim responses", "net/backend.py, proxy/relay.py"),
    18: ("Fields of a response, and the proxy's own pages", "proxy/downstream.py"),
    19: ("When the client's connection stays open", "proxy/relay.py, net/server.py"),
    20: ("Early responses", "proxy/relay.py, net/server.py"),
    21: (
        "Truncation is never hidden; a client that leaves",
        "proxy/exchange.py, net/server.py, net/backend.py",
    ),
    22: ("Failed connects", "proxy/exchange.py, net/client.py"),
    23: ("The pool and the silent retry", "net/pool.py, net/client.py, proxy/relay.py"),
    24: ("Timeouts", "net/timer.py, net/server.py, proxy/relay.py"),
    25: ("The PROXY protocol", "wire/proxy_protocol.py, net/proxied.py"),
    26: ("HTTPS listeners", "net/endpoints.py, net/server.py"),
}

_NAMED = re.compile(r"Rules? ((?:\d+(?:, | and |-)?)+)")

_HEAD = """\
# HTTP behaviour, rule by rule

The rules are numbered as in the behaviour that the project was built to; each test's docstring begins with its rules.
Written by `make docs-behaviour` from the tests; do not edit it by hand.

Sources of the rules: vegur's documented behaviour, Heroku's routing article, RFC 9110 and 9112, and the PROXY protocol
specification.
"""


def rules_of(docstring: str) -> set[int]:
    """The rules that a test's docstring names at its begin; ``Rules 9, 21 and 26``, ``Rules 14-17``."""
    match = _NAMED.match(docstring)
    if match is None:
        return set()
    found: set[int] = set()
    for part in re.split(r", and |, | and ", match[1].strip(", ")):
        if "-" in part:
            first, last = part.split("-")
            found.update(range(int(first), int(last) + 1))
        elif part:
            found.add(int(part))
    return found


def rule_table() -> dict[int, dict[str, int]]:
    """For each rule the test files, and how many of their tests name it."""
    table: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for path in sorted(TESTS.rglob("test_*.py")):
        name = str(path.relative_to(TESTS.parent))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
                for rule in rules_of(ast.get_docstring(node) or ""):
                    table[rule][name] += 1
    return table


def page() -> str:
    """The whole page."""
    table = rule_table()
    lines = [_HEAD, "| rule | what | where | tests |", "|---|---|---|---|"]
    for rule, (title, where) in RULES.items():
        files = ", ".join(f"`{name}` ({count})" for name, count in sorted(table[rule].items()))
        places = ", ".join(f"`vegurtx/{place}`" for place in where.split(", "))
        lines.append(f"| {rule} | {title} | {places} | {files} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
