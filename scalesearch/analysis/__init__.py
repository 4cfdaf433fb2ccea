"""From the results table to the answer; numpy, scipy, pandas and scikit-learn only."""

from scalesearch.analysis.agreement import EpochRankCorrelation, epoch_rank_correlation, table_rank_correlation
from scalesearch.analysis.answer import Summary, CandidateResult, StoppedCandidate, summarize, stopped, candidate_results
from scalesearch.analysis.comparisons import Comparison, comparisons
from scalesearch.analysis.conclusion import Conclusion, conclusion
from scalesearch.analysis.drift import EpochOptimum, EpochDrift, AccuracyGain, epoch_drift
from scalesearch.analysis.exponents import ExponentShares, exponent_shares
from scalesearch.analysis.factors import FactorDrift, factor_drift
from scalesearch.analysis.laws import HeldOutNetwork, ScalingLaw, held_out_network, fit_scaling_law, fit_scaling_laws
from scalesearch.analysis.levels import imputed_accuracies
from scalesearch.analysis.observations import CandidateEstimates, candidate_estimates
from scalesearch.analysis.optimum import Interval, Optimum, optimum
from scalesearch.analysis.pairs import PairedDifference, PairedNoise, paired_difference, may_still_win, paired
from scalesearch.analysis.power import StatisticalPower, detectable_difference, statistical_power, seeds_needed
from scalesearch.analysis.ranks import RankCorrelation, rank_correlation
from scalesearch.analysis.settled import Convergence, settled
from scalesearch.analysis.surface import LackOfFitTest, ResponseModel, surface

__all__ = [
    "EpochRankCorrelation",
    "Summary",
    "EpochOptimum",
    "Comparison",
    "Conclusion",
    "PairedDifference",
    "EpochDrift",
    "FactorDrift",
    "AccuracyGain",
    "HeldOutNetwork",
    "Interval",
    "LackOfFitTest",
    "ScalingLaw",
    "CandidateEstimates",
    "Optimum",
    "PairedNoise",
    "StatisticalPower",
    "RankCorrelation",
    "CandidateResult",
    "Convergence",
    "ExponentShares",
    "StoppedCandidate",
    "ResponseModel",
    "epoch_rank_correlation",
    "table_rank_correlation",
    "summarize",
    "paired_difference",
    "comparisons",
    "conclusion",
    "detectable_difference",
    "epoch_drift",
    "factor_drift",
    "held_out_network",
    "fit_scaling_law",
    "fit_scaling_laws",
    "imputed_accuracies",
    "may_still_win",
    "candidate_estimates",
    "optimum",
    "paired",
    "statistical_power",
    "rank_correlation",
    "seeds_needed",
    "settled",
    "exponent_shares",
    "stopped",
    "candidate_results",
    "surface",
]
