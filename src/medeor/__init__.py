"""medeor: from raw clinical data to a model that a hospital or a drug programme can trust.

import medeor

run = medeor.train("breastmnist", out="runs/breast")
run.predict("new_images/")
medeor.load("runs/breast/breast.medeor").predict(array)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

if TYPE_CHECKING:
    from medeor.api import audit, compare, evaluate, explain, export, plan, predict, query, read, summarize, train
    from medeor.contracts import UserError
    from medeor.road.bundle import Trained, load

_HOMES = {"load": "medeor.road.bundle", "Trained": "medeor.road.bundle", "UserError": "medeor.contracts"}
__all__ = [
    "Trained", "UserError", "audit", "compare", "evaluate", "explain", "export", "load", "plan", "predict", "query",
    "read", "summarize", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Verbs are imported when they are first used: `import medeor` itself costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'medeor' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES.get(name, "medeor.api")), name)
