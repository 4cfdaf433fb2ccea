"""An ablation from its file to its table: searches, and what becomes of their records."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

from scalesearch.ablations.document import write_document
from scalesearch.ablations.figures import write_figures
from scalesearch.ablations.found import Ablated, concluded
from scalesearch.ablations.maps import write_maps
from scalesearch.ablations.points import experiments
from scalesearch.ablations.rows import table
from scalesearch.ablations.spec import Ablation
from scalesearch.files import write_text
from scalesearch.records import read_records
from scalesearch.search import search

Shown: TypeAlias = Callable[[Path], AbstractContextManager[tuple[Any, Any]]]
"""The folder of a search's news -> what is called with its progress, and while images come."""


def folder_of(ablation: Ablation) -> Path:
    """Where an ablation's results are by default."""
    return Path("results") / "ablations" / ablation.name / ablation.size


def ablate(
    ablation: Ablation,
    results: str | Path | None = None,
    *,
    shown: Shown = lambda _: nullcontext((None, None)),
    **options: Any,
) -> Ablated:
    """Train what the ablation asks for and is not on record yet, and write its results.

    ``results``: its folder, by default ``results/ablations/NAME/SIZE``; each baseline has a search
    of its own in it. ``options``: as ``search`` takes them (executor, workers, ...). Raises what
    ``search`` raises.
    """
    folder = Path(results) if results is not None else folder_of(ablation)
    for name, experiment in experiments(ablation).items():
        with shown(folder / name / "news") as (on_progress, on_data):
            search(
                experiment,
                folder / name,
                on_progress=on_progress,
                on_data=on_data,
                keep=ablation.maps is not None,
                **options,
            )
    found = write_ablation(ablation, folder)
    if ablation.maps is not None:
        write_maps(found)
    return found


def write_ablation(ablation: Ablation, folder: str | Path) -> Ablated:
    """Write ``table.csv``, ``ablation.json`` and the figures from the records in the folder.

    Needs neither study nor images. Raises SearchError where a baseline's records are missing or
    nothing was trained to the end.
    """
    folder = Path(folder)
    records = {name: read_records(folder / name / "records.csv") for name in ablation.baselines}
    found = concluded(ablation, folder, records)
    write_text(folder / "table.csv", table(found.rows).to_csv(index=False))
    write_document(found)
    write_figures(found)
    return found
