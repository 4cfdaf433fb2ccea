"""A search's answer, and what a plan can show, as a person reads them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalesearch.analysis import Conclusion, Optimum, StatisticalPower, ResponseModel
    from scalesearch.analysis.answer import CandidateResult
    from scalesearch.search.noise import RunNoise


def conclusion_text(conclusion: "Conclusion") -> str:
    """Everything that a conclusion says, for people: one sentence, then what it rests on."""
    lines = [conclusion.sentence, ""]
    if conclusion.optimum is not None:
        lines += _optimum_lines(conclusion, conclusion.optimum)
    if conclusion.power is not None:
        lines += power_lines(conclusion.power)
    lines += [f"note: {note}" for note in conclusion.notes]
    return "\n".join(lines).rstrip()


def _optimum_lines(conclusion: "Conclusion", optimum: "Optimum") -> list[str]:
    confidence = f"{100 - 100 * conclusion.level:g}%"
    values = "   ".join(
        f"{name} {interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
        for name, interval in optimum.coefficient_intervals.items()
    )
    shares = "  ".join(
        f"{axis} {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"
        for axis, one in optimum.share_intervals.items()
    )
    probabilities = "  ".join(f"{axis} {p:.2f}" for axis, p in optimum.share_probability.items())
    candidate_count = conclusion.candidates + len(conclusion.stopped)
    lines = [
        f"{values}   ({confidence} intervals; {len(optimum.equivalent_candidates)} of {candidate_count} are flat within "
        "noise)",
        f"  shares of the budget    {shares}",
        f"  more than nothing       {probabilities}   (probability)",
        f"  accuracy there          {optimum.accuracy:.4f} +-{optimum.standard_error:.4f}   "
        f"({optimum.degree} surface; p = {_p_value_text(optimum.p_flat)} of no difference at all)",
    ]
    if conclusion.response_model is not None:
        lines.append(_surface_fit_line(conclusion.response_model, optimum.degree))
    if conclusion.recommended is not None:
        network = conclusion.recommended
        lines.append(
            f"  recommended             {network.candidate}   depth x{network.multipliers.depth:.3f}  "
            f"width x{network.multipliers.width:.3f}  resolution x{network.multipliers.resolution:.3f}   "
            f"{network.factor:.2f}x, {_accuracy_text(network)} of {network.seeds}: {conclusion.reason}"
        )
    if conclusion.equivalent_coefficients:
        ranges = "   ".join(
            f"{name} {low:.3f} to {high:.3f}" for name, (low, high) in conclusion.equivalent_coefficients.items()
        )
        lines.append(f"  the same network        {ranges}   (at phi = 1)")
    if conclusion.nearest_to_optimum is not None and conclusion.comparisons:
        lines.append(
            f"the network nearest to the optimum, {conclusion.nearest_to_optimum.candidate} "
            f"({_accuracy_text(conclusion.nearest_to_optimum)}; +- below: {confidence} intervals)"
        )
        lines += [f"  {comparison.words}" for comparison in conclusion.comparisons]
    return lines


def _surface_fit_line(surface: "ResponseModel", degree: str) -> str:
    """Which kind predicts best, and whether the one that the estimate is of is enough."""
    error = 100 * surface.errors[surface.kind]
    test = surface.lack_of_fit.get(degree)
    lack_of_fit_text = "" if test is None else f"; p = {_p_value_text(test.p)} of the {degree}'s lack of fit"
    kind = surface.kind if surface.kind.endswith("process") else f"{surface.kind} surface"
    return f"  best predicted by       a {kind}, a candidate left out to {error:.1f} points{lack_of_fit_text}"


def power_lines(power: "StatisticalPower", noise: "RunNoise | None" = None) -> list[str]:
    """Which differences can be seen. ``noise``: of a search that is still to come, with the
    interval of its measurement."""
    interval_text = ""
    if noise is not None and noise.low is not None and noise.high is not None:
        interval_text = f" [{_to_points(noise.low)}, {_to_points(noise.high)}]"
    lines = [f"noise of a run {_to_points(power.noise)}{interval_text} points, from {power.basis}"]
    seeds = f"{power.seeds} seed{'' if power.seeds == 1 else 's'}"
    if power.two is None or power.references is None:
        verb = "tells" if power.seeds == 1 else "tell"
        lines.append(f"  {seeds} {verb} no noise, and so no two networks apart by their runs")
    else:
        differences_text = f"  {seeds} show differences of {_to_points(power.two)} points between two networks"
        if power.comparisons:
            references_text = f" from each of {power.comparisons} references"
            differences_text += f", of {_to_points(power.references)}{references_text}"
        lines.append(f"{differences_text}   (level {power.level:g}, power {power.power:g})")
    if noise is not None and power.widths:
        widths = "  ".join(f"{axis} {width:.2f}" for axis, width in power.widths.items())
        lines.append(
            f"  intervals of the shares {widths} wide, on a hill whose corners lie "
            f"{_to_points(power.hill)} points below its top"
        )
    needed = ", ".join(f"{_to_points(difference)} points: {_seeds_text(count)}" for difference, count in power.needed)
    lines.append(f"  seeds that would show   {needed}")
    if noise is not None:
        lines.append("  all this where every candidate is trained to the end with all seeds")
    return lines


def _seeds_text(seeds: int) -> str:
    from scalesearch.analysis.power import MAX_SEEDS

    return str(seeds) if seeds < MAX_SEEDS else f"{MAX_SEEDS} or more"


def _to_points(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _p_value_text(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.1g}"


def _accuracy_text(result: "CandidateResult") -> str:
    error = result.standard_error
    return f"{result.accuracy:.3f}" + ("" if error is None else f" +-{error:.3f}")
