"""A search for each factor of an experiment that names several, and what they come to together."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.cli.runs import foretell, foretold, train_on, trained

if TYPE_CHECKING:
    from scalesearch.experiment import Experiment
    from scalesearch.report.factors import Factors


def each_factor(
    experiments: "Sequence[Experiment]",
    results: Path | None,
    *,
    as_json: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Search with each factor in a folder of its own, ``NAME/factor-2`` and so on, and print
    whether the coefficients drift with phi. ``options``: as ``search`` takes them."""
    from scalesearch.experiment import FACTOR
    from scalesearch.report.factors import write_factors
    from scalesearch.tables import print_json

    name = experiments[0].name.rpartition(FACTOR)[0]
    whole = results or Path("results") / name
    folders = {one.name: whole / one.name.removeprefix(f"{name}-") for one in experiments}
    if dry_run and as_json:
        found = [foretold(one, **options).document for one in experiments]
        print_json({"name": name, "factors": found})
        return
    for one in experiments:
        if dry_run:
            print(f"\n{one.budget.factor:g}x the baseline, into {folders[one.name]}")
            foretell(one, as_json=False, **options)
        elif as_json:
            trained(one, folders[one.name], **options)
        else:
            print(f"{one.budget.factor:g}x the baseline: {folders[one.name]}", file=sys.stderr)
            train_on(one, folders[one.name], as_json=False, **options)
    if not dry_run:
        together = write_factors(whole, list(folders.values()))
        _print(together, list(folders.values()), as_json=as_json)


def _print(found: "Factors", folders: Sequence[Path], *, as_json: bool) -> None:
    from scalesearch.tables import print_json, print_table

    if as_json:
        answers = [
            json.loads((folder / "coefficients.json").read_text(encoding="utf-8"))
            for folder in folders
        ]
        print_json({**found.document, "answers": answers})
        return
    if found.rows:
        print_table(found.rows, title="shares by factor")
    print(found.words)
