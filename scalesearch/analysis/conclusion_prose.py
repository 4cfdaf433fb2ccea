"""What a conclusion says in one sentence."""

from typing import TYPE_CHECKING

from scalesearch.analysis.optimum import Interval

if TYPE_CHECKING:
    from scalesearch.analysis.conclusion import Conclusion
    from scalesearch.analysis.summary import CandidateResult


def conclusion_sentence(conclusion: "Conclusion") -> str:
    """The answer in one sentence, with what is to be known about it."""
    runs = f"{_count_text(conclusion.seeds, 'seed')} and {_count_text(conclusion.epoch, 'epoch')}"
    parts = [_main_clause(conclusion, runs)]
    if conclusion.optimum is not None and conclusion.seeds == 1:
        parts.append(
            "one seed tells no noise of its own, so all of it rests on what the surface leaves over"
        )
    if conclusion.has_unequal_costs:
        low, high = conclusion.cost_range
        parts.append(
            f"the networks cost {low:.2f}x to {high:.2f}x, so this compares unlike with unlike"
        )
    return f"{'; '.join(parts)}."


def _main_clause(conclusion: "Conclusion", runs: str) -> str:
    optimum, best = conclusion.optimum, conclusion.recommended
    if optimum is None or best is None:
        return (
            f"No answer yet: {_count_text(conclusion.candidates, 'network')} with {runs} "
            f"{'does' if conclusion.candidates == 1 else 'do'} not determine where accuracy is highest"
        )
    network_count = conclusion.candidates + len(conclusion.stopped)
    if optimum.p_flat > conclusion.level:
        clear = [
            f"the network of {comparison.reference}"
            if comparison.is_stand_in
            else comparison.reference
            for comparison in conclusion.comparisons
            if comparison.settled and comparison.difference > 0
        ]
        exception = f"; clearly worse is only {' and '.join(clear)}" if clear else ""
        opening = "Nothing is distinguishable" if not clear else "The surface tells nothing apart"
        return (
            f"{opening}: among {network_count} networks of about {conclusion.factor:g}x the cost, {runs} show no "
            f"effect of the shares that chance does not explain (p = {optimum.p_flat:.2f}){exception}, "
            f"so take the cheapest to run, {network_text(best)}"
        )
    values = ", ".join(
        f"{name} {interval_text(interval)}"
        for name, interval in optimum.coefficient_intervals.items()
    )
    count = len(optimum.equivalent_candidates)
    if count > 1:
        advice = (
            f"of {network_count} networks {count} cannot be told from the best; take {network_text(best)}, "
            f"{conclusion.reason}"
        )
    else:
        advice = f"the network to take, of {network_count}, is {network_text(best)}"
    return (
        f"At {conclusion.factor:g}x the cost {values} ({100 - 100 * conclusion.level:g}% intervals from "
        f"{runs}); {advice}"
    )


def network_text(result: "CandidateResult") -> str:
    """A network by its fingerprint's beginning and its multipliers."""
    scaled = result.multipliers
    return (
        f"{result.candidate[:8]} (depth x{scaled.depth:.2f}, width x{scaled.width:.2f}, "
        f"resolution x{scaled.resolution:.2f})"
    )


def interval_text(interval: Interval) -> str:
    """A value and its interval."""
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _count_text(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"
