"""The search: what to train next, and the ledger of what was trained."""

from scalesearch.search.driver import Progress, search
from scalesearch.search.plan import plan, space

__all__ = ["Progress", "plan", "search", "space"]
