"""The text that a command prints at its end: conclusion, status, results of runs."""

from typing import TYPE_CHECKING, Any

from scalesearch.reporting.terminal.display import format_duration
from scalesearch.reporting.terminal.search_display import search_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from scalesearch.analysis.conclusion import Conclusion
    from scalesearch.analysis.optimum import Optimum
    from scalesearch.analysis.response_model import ResponseModel
    from scalesearch.analysis.statistical_power import StatisticalPower
    from scalesearch.analysis.summary import CandidateResult
    from scalesearch.reporting.status import SearchStatus
    from scalesearch.search.run_noise import RunNoise


def conclusion_text(conclusion: "Conclusion") -> str:
    """Format a conclusion for people: its sentence, then the details."""
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
        f"{axis} {interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
        for axis, interval in optimum.share_intervals.items()
    )
    probabilities = "  ".join(f"{axis} {p:.2f}" for axis, p in optimum.share_probability.items())
    candidate_count = conclusion.candidates + len(conclusion.stopped)
    lines = [
        f"{values}   ({confidence} intervals; {len(optimum.equivalent_candidates)} of "
        f"{candidate_count} are within noise of the optimum)",
        f"  shares of the budget    {shares}",
        f"  share above zero        {probabilities}   (probability)",
        f"  accuracy there          {optimum.accuracy:.4f} +-{optimum.standard_error:.4f}   "
        f"({optimum.degree} surface; p = {_p_value_text(optimum.p_flat)} for no difference at all)",
    ]
    if conclusion.response_model is not None:
        lines.append(_surface_fit_line(conclusion.response_model, optimum.degree))
    if conclusion.recommended is not None:
        network = conclusion.recommended
        lines.append(
            f"  recommended             {network.candidate}   "
            f"depth x{network.multipliers.depth:.3f}  "
            f"width x{network.multipliers.width:.3f}  "
            f"resolution x{network.multipliers.resolution:.3f}   {network.factor:.2f}x, "
            f"{_accuracy_text(network)} of {network.seeds}: {conclusion.reason}"
        )
    if conclusion.equivalent_coefficients:
        ranges = "   ".join(
            f"{name} {low:.3f} to {high:.3f}"
            for name, (low, high) in conclusion.equivalent_coefficients.items()
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
    """Name the surface that predicts best, and the lack of fit of the one that was used."""
    error = 100 * surface.errors[surface.kind]
    test = surface.lack_of_fit.get(degree)
    lack_of_fit_text = (
        "" if test is None else f"; p = {_p_value_text(test.p)} for lack of fit of the {degree}"
    )
    kind = surface.kind if surface.kind.endswith("process") else f"{surface.kind} surface"
    return (
        f"  best predicted by       a {kind}, with an error of {error:.1f} points for a candidate "
        f"left out{lack_of_fit_text}"
    )


def power_lines(power: "StatisticalPower", noise: "RunNoise | None" = None) -> list[str]:
    """List the differences that a search can show.

    ``noise``: the expected noise of a planned search, with its interval.
    """
    interval_text = ""
    if noise is not None and noise.low is not None and noise.high is not None:
        interval_text = f" [{_to_points(noise.low)}, {_to_points(noise.high)}]"
    lines = [f"noise of a run {_to_points(power.noise)}{interval_text} points, from {power.basis}"]
    seeds = f"{power.seeds} seed{'' if power.seeds == 1 else 's'}"
    if power.two is None or power.references is None:
        verb = "does" if power.seeds == 1 else "do"
        lines.append(f"  {seeds} {verb} not show the noise, so no two networks can be compared")
    else:
        differences_text = (
            f"  {seeds} show differences of {_to_points(power.two)} points between two networks"
        )
        if power.comparisons:
            references_text = f" from each of {power.comparisons} references"
            differences_text += f", of {_to_points(power.references)}{references_text}"
        lines.append(f"{differences_text}   (level {power.level:g}, power {power.power:g})")
    if noise is not None and power.widths:
        widths = "  ".join(f"{axis} {width:.2f}" for axis, width in power.widths.items())
        lines.append(
            f"  intervals of the shares {widths} wide, for a surface whose corners lie "
            f"{_to_points(power.hill)} points below its optimum"
        )
    needed = ", ".join(
        f"{_to_points(difference)} points: {_seeds_text(count)}"
        for difference, count in power.needed
    )
    lines.append(f"  seeds that would show   {needed}")
    if noise is not None:
        lines.append("  all of this if every candidate is trained to the end with all seeds")
    return lines


def _seeds_text(seeds: int) -> str:
    from scalesearch.analysis.statistical_power import MAX_SEEDS

    return str(seeds) if seeds < MAX_SEEDS else f"{MAX_SEEDS} or more"


def _to_points(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _p_value_text(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.1g}"


def _accuracy_text(result: "CandidateResult") -> str:
    error = result.standard_error
    return f"{result.accuracy:.3f}" + ("" if error is None else f" +-{error:.3f}")


RESULT_FILES = (
    "answer.json",
    "coefficients.json",
    "records.csv",
    "family.json",
    "figures/simplex.png",
)


def finished_search_text(
    result: "Conclusion", folder: "Path", references: "Sequence[str]" = ()
) -> str:
    """Format the conclusion of a finished search, and the paths of its files.

    ``references``: those of the experiment; some may not have been trained.
    """
    compared = {comparison.reference for comparison in result.comparisons}
    lines = [conclusion_text(result)]
    if result.optimum is not None:
        lines += [f"  {name:<11}not trained" for name in references if name not in compared]
    lines.append(f"{folder}/   {'   '.join(RESULT_FILES)}")
    return "\n".join(lines)


def status_text(search: "SearchStatus", folder: "Path") -> str:
    """Format the state of a search."""
    driver, stopped_count = search.driver, sum(row["state"] == "stopped" for row in search.rows)
    lines = [
        f"{search.name}: {search.epochs:,} epochs on record, {search.seconds:,.0f} s of training, "
        f"{stopped_count} stopped, {len(search.failures)} failed"
    ]
    if driver.state == "interrupted":
        lines.append(interrupted_search_text(folder))
    elif driver.state == "running" and driver.progress is None:
        lines.append("a driver is running and has not reported progress yet")
    elif driver.progress is None:
        lines.append("ended")
    else:
        lines.append(search_line(driver.progress))
    return "\n".join(lines)


def interrupted_search_text(folder: "Path") -> str:
    """Say how to resume a search that is not complete and has no driver."""
    return (
        f"{folder}: no driver is running, and the search is not complete; resume with "
        f"`scalesearch resume {folder}`"
    )


def finished_run_text(document: "Mapping[str, Any]", folder: "Path") -> str:
    """Format the results of a run (``run.json``), and the paths of its files."""
    from scalesearch.results.run_folder import NETWORK_FILES

    cost, results = document["cost"], document["results"]
    epochs, planned_epochs = results["epochs"], document["recipe"]["epochs"]
    epochs_text = f"{epochs} epoch{'s' if epochs > 1 else ''}"
    if epochs < planned_epochs:
        epochs_text = (
            f"{epochs_text} (of {planned_epochs}: stopped early, with the weights of the best)"
        )
    lines = [
        f"{document['name']}: {cost['params']:,} parameters, {cost['macs']:,} multiply-adds, "
        f"{epochs_text} in {format_duration(results['seconds'])}",
        f"{'':<12}{'top-1':>8}{'top-5':>8}{'images':>9}",
    ]
    for split in ("validation", "test"):
        accuracy = results[split]
        top1, top5, images = accuracy["top1"], accuracy["top5"], accuracy["images"]
        lines.append(f"{split:<12}{top1:>8.4f}{top5:>8.4f}{images:>9,}")
    network = next((name for name in NETWORK_FILES if (folder / name).exists()), NETWORK_FILES[0])
    lines.append(f"{folder}/   {network}   metrics.json   epochs.csv   figures/curves.png")
    return "\n".join(lines)


def finished_seeds_text(summary: "Mapping[str, Any]", folder: "Path") -> str:
    """Format the results of several seeds (``summary.json``), and the paths."""
    cost, runs = summary["cost"], summary["runs"]
    seconds = sum(run["seconds"] for run in runs)
    lines = [
        f"{summary['name']}: {cost['params']:,} parameters, {cost['macs']:,} multiply-adds, "
        f"{len(runs)} seeds in {format_duration(seconds)}",
        f"{'':<12}{'top-1':>20}{'top-5':>20}{'images':>9}",
    ]
    for split in ("validation", "test"):
        accuracy = summary[split]
        top1, top5 = (_mean_and_sd_text(accuracy[name]) for name in ("top1", "top5"))
        lines.append(f"{split:<12}{top1:>20}{top5:>20}{accuracy['images']:>9,}")
    accuracies = "   ".join(f"{run['test']['top1']:.4f}" for run in runs)
    lines.append(f"test top-1 of each seed: {accuracies}")
    lines.append(f"{folder}/   summary.json   epochs.csv   figures/curves.png   seed-*/")
    return "\n".join(lines)


def _mean_and_sd_text(statistics: "Mapping[str, float | None]") -> str:
    """Format a mean, with the standard deviation if there are several seeds."""
    sd = "" if statistics["sd"] is None else f" sd {statistics['sd']:.4f}"
    return f"{statistics['mean']:.4f}{sd}"
