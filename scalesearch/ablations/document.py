"""``ablation.json``: what was found, with everything needed to judge and to repeat it."""

import dataclasses
import json
from typing import Any

from scalesearch.ablations.found import Ablated
from scalesearch.environment import read_environment
from scalesearch.experiment import read_experiment, to_document
from scalesearch.files import write_text

SCHEMA = "scalesearch/ablation"
VERSION = 1
SEARCHED = ("baseline", "data", "budget", "recipe", "seed")
"""What an experiment says that the ablation's own file leaves to defaults."""


def ablation_document(found: Ablated) -> dict[str, Any]:
    """All of it as JSON values. Accuracies are fractions; intervals are of 90%."""
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "name": found.ablation.name,
        "size": found.ablation.size,
        "source": found.ablation.source,
        "sentences": list(found.sentences),
        "rows": [dataclasses.asdict(row) for row in found.rows],
        "gains": [dataclasses.asdict(gain) for gain in found.gains],
        "overlaps": [dataclasses.asdict(overlap) for overlap in found.overlaps],
        "ablation": dataclasses.asdict(found.ablation),
        "searches": {name: _search(found, name) for name in found.ablation.baselines},
    }


def write_document(found: Ablated) -> None:
    """Write ``ablation.json`` into the ablation's folder, whole or not at all."""
    text = json.dumps(ablation_document(found), indent=2, allow_nan=False) + "\n"
    write_text(found.folder / "ablation.json", text)


def _search(found: Ablated, baseline: str) -> dict[str, Any]:
    """Where a baseline's records come from: its experiment as resolved, images and machine."""
    folder = found.folder / baseline
    experiment = read_experiment(folder / "experiment.yaml")
    environment = read_environment(folder / "environment.json")
    resolved = to_document(experiment)
    return {
        "records": f"{baseline}/records.csv",
        **{name: resolved[name] for name in SEARCHED},
        "data": {**resolved["data"], **environment["data"]},
        "seeds": list(experiment.seeds),
        "epochs": experiment.rungs[-1],
        "environment": {key: value for key, value in environment.items() if key != "data"},
    }
