"""From a request to where it goes: compiled matchers, weighted splits, and what of the path the replica gets.

`vegurtx.balance.table` compiles a configuration to one `Routes`; `vegurtx.balance.router` asks it with each request.
"""

from __future__ import annotations

from vegurtx.balance.matching.normal_form import normal_form
from vegurtx.balance.matching.rewriting import Rewrite, rewrite_target
from vegurtx.balance.matching.routes import Routes
from vegurtx.balance.matching.split import Split

__all__ = ["Rewrite", "Routes", "Split", "normal_form", "rewrite_target"]
