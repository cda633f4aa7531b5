"""curl as a client before the proxy: one call, any number of transfers on one connection, each told apart."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers.peer_case import output_of, tool
from vegurtx.testing.messages import Response, parse_response_head


@dataclass(frozen=True)
class Transfer:
    """One transfer of a curl call.

    `heads` are all the heads that came, interim ones first; `body` is what curl would have saved; `facts` is
    curl's own account (``--write-out``'s JSON): ``http_code``, ``num_connects``, ``size_upload``, …
    """

    heads: list[Response]
    body: bytes
    facts: dict[str, Any]

    @property
    def response(self) -> Response:
        """The final head."""
        return self.heads[-1]

    def echo(self) -> dict[str, Any]:
        """What the back-end says it has received."""
        echo: dict[str, Any] = json.loads(self.body)
        return echo

    def received(self, name: str) -> list[str]:
        """The values of the request's header `name` as they reached the back-end."""
        return [value for key, value in self.echo()["headers"] if key.lower() == name.lower()]


def curl(port: int, domain: str, targets: Sequence[str], *options: str, given: bytes = b"") -> list[Transfer]:
    """Let curl ask for each of `targets` on `domain`, in one call.

    :param port: the proxy's, on 127.0.0.1.
    :param targets: paths with their queries; curl sends them as they stand.
    :param options: curl's own, for every transfer.
    :param given: bytes for its standard input.
    :raises AssertionError: curl fails; what it said is in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        # -q: the user's own configuration must not take part.
        command = [
            tool("curl"),
            "-q",
            "--silent",
            "--show-error",
            "--noproxy",
            "*",
            "--globoff",
            "--path-as-is",
        ]
        command += [
            "--resolve",
            f"{domain}:{port}:127.0.0.1",
            "--max-time",
            "30",
            "--write-out",
            "%{json}\\n",
        ]
        for number, target in enumerate(targets):
            # Options hold for one transfer, up to the next --next.
            command += ["--next"] if number else []
            if number:
                command += ["--silent", "--show-error", "--globoff", "--path-as-is", "--max-time", "30"]
                command += ["--noproxy", "*", "--write-out", "%{json}\\n"]
            command += [
                *options,
                "--dump-header",
                f"{folder}/{number}.head",
                "--output",
                f"{folder}/{number}.body",
            ]
            command.append(f"http://{domain}:{port}{target}")
        accounts = output_of(command, given=given).splitlines()
        return [
            Transfer(
                _heads(Path(folder, f"{number}.head")),
                _content(Path(folder, f"{number}.body")),
                json.loads(account),
            )
            for number, account in enumerate(accounts)
        ]


def _heads(file: Path) -> list[Response]:
    return [parse_response_head(head) for head in re.findall(rb".+?\r\n\r\n", file.read_bytes(), re.DOTALL)]


def _content(file: Path) -> bytes:
    """What curl saved; it makes no file where there was nothing."""
    return file.read_bytes() if file.exists() else b""
