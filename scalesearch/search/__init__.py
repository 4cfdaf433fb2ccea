"""The search: what to train next, and the ledger of what was trained.

What drives one is loaded when it is first used: a worker, which is started with this package,
needs neither Optuna nor a database.
"""

import importlib
from typing import TYPE_CHECKING, Any

from scalesearch.search.plan import planned_trials, search_space
from scalesearch.search.progress import Progress

if TYPE_CHECKING:
    from scalesearch.search.driver import run_search
    from scalesearch.search.verbs import (
        Extension,
        read_search_experiment,
        extend,
        invalidate,
        retry,
        read_storage_url,
    )

__all__ = [
    "Extension",
    "Progress",
    "read_search_experiment",
    "extend",
    "invalidate",
    "planned_trials",
    "retry",
    "run_search",
    "search_space",
    "read_storage_url",
]

_HOMES = {name: "driver" if name == "search" else "verbs" for name in __all__}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
