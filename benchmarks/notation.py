"""Numbers as people read them."""

from __future__ import annotations

from benchmarks.cases import Case


def seconds(value: float | None) -> str:
    """A time: ``"870 µs"``, ``"1.25 ms"``."""
    if value is None:
        return "–"
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    return f"{value * 1e3:.2f} ms" if value < 0.1 else f"{value:.2f} s"


def rate(value: float, unit: str = "") -> str:
    """So many a second; gigabytes with two decimals."""
    return f"{value:.2f}" if unit == "GB" else f"{value:,.0f}"


def cost(case: Case, value: float) -> str:
    """CPU time a unit: seconds a gigabyte, else microseconds."""
    return f"{value:.2f}" if case.unit == "GB" else f"{value * 1e6:.1f}"


def cost_head(case: Case) -> str:
    """What `cost` is."""
    return f"CPU {'s' if case.unit == 'GB' else 'µs'} / {case.unit}"


def times(value: float | None) -> str:
    """A ratio."""
    return "–" if value is None else f"{value:.2f}"


def percent(value: float) -> str:
    """A share."""
    return f"{value * 100:.0f} %"


def size(value: float | None) -> str:
    """Bytes."""
    return "–" if value is None else f"{value:,.0f} B"
