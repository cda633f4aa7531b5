"""The access log against the load's ledger: each request has its one line, with a status and a code that fit."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from time import monotonic

from soak.outcome import Entry

#: codes of lines that are about no request: nothing of them has an id
_NO_REQUEST = frozenset({"H26", "H28"})

#: seconds for which lines may wait to be written (half a second), and some for a busy machine
UNWRITTEN = 1.5


class Audit:
    """See the module's text.

    :param folder: where both are.
    """

    def __init__(self, folder: Path) -> None:
        self.log = folder / "access.log"
        self.ledger = folder / "ledger.jsonl"
        self.counts: Counter[str] = Counter()
        self._rotated: list[Path] = []
        self._number = 0
        self._read = 0
        self._killed: list[float] = []
        self._lines: dict[str, list[tuple[str, int]]] = {}

    def rotate(self) -> None:
        """Move the log away; whoever calls has the proxy open a new one."""
        if self.log.exists():
            self._number += 1
            path = self.log.with_suffix(f".{self._number}")
            self.log.rename(path)
            self._rotated.append(path)

    def lines_lost(self) -> None:
        """A process is killed now: what it has not written yet is lost."""
        self._killed.append(monotonic())

    def settle(self) -> list[tuple[int, str, str]]:
        """Compare everything so far. To be called when no request goes on, and all lines are written.

        :returns: findings: the conversation's number (-1: of none), its kind, and what it is.
        """
        for path in (*self._rotated, self.log):
            if path.exists():
                self._take(path)
        for path in self._rotated:
            path.unlink()
        self._rotated.clear()
        entries = {entry.id: entry for entry in self._new_entries()}
        found = []
        for id, entry in entries.items():
            if any(-UNWRITTEN < killed - entry.at < UNWRITTEN for killed in self._killed):
                entry = entry._replace(lines=(0, entry.lines[1]))
            problem = _problem(entry, self._lines.pop(id, []))
            if problem:
                ago = f"; it has ended {monotonic() - entry.at:.1f} s ago"
                found.append((entry.conversation, entry.kind, f"{id}: {problem}{ago}"))
        self.counts["requests compared with the access log"] += len(entries)
        for id, lines in self._lines.items():
            found.append((-1, "", f"{id}: the access log has {lines} of a request that nobody has entered"))
        self._lines.clear()
        self._killed.clear()
        return found

    def _take(self, path: Path) -> None:
        text = path.read_bytes()
        if path == self.log:
            text = text[self._read :]
            self._read += len(text)
        elif self._read:  # this one was the log before
            text, self._read = text[self._read :], 0
        for line in text.splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                self.counts["lines of the access log that are no JSON"] += 1
                self._lines.setdefault(f"{line[:200]!r}", []).append(("no JSON", 0))
                continue
            code, status = told.get("code", ""), told["status"]
            self.counts[f"access log: {status} {code}".rstrip()] += 1
            id = told.get("request_id")
            if id is not None:
                self._lines.setdefault(id, []).append((code, status))
            elif code not in _NO_REQUEST:
                self._lines.setdefault(f"{told}", []).append((code, status))

    def _new_entries(self) -> list[Entry]:
        if not self.ledger.exists():
            return []
        entries = [Entry.of(json.loads(line)) for line in self.ledger.read_text("utf-8").splitlines()]
        # The load appends, wherever that is.
        with self.ledger.open("w"):
            pass
        return entries


def _problem(entry: Entry, lines: list[tuple[str, int]]) -> str:
    least, most = entry.lines
    if not least <= len(lines) <= most:
        return f"the access log has {len(lines)} lines of it, not {least}" + f" to {most}" * (most > least)
    for code, status in lines:
        if code not in entry.codes:
            return f"the access log says {code or 'no code'} (status {status}), not {sorted(entry.codes)}"
        if entry.statuses and status not in entry.statuses:
            return f"the access log says {status}, the client has seen {sorted(entry.statuses)}"
    return ""
