"""The baseline and the budget that a command is about: an experiment file's, or by name."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.cli.options import refused

if TYPE_CHECKING:
    from scalesearch.architectures import Architecture
    from scalesearch.architectures.budget import Budget
    from scalesearch.experiment import Experiment


def baseline_and_budget(
    source: str, options: dict[str, Any], limits: dict[str, Any]
) -> "tuple[Architecture, Budget]":
    """Of an experiment file, whose values the options override, or of a baseline's name."""
    from scalesearch.architectures import baseline
    from scalesearch.architectures.budget import Budget

    if Path(source).suffix in (".yaml", ".yml") or Path(source).is_file():
        from scalesearch.experiment import read_experiment

        overrides = [f"baseline.{name}={value}" for name, value in options.items()]
        overrides += [f"budget.{name}={value}" for name, value in limits.items()]
        experiment = read_experiment(source, overrides)
        return _as_searched(experiment), experiment.budget
    with refused("budget"):
        budget = Budget(**limits)
    return baseline(source, **options), budget


def _as_searched(experiment: "Experiment") -> "Architecture":
    """The baseline that a search of the experiment starts from: its ends follow the data."""
    from scalesearch.data import load
    from scalesearch.errors import DataError

    try:
        data = load(experiment.data, experiment.seed)
    except DataError as error:
        warnings.warn(f"{error}; counted for RGB images of 1000 classes", stacklevel=2)
        return experiment.baseline.build()
    return experiment.baseline.build(in_channels=data.channels, num_classes=data.num_classes)
