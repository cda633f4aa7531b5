"""Ids of traces and spans, and which traces are sampled."""

from __future__ import annotations

import os

_BATCH = 256
_TRACE, _SPAN = 32, 16
_NO_TRACE, _NO_SPAN = "0" * _TRACE, "0" * _SPAN


class TraceIds:
    """Makes random ids, a batch at a time: a quarter of the price of one by one."""

    __slots__ = ("_spans", "_traces")

    def __init__(self) -> None:
        self._traces: list[str] = []
        self._spans: list[str] = []

    def trace(self) -> str:
        """The id of a new trace: 32 hexadecimal digits, all of them random."""
        ready = self._traces
        if not ready:
            ready += _batch(_TRACE, _NO_TRACE)
        return ready.pop()

    def span(self) -> str:
        """The id of a new span: 16 hexadecimal digits, all of them random."""
        ready = self._spans
        if not ready:
            ready += _batch(_SPAN, _NO_SPAN)
        return ready.pop()


def _batch(digits: int, none: str) -> list[str]:
    text = os.urandom(digits // 2 * _BATCH).hex()
    made = [text[begin : begin + digits] for begin in range(0, digits * _BATCH, digits)]
    return made if none not in made else [each for each in made if each != none] or _batch(digits, none)


class Ratio:
    """Which of the traces that begin here are sampled: a part of them, chosen by their ids.

    Everybody who samples by the id's last 64 bits (as OpenTelemetry's ``traceidratio`` does) chooses the same ones.

    :param part: from 0, none, to 1, all.
    :raises ValueError: it is not in these bounds.
    """

    __slots__ = ("_bound", "part")

    def __init__(self, part: float) -> None:
        if not 0 <= part <= 1:
            raise ValueError(f"the part of traces that is sampled is a number from 0 to 1, not {part!r}")
        self.part = part
        self._bound = round(part * 2**64)

    def takes(self, trace_id: str) -> bool:
        """Whether the trace with this id is sampled."""
        return int(trace_id[_SPAN:], 16) < self._bound
