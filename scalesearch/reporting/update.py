"""From records to everything a search leaves behind: answer, figure, family.

Needs ``experiment.yaml``, ``environment.json`` and ``records.csv`` alone, so it works on a copy of
a folder without its study.
"""

import json
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.analysis.conclusion import Conclusion
from scalesearch.analysis.summary import Summary, summarize
from scalesearch.architectures.custom import CustomModel
from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import read_experiment
from scalesearch.config.search_spec import StopSpec
from scalesearch.errors import ArchitectureError, SearchError
from scalesearch.families.members import family_document, write_family
from scalesearch.figures.simplex import simplex, simplex_figure
from scalesearch.figures.style import write_figure
from scalesearch.figures.timeline import timeline, timeline_figure
from scalesearch.reporting.answer_file import conclusion_document, write_conclusion
from scalesearch.reporting.coefficients_file import (
    ExportedCoefficients,
    coefficients_document,
    write_coefficients,
)
from scalesearch.reporting.confirmation_report import write_confirmation
from scalesearch.reporting.folder_conclusion import conclusion_of_folder
from scalesearch.results.environment import read_environment
from scalesearch.results.records import read_records
from scalesearch.scaling.rounding import rounding_spec

FAMILY_PHIS = range(8)
MAX_FAMILY_FACTOR = 128 * 1.01
"""Times the baseline's cost, of B7: a larger factor has fewer members."""
CUSTOM_FAMILY_PHIS = range(3)
"""Each member takes dozens of networks to be made; at 128 times the cost, for minutes."""


def write_results(folder: str | Path) -> Summary:
    """Write ``answer.json``, ``coefficients.json``, ``figures/`` and ``family.json`` of a search;
    return its best candidate by mean, with the coefficients that are exported.

    These are the fitted surface's optimum, since the highest mean of many is in good part luck;
    those of the network recommended where nothing is distinguishable; and the highest mean's own
    where no surface can be fitted, or candidates cost too differently for one.
    The answer is of the last epoch of the search, which may be before the recipe's, and of the
    candidates that were let on to it. Where the search was stopped as enough, that is of what it
    had by then.
    Raises SearchError where the folder lacks a file or no candidate has finished. A family that
    cannot be had along the direction found is warned of, and takes nothing from the answer.
    """
    folder = Path(folder)
    experiment, table = read_experiment(folder / "experiment.yaml"), _read_records_of(folder)
    if experiment.search.sampler == "points":
        raise SearchError(
            f"{folder}: need a search over one budget to have coefficients, got points listed one "
            f"by one; `scalesearch status {folder}` tells how each did"
        )
    environment = read_environment(folder / "environment.json")
    last_epoch = experiment.rungs[-1]
    has_no_early_stop = experiment.search.stop == StopSpec()
    seeds = len(experiment.seeds) if has_no_early_stop else None
    summary = summarize(table, experiment.budget.factor, epochs=last_epoch, seeds=seeds)
    confirmation: dict[str, Any] = {}
    with suppress(SearchError):  # there is none, or it has only begun
        confirmation["confirmation"] = write_confirmation(folder).document
    conclusion = conclusion_of_folder(folder)
    exported = _coefficients_to_export(summary, conclusion)
    summary = replace(summary, coefficients=exported.coefficients)
    document = coefficients_document(
        summary, experiment, environment, read_failures(folder), exported
    )
    write_coefficients(folder / "coefficients.json", {**document, **confirmation})
    write_conclusion(folder / "answer.json", conclusion_document(conclusion))
    (folder / "figures").mkdir(exist_ok=True)
    simplex_data = simplex(table, epoch=last_epoch)
    write_figure(simplex_figure(simplex_data), folder / "figures" / "simplex")
    _write_timeline(folder)
    try:
        write_family(folder / "family.json", _family_along(summary, experiment, environment))
    except ArchitectureError as error:
        warnings.warn(f"no family along this direction: {error}", stacklevel=2)
    return summary


def _coefficients_to_export(summary: Summary, conclusion: Conclusion) -> ExportedCoefficients:
    """Which coefficients leave the folder, and whose they are."""
    optimum, recommended = conclusion.optimum, conclusion.recommended
    if optimum is None or conclusion.has_unequal_costs:
        return ExportedCoefficients(summary.coefficients, "highest mean", None)
    if optimum.p_flat > optimum.level and recommended is not None:
        coefficients = recommended.shares.coefficients(conclusion.factor)
        return ExportedCoefficients(
            coefficients, "recommended: nothing is distinguishable", optimum
        )
    return ExportedCoefficients(optimum.coefficients, "surface", optimum)


def read_failures(folder: Path) -> list[dict[str, Any]]:
    """Candidates that could not be trained; none where the search wrote none down."""
    path = folder / "failures.json"
    failures: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
    return failures


def _write_timeline(folder: Path) -> None:
    """Draw who worked when, where a driver has logged its jobs."""
    if not (folder / "jobs.csv").is_file():
        return
    try:
        jobs = pd.read_csv(folder / "jobs.csv", dtype=str, keep_default_na=False)
        column_types = {"start": int, "stop": int, "began": float, "ended": float}
        timeline_data = timeline(jobs.astype(column_types))
    except (
        SearchError,
        ValueError,
        KeyError,
    ) as error:  # torn, or all of them lost: it is for people only
        warnings.warn(f"{folder / 'jobs.csv'}: cannot be drawn: {error}", stacklevel=3)
        return
    write_figure(timeline_figure(timeline_data), folder / "figures" / "workers")


def _read_records_of(folder: Path) -> pd.DataFrame:
    return read_records(folder / "records.csv")


def _family_along(
    summary: Summary, experiment: Experiment, environment: dict[str, Any]
) -> dict[str, Any]:
    """B0 to B7 of realised cost F^phi along the direction found, on the experiment's baseline.

    A budget that shrinks (F < 1) gives smaller and smaller members, at negative phi.
    """
    data, budget = environment["data"], experiment.budget
    baseline = experiment.baseline.build_architecture(
        in_channels=data["channels"], num_classes=len(data["classes"])
    )
    phis: Sequence[int] = CUSTOM_FAMILY_PHIS if isinstance(baseline, CustomModel) else FAMILY_PHIS
    is_growth = budget.factor > 1
    factor = budget.factor if is_growth else 1 / budget.factor
    phis = [phi for phi in phis if factor**phi <= MAX_FAMILY_FACTOR]
    return family_document(
        summary.coefficients.shares.coefficients(factor),
        baseline,
        mode="matched",
        phis=phis if is_growth else [-phi for phi in phis[:4]],
        rounding=rounding_spec(budget.rounding),
        factor=factor,
    )
