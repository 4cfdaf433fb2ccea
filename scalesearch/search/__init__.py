"""The search: what to train next, and the ledger of what was trained."""

from scalesearch.search.driver import search
from scalesearch.search.plan import plan, space
from scalesearch.search.progress import Progress
from scalesearch.search.verbs import (
    Extension,
    experiment_in,
    extend,
    invalidate,
    retry,
    storage_of,
)

__all__ = [
    "Extension",
    "Progress",
    "experiment_in",
    "extend",
    "invalidate",
    "plan",
    "retry",
    "search",
    "space",
    "storage_of",
]
