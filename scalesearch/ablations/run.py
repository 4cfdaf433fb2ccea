"""An ablation from its file to its table: searches, and what becomes of their records."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

from scalesearch.ablations.document import write_ablation_document
from scalesearch.ablations.figures import write_ablation_figures
from scalesearch.ablations.found import AblationResult, ablation_result
from scalesearch.ablations.maps import write_gradcam
from scalesearch.ablations.points import ablation_experiments
from scalesearch.ablations.rows import rows_to_table
from scalesearch.ablations.spec import Ablation
from scalesearch.files import write_text
from scalesearch.records import read_records
from scalesearch.search import run_search

ShowProgress: TypeAlias = Callable[[Path], AbstractContextManager[tuple[Any, Any]]]
"""The folder of a search's news -> what is called with its progress, and while images come."""


def default_folder(ablation: Ablation) -> Path:
    """Where an ablation's results are by default."""
    return Path("results") / "ablations" / ablation.name / ablation.size


def run_ablation(
    ablation: Ablation,
    results: str | Path | None = None,
    *,
    show_progress: ShowProgress = lambda _: nullcontext((None, None)),
    **options: Any,
) -> AblationResult:
    """Train what the ablation asks for and is not on record yet, and write its results.

    ``results``: its folder, by default ``results/ablations/NAME/SIZE``; each baseline has a search
    of its own in it. ``options``: as ``search`` takes them (executor, workers, ...). Raises what
    ``search`` raises.
    """
    folder = Path(results) if results is not None else default_folder(ablation)
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
    """Write ``table.csv``, ``ablation.json`` and the figures from the records in the folder.

    Needs neither study nor images. Raises SearchError where a baseline's records are missing or
    nothing was trained to the end.
    """
    folder = Path(folder)
    records = {name: read_records(folder / name / "records.csv") for name in ablation.baselines}
    result = ablation_result(ablation, folder, records)
    write_text(folder / "table.csv", rows_to_table(result.rows).to_csv(index=False))
    write_ablation_document(result)
    write_ablation_figures(result)
    return result
