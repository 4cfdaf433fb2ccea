"""From the results table to the answer; numpy, scipy, pandas and scikit-learn only."""

from scalesearch.analysis.agreement import Agreement, agreement, agreement_between
from scalesearch.analysis.answer import Answer, Result, Stopped, answer, stopped, summary
from scalesearch.analysis.comparisons import Comparison, comparisons
from scalesearch.analysis.conclusion import Conclusion, conclusion
from scalesearch.analysis.drift import Best, Drift, Gain, drift
from scalesearch.analysis.exponents import StarShares, star_shares
from scalesearch.analysis.factors import FactorDrift, factor_drift
from scalesearch.analysis.laws import HeldOut, Law, held_out, law, laws
from scalesearch.analysis.levels import levelled
from scalesearch.analysis.observations import Observations, observations
from scalesearch.analysis.optimum import Interval, Optimum, optimum
from scalesearch.analysis.pairs import Difference, Paired, behind, may_still_win, paired
from scalesearch.analysis.power import Power, detectable, power_of, seeds_needed
from scalesearch.analysis.ranks import RankAgreement, rank_agreement
from scalesearch.analysis.settled import Settled, settled
from scalesearch.analysis.surface import LackOfFit, Surface, surface

__all__ = [
    "Agreement",
    "Answer",
    "Best",
    "Comparison",
    "Conclusion",
    "Difference",
    "Drift",
    "FactorDrift",
    "Gain",
    "HeldOut",
    "Interval",
    "LackOfFit",
    "Law",
    "Observations",
    "Optimum",
    "Paired",
    "Power",
    "RankAgreement",
    "Result",
    "Settled",
    "StarShares",
    "Stopped",
    "Surface",
    "agreement",
    "agreement_between",
    "answer",
    "behind",
    "comparisons",
    "conclusion",
    "detectable",
    "drift",
    "factor_drift",
    "held_out",
    "law",
    "laws",
    "levelled",
    "may_still_win",
    "observations",
    "optimum",
    "paired",
    "power_of",
    "rank_agreement",
    "seeds_needed",
    "settled",
    "star_shares",
    "stopped",
    "summary",
    "surface",
]
