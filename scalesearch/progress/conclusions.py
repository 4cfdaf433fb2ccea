"""What a command says when it is done."""

from typing import TYPE_CHECKING, Any

from scalesearch.progress.answers import answer_lines
from scalesearch.progress.display import clock
from scalesearch.progress.searches import search_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from scalesearch.analysis import Conclusion
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
    from scalesearch.report.run_folder import NETWORKS

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
    network = next((name for name in NETWORKS if (folder / name).exists()), NETWORKS[0])
    lines.append(f"{folder}/   {network}   metrics.json   epochs.csv   figures/curves.png")
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
