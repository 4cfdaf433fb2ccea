"""``ablation.json``: what was found, with everything needed to judge and to repeat it."""

import dataclasses
import json
from typing import Any

from scalesearch.ablations.found import AblationResult
from scalesearch.environment import read_environment
from scalesearch.experiment import read_experiment, to_document
from scalesearch.files import write_text

SCHEMA = "scalesearch/ablation"
VERSION = 1
EXPERIMENT_PARTS = ("baseline", "data", "budget", "recipe", "seed")
"""What an experiment says that the ablation's own file leaves to defaults."""


def ablation_document(result: AblationResult) -> dict[str, Any]:
    """All of it as JSON values. Accuracies are fractions; intervals are of 90%."""
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


def write_ablation_document(result: AblationResult) -> None:
    """Write ``ablation.json`` into the ablation's folder, whole or not at all."""
    text = json.dumps(ablation_document(result), indent=2, allow_nan=False) + "\n"
    write_text(result.folder / "ablation.json", text)


def _search_document(result: AblationResult, baseline: str) -> dict[str, Any]:
    """Where a baseline's records come from: its experiment as resolved, images and machine."""
    folder = result.folder / baseline
    experiment = read_experiment(folder / "experiment.yaml")
    environment = read_environment(folder / "environment.json")
    resolved = to_document(experiment)
    return {
        "records": f"{baseline}/records.csv",
        **{name: resolved[name] for name in EXPERIMENT_PARTS},
        "data": {**resolved["data"], **environment["data"]},
        "seeds": list(experiment.seeds),
        "epochs": experiment.rungs[-1],
        "environment": {key: value for key, value in environment.items() if key != "data"},
    }
