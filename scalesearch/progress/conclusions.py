"""What a command says when it is done."""

from typing import TYPE_CHECKING, Any

from scalesearch.progress.display import clock
from scalesearch.progress.searches import search_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from scalesearch.analysis import Conclusion, Optimum, Power
    from scalesearch.analysis.answer import Result
    from scalesearch.report import Status


FILES = ("answer.json", "coefficients.json", "records.csv", "family.json", "figures/simplex.png")


def conclusion(found: "Conclusion", folder: "Path", references: "Sequence[str]" = ()) -> str:
    """The answer of a search that has ended, and where its files are. ``references``: those asked
    for, of which some may not have been trained."""
    told = {one.reference for one in found.comparisons}
    lines = [answer_lines(found)]
    if found.optimum is not None:
        lines += [f"  {name:<11}not trained" for name in references if name not in told]
    lines.append(f"{folder}/   {'   '.join(FILES)}")
    return "\n".join(lines)


def answer_lines(found: "Conclusion") -> str:
    """Everything that a conclusion says, for people: one sentence, then what it rests on."""
    lines = [found.sentence, ""]
    if found.optimum is not None:
        lines += _estimate_lines(found, found.optimum)
    if found.power is not None:
        lines += _power_lines(found.power)
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


def _power_lines(power: "Power") -> list[str]:
    lines = [
        f"noise of a run {_points(power.noise)} points, from {power.basis}",
    ]
    if power.two is not None and power.references is not None:
        lines.append(
            f"  {power.seeds} seeds show differences of {_points(power.two)} points between two "
            f"networks, and of {_points(power.references)} from each of {power.comparisons} "
            f"references (level {power.level:g}, power {power.power:g})"
        )
    needed = ", ".join(f"{_points(gap)} points: {seeds}" for gap, seeds in power.needed)
    lines.append(f"  seeds that would show    {needed}")
    return lines


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _p(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.1g}"


def status_lines(now: "Status", folder: "Path") -> str:
    """What is on record of a search, and whether anybody goes on with it."""
    standing, out = now.standing, sum(row["state"] == "stopped" for row in now.rows)
    lines = [
        f"{now.name}: {now.epochs:,} epochs on record, {now.seconds:,.0f} s of training, "
        f"{out} stopped, {len(now.failures)} failed"
    ]
    if standing.state == "interrupted":
        lines.append(interrupted(folder))
    elif standing.state == "running" and standing.progress is None:
        lines.append("a driver is running and has told nothing yet")
    elif standing.progress is None:
        lines.append("ended")
    else:
        lines.append(search_line(standing.progress))
    return "\n".join(lines)


def interrupted(folder: "Path") -> str:
    """Of a search that has not ended, and on which nobody works."""
    return (
        f"{folder}: no driver is running, and there is more to do; resume with "
        f"`scalesearch resume {folder}`"
    )


def run_conclusion(document: "Mapping[str, Any]", folder: "Path") -> str:
    """What was trained, how good it is, and where files are; ``document`` is ``run.json``."""
    cost, results = document["cost"], document["results"]
    epochs, asked = results["epochs"], document["recipe"]["epochs"]
    counted = f"{epochs} epoch{'s' if epochs > 1 else ''}"
    if epochs < asked:
        counted = f"{counted} (of {asked}: stopped early, with the weights of the best)"
    lines = [
        f"{document['name']}: {cost['params']:,} parameters, {cost['macs']:,} multiply-adds, "
        f"{counted} in {clock(results['seconds'])}",
        f"{'':<12}{'top-1':>8}{'top-5':>8}{'images':>9}",
    ]
    for part in ("validation", "test"):
        found = results[part]
        top1, top5, images = found["top1"], found["top5"], found["images"]
        lines.append(f"{part:<12}{top1:>8.4f}{top5:>8.4f}{images:>9,}")
    lines.append(f"{folder}/   network.pt   metrics.json   epochs.csv   figures/curves.png")
    return "\n".join(lines)


def seeds_conclusion(summary: "Mapping[str, Any]", folder: "Path") -> str:
    """What several seeds came to, and where files are; ``summary`` is ``summary.json``."""
    cost, runs = summary["cost"], summary["runs"]
    seconds = sum(run["seconds"] for run in runs)
    lines = [
        f"{summary['name']}: {cost['params']:,} parameters, {cost['macs']:,} multiply-adds, "
        f"{len(runs)} seeds in {clock(seconds)}",
        f"{'':<12}{'top-1':>20}{'top-5':>20}{'images':>9}",
    ]
    for part in ("validation", "test"):
        found = summary[part]
        top1, top5 = (_spread(found[name]) for name in ("top1", "top5"))
        lines.append(f"{part:<12}{top1:>20}{top5:>20}{found['images']:>9,}")
    each = "   ".join(f"{run['test']['top1']:.4f}" for run in runs)
    lines.append(f"test top-1 of each seed: {each}")
    lines.append(f"{folder}/   summary.json   epochs.csv   figures/curves.png   seed-*/")
    return "\n".join(lines)


def _spread(found: "Mapping[str, float | None]") -> str:
    """Mean and standard deviation, which one seed alone does not have."""
    sd = "" if found["sd"] is None else f" sd {found['sd']:.4f}"
    return f"{found['mean']:.4f}{sd}"


def _accuracy(result: "Result") -> str:
    error = result.standard_error
    return f"{result.accuracy:.3f}" + ("" if error is None else f" +-{error:.3f}")
