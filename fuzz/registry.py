"""The names of the targets, and where their files are."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from fuzz.segments import Check

HERE = Path(__file__).resolve().parent


class Target(NamedTuple):
    """One target."""

    name: str
    longest: int
    """Bytes of an input; longer ones find little more and cost much."""
    share: int = 1
    """Parts of the time (or of the runs) that it gets beside the others."""

    @property
    def module(self) -> str:
        """Where its ``check`` is."""
        return f"fuzz.targets.{self.name}"

    @property
    def corpus(self) -> Path:
        """The folder of its seeds and of what was found."""
        return HERE / "corpus" / self.name

    @property
    def dictionary(self) -> Path:
        """Words for the mutator."""
        return HERE / "dictionaries" / f"{self.name}.dict"

    def check(self) -> Check:
        """Import it."""
        found: Check = import_module(self.module).check
        return found

    def inputs(self) -> list[Path]:
        """Every file of its corpus, in order."""
        return sorted(path for path in self.corpus.iterdir() if path.is_file())


TARGETS = {
    target.name: target
    for target in (
        Target("request_head", 600, 3),
        Target("response_head", 600, 3),
        Target("chunked_body", 400, 2),
        Target("proxy_header", 400),
        Target("host_and_target", 200),
        Target("field_lists", 200),
        Target("forwarded_fields", 500),
        Target("cookies", 300),
        Target("paths", 300),
        Target("config_file", 1500, 2),
        Target("proxied_request", 800, 3),
        Target("proxied_response", 800, 3),
    )
}
"""By name, in the order in which they run."""
