"""From the results table to the answer; numpy, scipy, pandas and scikit-learn only."""

from scalesearch.analysis.answer import Answer, Result, Stopped, answer, stopped, summary
from scalesearch.analysis.comparisons import Comparison, comparisons
from scalesearch.analysis.conclusion import Conclusion, conclusion
from scalesearch.analysis.levels import levelled
from scalesearch.analysis.observations import Observations, observations
from scalesearch.analysis.optimum import Interval, Optimum, optimum
from scalesearch.analysis.pairs import Difference, Paired, behind, may_still_win, paired
from scalesearch.analysis.power import Power, detectable, power_of, seeds_needed
from scalesearch.analysis.settled import Settled, settled
from scalesearch.analysis.surface import LackOfFit, Surface, surface

__all__ = [
    "Answer",
    "Comparison",
    "Conclusion",
    "Difference",
    "Interval",
    "LackOfFit",
    "Observations",
    "Optimum",
    "Paired",
    "Power",
    "Result",
    "Settled",
    "Stopped",
    "Surface",
    "answer",
    "behind",
    "comparisons",
    "conclusion",
    "detectable",
    "levelled",
    "may_still_win",
    "observations",
    "optimum",
    "paired",
    "power_of",
    "seeds_needed",
    "settled",
    "stopped",
    "summary",
    "surface",
]
