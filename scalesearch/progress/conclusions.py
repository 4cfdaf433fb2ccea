"""What a command says when it is done."""

from typing import TYPE_CHECKING, Any

from scalesearch.progress.answers import conclusion_text
from scalesearch.progress.display import format_duration
from scalesearch.progress.searches import search_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from scalesearch.analysis import Conclusion
    from scalesearch.report import SearchStatus


RESULT_FILES = ("answer.json", "coefficients.json", "records.csv", "family.json", "figures/simplex.png")


def finished_search_text(result: "Conclusion", folder: "Path", references: "Sequence[str]" = ()) -> str:
    """The answer of a search that has ended, and where its files are. ``references``: those asked
    for, of which some may not have been trained."""
    compared = {comparison.reference for comparison in result.comparisons}
    lines = [conclusion_text(result)]
    if result.optimum is not None:
        lines += [f"  {name:<11}not trained" for name in references if name not in compared]
    lines.append(f"{folder}/   {'   '.join(RESULT_FILES)}")
    return "\n".join(lines)


def status_text(search: "SearchStatus", folder: "Path") -> str:
    """What is on record of a search, and whether anybody goes on with it."""
    driver, stopped_count = search.driver, sum(row["state"] == "stopped" for row in search.rows)
    lines = [
        f"{search.name}: {search.epochs:,} epochs on record, {search.seconds:,.0f} s of training, "
        f"{stopped_count} stopped, {len(search.failures)} failed"
    ]
    if driver.state == "interrupted":
        lines.append(interrupted_search_text(folder))
    elif driver.state == "running" and driver.progress is None:
        lines.append("a driver is running and has told nothing yet")
    elif driver.progress is None:
        lines.append("ended")
    else:
        lines.append(search_line(driver.progress))
    return "\n".join(lines)


def interrupted_search_text(folder: "Path") -> str:
    """Of a search that has not ended, and on which nobody works."""
    return (
        f"{folder}: no driver is running, and there is more to do; resume with "
        f"`scalesearch resume {folder}`"
    )


def finished_run_text(document: "Mapping[str, Any]", folder: "Path") -> str:
    """What was trained, how good it is, and where files are; ``document`` is ``run.json``."""
    from scalesearch.report.run_folder import NETWORK_FILES

    cost, results = document["cost"], document["results"]
    epochs, planned_epochs = results["epochs"], document["recipe"]["epochs"]
    epochs_text = f"{epochs} epoch{'s' if epochs > 1 else ''}"
    if epochs < planned_epochs:
        epochs_text = f"{epochs_text} (of {planned_epochs}: stopped early, with the weights of the best)"
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
    """What several seeds came to, and where files are; ``summary`` is ``summary.json``."""
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
    """Mean and standard deviation, which one seed alone does not have."""
    sd = "" if statistics["sd"] is None else f" sd {statistics['sd']:.4f}"
    return f"{statistics['mean']:.4f}{sd}"
