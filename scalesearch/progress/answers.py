"""A search's answer, and what a plan can show, as a person reads them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalesearch.analysis import Conclusion, Optimum, Power, Surface
    from scalesearch.analysis.answer import Result
    from scalesearch.search.noise import Noise


def answer_lines(found: "Conclusion") -> str:
    """Everything that a conclusion says, for people: one sentence, then what it rests on."""
    lines = [found.sentence, ""]
    if found.optimum is not None:
        lines += _estimate_lines(found, found.optimum)
    if found.power is not None:
        lines += power_lines(found.power)
    lines += [f"note: {note}" for note in found.notes]
    return "\n".join(lines).rstrip()


def _estimate_lines(found: "Conclusion", best: "Optimum") -> list[str]:
    sure = f"{100 - 100 * found.level:g}%"
    values = "   ".join(
        f"{name} {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"
        for name, one in best.intervals.items()
    )
    shares = "  ".join(
        f"{axis} {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"
        for axis, one in best.share_intervals.items()
    )
    likely = "  ".join(f"{axis} {p:.2f}" for axis, p in best.deserves.items())
    known = found.candidates + len(found.stopped)
    lines = [
        f"{values}   ({sure} intervals; {len(best.flat_candidates)} of {known} are flat within "
        "noise)",
        f"  shares of the budget    {shares}",
        f"  more than nothing       {likely}   (probability)",
        f"  accuracy there          {best.accuracy:.4f} +-{best.standard_error:.4f}   "
        f"({best.degree} surface; p = {_p(best.p_flat)} of no difference at all)",
    ]
    if found.surface is not None:
        lines.append(_fit_line(found.surface, best.degree))
    if found.recommended is not None:
        one = found.recommended
        lines.append(
            f"  recommended             {one.candidate}   depth x{one.multipliers.depth:.3f}  "
            f"width x{one.multipliers.width:.3f}  resolution x{one.multipliers.resolution:.3f}   "
            f"{one.factor:.2f}x, {_accuracy(one)} of {one.seeds}: {found.why}"
        )
    if found.same_network:
        same = "   ".join(
            f"{name} {low:.3f} to {high:.3f}" for name, (low, high) in found.same_network.items()
        )
        lines.append(f"  the same network        {same}   (at phi = 1)")
    if found.answer is not None and found.comparisons:
        lines.append(
            f"the network nearest to the optimum, {found.answer.candidate} "
            f"({_accuracy(found.answer)}; +- below: {sure} intervals)"
        )
        lines += [f"  {one.words}" for one in found.comparisons]
    return lines


def _fit_line(surface: "Surface", degree: str) -> str:
    """Which kind predicts best, and whether the one that the estimate is of is enough."""
    error = 100 * surface.errors[surface.kind]
    test = surface.lack_of_fit.get(degree)
    lack = "" if test is None else f"; p = {_p(test.p)} of the {degree}'s lack of fit"
    kind = surface.kind if surface.kind.endswith("process") else f"{surface.kind} surface"
    return f"  best predicted by       a {kind}, a candidate left out to {error:.1f} points{lack}"


def power_lines(power: "Power", noise: "Noise | None" = None) -> list[str]:
    """Which differences can be seen. ``noise``: of a search that is still to come, with the
    interval of its measurement."""
    between = ""
    if noise is not None and noise.low is not None and noise.high is not None:
        between = f" [{_points(noise.low)}, {_points(noise.high)}]"
    lines = [f"noise of a run {_points(power.noise)}{between} points, from {power.basis}"]
    seeds = f"{power.seeds} seed{'' if power.seeds == 1 else 's'}"
    if power.two is None or power.references is None:
        tell = "tells" if power.seeds == 1 else "tell"
        lines.append(f"  {seeds} {tell} no noise, and so no two networks apart by their runs")
    else:
        seen = f"  {seeds} show differences of {_points(power.two)} points between two networks"
        if power.comparisons:
            several = f" from each of {power.comparisons} references"
            seen += f", of {_points(power.references)}{several}"
        lines.append(f"{seen}   (level {power.level:g}, power {power.power:g})")
    if noise is not None and power.widths:
        widths = "  ".join(f"{axis} {width:.2f}" for axis, width in power.widths.items())
        lines.append(
            f"  intervals of the shares {widths} wide, on a hill whose corners lie "
            f"{_points(power.hill)} points below its top"
        )
    needed = ", ".join(f"{_points(gap)} points: {_many(count)}" for gap, count in power.needed)
    lines.append(f"  seeds that would show   {needed}")
    if noise is not None:
        lines.append("  all this where every candidate is trained to the end with all seeds")
    return lines


def _many(seeds: int) -> str:
    from scalesearch.analysis.power import MOST_SEEDS

    return str(seeds) if seeds < MOST_SEEDS else f"{MOST_SEEDS} or more"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _p(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.1g}"


def _accuracy(result: "Result") -> str:
    error = result.standard_error
    return f"{result.accuracy:.3f}" + ("" if error is None else f" +-{error:.3f}")
