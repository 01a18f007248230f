"""How long tests with a budget go on: `make soak` (SOAK=1) asks for their long forms."""

from __future__ import annotations

import os

SOAK = os.environ.get("SOAK") == "1"


def examples(few: int) -> int:
    """The examples of a property test: twenty times as many in the long form."""
    return 20 * few if SOAK else few
