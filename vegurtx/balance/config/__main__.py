"""``python -m vegurtx.balance.config schema | reference``: what is generated from the models."""

from __future__ import annotations

import json
import sys

from vegurtx.balance.config.reference import reference_page
from vegurtx.balance.config.schema import json_schema

if __name__ == "__main__":
    if sys.argv[1:] == ["schema"]:
        print(json.dumps(json_schema(), indent=2))
    elif sys.argv[1:] == ["reference"]:
        print(reference_page(), end="")
    else:
        sys.exit("usage: python -m vegurtx.balance.config schema | reference")
