"""From the results table to the answer; numpy, scipy, pandas and scikit-learn only."""

from scalesearch.analysis.answer import Answer, Result, Stopped, answer, stopped, summary
from scalesearch.analysis.levels import levelled
from scalesearch.analysis.pairs import Difference, Paired, behind, may_still_win, paired

__all__ = [
    "Answer",
    "Difference",
    "Paired",
    "Result",
    "Stopped",
    "answer",
    "behind",
    "levelled",
    "may_still_win",
    "paired",
    "stopped",
    "summary",
]
