"""The files of a search's results: answer, coefficients, figures, family.

They are made from ``experiment.yaml``, ``environment.json`` and ``records.csv`` alone, so that a
copy of the folder without its study will do.
"""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from scalesearch.analysis.conclusion import Conclusion
from scalesearch.analysis.summary import Summary, summary_of_records
from scalesearch.architectures.custom import CustomModel
from scalesearch.config.search_spec import StopSpec
from scalesearch.errors import ArchitectureError, SearchError
from scalesearch.families.members import family_document, write_family
from scalesearch.figures.simplex import simplex, simplex_figure
from scalesearch.figures.style import write_figure
from scalesearch.figures.timeline import timeline, timeline_figure
from scalesearch.io import write_json
from scalesearch.reporting.conclusion_files import (
    ExportedCoefficients,
    coefficients_document,
    conclusion_document,
)
from scalesearch.reporting.confirmation_report import write_confirmation
from scalesearch.reporting.folder_conclusion import conclusion_of_folder
from scalesearch.results.search_folder import FolderLike, SearchFolder
from scalesearch.scaling.rounding import rounding_spec

FAMILY_PHIS = range(8)
MAX_FAMILY_FACTOR = 128 * 1.01
"""Largest cost of a member over the baseline's, that of B7: larger factors have fewer members."""
CUSTOM_FAMILY_PHIS = range(3)
"""Making a member of a custom model builds dozens of networks, which takes minutes at 128 times
the cost."""


def write_results(folder: FolderLike) -> Summary:
    """Write the result files of a search; return its best candidate by mean accuracy.

    The files are ``answer.json``, ``coefficients.json``, ``figures/`` and ``family.json``. The
    summary's coefficients are those that are exported: the optimum of the fitted surface, since
    the highest mean of many is partly luck; those of the recommended network if no difference is
    significant; and the highest mean's own if no surface can be fitted, or if candidates differ
    too much in cost. Results are of the last rung, of the candidates that reached it.

    Raises SearchError if the folder lacks a file or no candidate has finished. Warns if there is no
    family along the exported direction, and writes the other files.
    """
    return write_results_and_conclusion(folder)[0]


def write_results_and_conclusion(folder: FolderLike) -> tuple[Summary, Conclusion]:
    """Write the result files as ``write_results`` does; return also the conclusion."""
    search = SearchFolder.from_path(folder)
    search.require_one_budget("to have coefficients")
    experiment, records, environment = search.experiment, search.records, search.environment
    has_no_early_stop = experiment.search.stop == StopSpec()
    seeds = len(experiment.seeds) if has_no_early_stop else None
    summary = summary_of_records(
        records, experiment.budget.factor, epochs=search.last_epoch, seeds=seeds
    )
    confirmation: dict[str, Any] = {}
    with suppress(SearchError):  # there is no confirmation, or it has only begun
        confirmation["confirmation"] = write_confirmation(search).document
    conclusion = conclusion_of_folder(search)
    exported = _coefficients_to_export(summary, conclusion)
    summary = replace(summary, coefficients=exported.coefficients)
    document = coefficients_document(summary, experiment, environment, search.failures, exported)
    write_json(search.path / "coefficients.json", {**document, **confirmation})
    write_json(search.path / "answer.json", conclusion_document(conclusion), allow_nan=False)
    _write_figures(search)
    try:
        write_family(search.path / "family.json", _family_along(summary, search))
    except ArchitectureError as error:
        warnings.warn(f"no family along this direction: {error}", stacklevel=3)
    return summary, conclusion


def _coefficients_to_export(summary: Summary, conclusion: Conclusion) -> ExportedCoefficients:
    """Choose the coefficients to export."""
    optimum, recommended = conclusion.optimum, conclusion.recommended
    if optimum is None or conclusion.has_unequal_costs:
        return ExportedCoefficients(summary.coefficients, "highest mean", None)
    if optimum.p_flat > optimum.level and recommended is not None:
        coefficients = recommended.shares.coefficients(conclusion.factor)
        return ExportedCoefficients(
            coefficients, "recommended: nothing is distinguishable", optimum
        )
    return ExportedCoefficients(optimum.coefficients, "surface", optimum)


def _write_figures(search: SearchFolder) -> None:
    """Draw the candidates in the triangle of shares and, if jobs were logged, their timeline."""
    figures = search.path / "figures"
    figures.mkdir(exist_ok=True)
    simplex_data = simplex(search.records, epoch=search.last_epoch)
    write_figure(simplex_figure(simplex_data), figures / "simplex")
    if search.jobs is None:
        return
    try:
        timeline_data = timeline(search.jobs)
    except SearchError as error:  # no job has finished
        warnings.warn(f"{search.paths.jobs}: cannot be drawn: {error}", stacklevel=4)
        return
    write_figure(timeline_figure(timeline_data), figures / "workers")


def _family_along(summary: Summary, search: SearchFolder) -> dict[str, Any]:
    """B0 to B7 of realised cost F^phi along the exported direction, on the search's baseline.

    A budget factor F < 1 gives smaller and smaller members, at negative phi.
    """
    budget, baseline = search.experiment.budget, search.baseline
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
