"""A search for each factor of an experiment that names several, and what they come to together."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.cli.runs import print_dry_run, dry_run_with_noise, run_search_and_print, run_search_to_end

if TYPE_CHECKING:
    from scalesearch.experiment import Experiment
    from scalesearch.report.factors import FactorComparison


def run_each_factor(
    experiments: "Sequence[Experiment]",
    results: Path | None,
    *,
    as_json: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Search with each factor in a folder of its own, ``NAME/factor-2`` and so on, and print
    whether the coefficients drift with phi. ``options``: as ``search`` takes them."""
    from scalesearch.experiment import FACTOR_INFIX
    from scalesearch.report.factors import write_factor_comparison
    from scalesearch.tables import print_json

    name = experiments[0].name.rpartition(FACTOR_INFIX)[0]
    parent_folder = results or Path("results") / name
    folders = {one.name: parent_folder / one.name.removeprefix(f"{name}-") for one in experiments}
    if dry_run and as_json:
        dry_runs = [dry_run_with_noise(one, **options).document for one in experiments]
        print_json({"name": name, "factors": dry_runs})
        return
    for experiment in experiments:
        if dry_run:
            print(f"\n{experiment.budget.factor:g}x the baseline, into {folders[experiment.name]}")
            print_dry_run(experiment, as_json=False, **options)
        elif as_json:
            run_search_to_end(experiment, folders[experiment.name], **options)
        else:
            print(f"{experiment.budget.factor:g}x the baseline: {folders[experiment.name]}", file=sys.stderr)
            run_search_and_print(experiment, folders[experiment.name], as_json=False, **options)
    if not dry_run:
        factor_summary = write_factor_comparison(parent_folder, list(folders.values()))
        _print_factors(factor_summary, list(folders.values()), as_json=as_json)


def _print_factors(factor_summary: "FactorComparison", folders: Sequence[Path], *, as_json: bool) -> None:
    from scalesearch.tables import print_json, print_table

    if as_json:
        coefficient_documents = [
            json.loads((folder / "coefficients.json").read_text(encoding="utf-8"))
            for folder in folders
        ]
        print_json({**factor_summary.document, "answers": coefficient_documents})
        return
    if factor_summary.rows:
        print_table(factor_summary.rows, title="shares by factor")
    print(factor_summary.text)
