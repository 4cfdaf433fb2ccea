"""The search: what to train next, and the ledger of what was trained."""

from scalesearch.search.driver import search
from scalesearch.search.plan import plan, space
from scalesearch.search.progress import Progress

__all__ = ["Progress", "plan", "search", "space"]
