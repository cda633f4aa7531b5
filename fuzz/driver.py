"""One target under atheris: ``python -m fuzz.driver TARGET [libFuzzer's options and folders]``.

What is counted as covered is our code and h11's: the oracle's branches, too, tell one kind of input from another.
"""

from __future__ import annotations

import gc
import sys

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

from fuzz.registry import TARGETS

_COVERED = [
    "h11",
    *(f"vegurtx.{room}" for room in ("balance", "message", "middleware", "net", "proxy", "wire")),
]
#: megabytes and seconds of one input; a busy machine may need some for a slow one
_LIMITS = ["-rss_limit_mb=2048", "-timeout=30", "-report_slow_units=30"]


def main(arguments: list[str]) -> None:
    """Run the target that the first of `arguments` names; libFuzzer ends the process."""
    target = TARGETS[arguments[0]]
    with atheris.instrument_imports(include=_COVERED):
        check = target.check()
    gc.freeze()
    options = [f"-max_len={target.longest}", *_LIMITS]
    if target.dictionary.exists():
        options.append(f"-dict={target.dictionary}")
    # libFuzzer starts itself again by this name, through a shell, where it merges corpora.
    itself = f"{sys.executable} -m fuzz.driver {target.name}"
    atheris.Setup([itself, *options, *arguments[1:]], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
