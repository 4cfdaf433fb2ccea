"""From records to everything a search leaves behind: answer, figure, family.

Needs ``experiment.yaml``, ``environment.json`` and ``records.csv`` alone, so it works on a copy of
a folder without its study.
"""

import json
from pathlib import Path
from typing import Any

from scalesearch.analysis import Answer, answer
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment, read_experiment
from scalesearch.export import coefficients_document, write_coefficients
from scalesearch.family import family_document, write_family
from scalesearch.plots import simplex, simplex_figure, write_figure
from scalesearch.records import read_records
from scalesearch.rounding import rounding_spec

FAMILY = range(8)


def write_results(folder: str | Path) -> Answer:
    """Write ``coefficients.json``, ``figures/`` and ``family.json`` of a search, and its answer.

    Raises SearchError where the folder lacks a file or no candidate has finished.
    """
    folder = Path(folder)
    experiment, records = read_experiment(folder / "experiment.yaml"), folder / "records.csv"
    table = read_records(records)
    found = answer(table, experiment.budget.factor)
    environment = _read_environment(folder / "environment.json")
    document = coefficients_document(found, experiment, environment)
    write_coefficients(folder / "coefficients.json", document)
    (folder / "figures").mkdir(exist_ok=True)
    write_figure(simplex_figure(simplex(table)), folder / "figures" / "simplex")
    write_family(folder / "family.json", _family(found, experiment, environment))
    return found


def _family(found: Answer, experiment: Experiment, environment: dict[str, Any]) -> dict[str, Any]:
    """B0 to B7 of realised cost F^phi along the direction found, on the experiment's baseline."""
    data, budget = environment["data"], experiment.budget
    baseline = experiment.baseline.build(
        in_channels=data["channels"], num_classes=len(data["classes"])
    )
    return family_document(
        found.coefficients,
        baseline,
        mode="matched",
        phis=FAMILY,
        rounding=rounding_spec(budget.rounding),
        factor=budget.factor,
    )


def _read_environment(path: Path) -> dict[str, Any]:
    try:
        environment: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SearchError(f"{path}: missing; run the search again to write it") from None
    except ValueError as error:
        raise SearchError(f"{path}: not valid JSON: {error}") from error
    return environment
