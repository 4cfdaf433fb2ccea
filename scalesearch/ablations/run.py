"""The run of an ablation: its searches, then its table and figures."""

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

from matplotlib.figure import Figure

from scalesearch.ablations.ablation_prose import AblationResult, ablation_result
from scalesearch.ablations.ablation_table import rows_to_table
from scalesearch.ablations.gradcam_figure import write_gradcam
from scalesearch.ablations.spec import Ablation, ablation_experiments
from scalesearch.figures.ablation_figures import (
    ablation_bars,
    ablation_costs_figure,
    ablation_curves,
    ablation_curves_figure,
    ablation_panels_figure,
    ablation_rows_figure,
)
from scalesearch.figures.style import write_figure
from scalesearch.io import to_document, write_json, write_text
from scalesearch.results.search_folder import SearchFolder
from scalesearch.search.driver import run_search

ShowProgress: TypeAlias = Callable[[Path], AbstractContextManager[tuple[Any, Any]]]
"""Context manager: folder of heartbeats -> callbacks for progress and for loading images."""
SCHEMA = "scalesearch/ablation"
VERSION = 1
EXPERIMENT_PARTS = ("baseline", "data", "budget", "recipe", "seed")
"""Parts of an experiment that the ablation's file may leave to defaults."""


def ablation_document(result: AblationResult) -> dict[str, Any]:
    """Return the results as JSON values; accuracies are fractions, intervals of 90%."""
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "name": result.ablation.name,
        "size": result.ablation.size,
        "source": result.ablation.source,
        "sentences": list(result.sentences),
        "rows": [dataclasses.asdict(row) for row in result.rows],
        "gains": [dataclasses.asdict(gain) for gain in result.gains],
        "overlaps": [dataclasses.asdict(overlap) for overlap in result.curve_comparisons],
        "ablation": dataclasses.asdict(result.ablation),
        "searches": {name: _search_document(result, name) for name in result.ablation.baselines},
    }


def _search_document(result: AblationResult, baseline: str) -> dict[str, Any]:
    """Describe the search of a baseline: its resolved experiment, data and machine."""
    search = SearchFolder(result.folder / baseline)
    experiment, environment = search.experiment, search.environment
    resolved = to_document(experiment)
    return {
        "records": f"{baseline}/records.csv",
        **{name: resolved[name] for name in EXPERIMENT_PARTS},
        "data": {**resolved["data"], **environment["data"]},
        "seeds": list(experiment.seeds),
        "epochs": experiment.rungs[-1],
        "environment": {key: value for key, value in environment.items() if key != "data"},
    }


def write_ablation_figures(result: AblationResult) -> None:
    """Write ``figures/NAME.png`` and ``.svg``; curves have a figure for each baseline."""
    ablation, folder = result.ablation, result.folder / "figures"
    has_figure_per_baseline = len(ablation.baselines) > 1 and ablation.figure != "rows"
    for baseline in ablation.baselines if has_figure_per_baseline else [None]:
        name = ablation.name if baseline is None else f"{ablation.name}-{baseline}"
        write_figure(_figure(result, baseline), folder / name)


def _figure(result: AblationResult, baseline: str | None) -> Figure:
    ablation, all_rows = result.ablation, rows_to_table(result.rows)
    rows = all_rows if baseline is None else all_rows[all_rows["baseline"] == baseline]
    title = ablation.title if baseline is None else f"{ablation.title}: {baseline}"
    if ablation.figure == "rows":
        return ablation_rows_figure(ablation_bars(rows, ablation.against), title)
    if ablation.figure == "costs":
        return ablation_costs_figure(rows, ablation.against, title)
    curve_data = ablation_curves(rows, against=ablation.against)
    if ablation.figure == "panels":
        return ablation_panels_figure(curve_data, title)
    return ablation_curves_figure(curve_data, title)


def run_ablation(
    ablation: Ablation,
    results: str | Path | None = None,
    *,
    show_progress: ShowProgress = lambda _: nullcontext((None, None)),
    **options: Any,
) -> AblationResult:
    """Train the networks of an ablation not on record yet; write its results.

    ``results``: its folder, by default ``results/ablations/NAME/SIZE``, with a search for each
    baseline. ``options``: those of ``run_search`` (executor, workers, ...), whose errors are
    raised, too.
    """
    folder = Path(results or Path("results", "ablations", ablation.name, ablation.size))
    for name, experiment in ablation_experiments(ablation).items():
        with show_progress(folder / name / "news") as (on_progress, on_data):
            run_search(
                experiment,
                folder / name,
                on_progress=on_progress,
                on_data=on_data,
                keep=ablation.maps is not None,
                **options,
            )
    result = write_ablation_results(ablation, folder)
    if ablation.maps is not None:
        write_gradcam(result)
    return result


def write_ablation_results(ablation: Ablation, folder: str | Path) -> AblationResult:
    """Write ``table.csv``, ``ablation.json`` and the figures from the records.

    Needs neither study nor images. Raises SearchError if a baseline's records are missing or no
    network has finished.
    """
    folder = Path(folder)
    records = {name: SearchFolder(folder / name).records for name in ablation.baselines}
    result = ablation_result(ablation, folder, records)
    write_text(folder / "table.csv", rows_to_table(result.rows).to_csv(index=False))
    write_json(folder / "ablation.json", ablation_document(result), allow_nan=False)
    write_ablation_figures(result)
    return result
