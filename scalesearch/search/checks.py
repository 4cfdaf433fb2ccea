"""Checks of an experiment before anything is trained."""

from collections.abc import Sequence
from typing import Any

from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError


def require_no_early_stopping(experiment: Experiment) -> None:
    """Refuse early stopping: a search compares networks after equal epochs."""
    if experiment.recipe.patience is not None:
        raise SearchError(
            "recipe.patience: need null in a search, which compares networks after equally many "
            f"epochs, got {experiment.recipe.patience}; early stopping is for `scalesearch train`"
        )


def require_no_transfer(experiment: Experiment) -> None:
    """Refuse trained weights: they do not fit the shapes of the candidates."""
    if experiment.recipe.transfer is not None:
        raise SearchError(
            "recipe.transfer: need null in a search, whose candidates start from random weights; "
            "`scalesearch train NETWORK.safetensors` continues from trained ones"
        )


def require_data_fits_baseline(experiment: Experiment, data: dict[str, Any]) -> None:
    """Refuse a baseline whose channels or classes are not those of the images."""
    baseline = experiment.baseline
    for key, wanted, actual in (
        ("in_channels", baseline.in_channels, data["channels"]),
        ("num_classes", baseline.num_classes, len(data["classes"])),
    ):
        if wanted not in (None, actual):
            raise SearchError(
                f"baseline.{key}: need {actual} as in the data, got {wanted}; leave it out to "
                "follow the data"
            )


def require_devices(requested: Sequence[str] | None, available: str) -> None:
    """Refuse requested GPUs if the workers find none and would train on the CPU."""
    if any(device.startswith("cuda") for device in requested or ()) and not available.startswith(
        "cuda"
    ):
        raise SearchError(
            f"devices: need workers with {', '.join(requested or ())}, got one with {available} "
            "only; leave --devices out to train there, and see `scalesearch doctor`"
        )
