"""What an experiment has to fulfil before anything is trained."""

from collections.abc import Sequence
from typing import Any

from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError


def require_no_early_stopping(experiment: Experiment) -> None:
    """Refuse early stopping: networks are compared after equally many epochs."""
    if experiment.recipe.patience is not None:
        raise SearchError(
            "recipe.patience: need null in a search, which compares networks after equally many "
            f"epochs, got {experiment.recipe.patience}; early stopping is for `scalesearch train`"
        )


def require_no_transfer(experiment: Experiment) -> None:
    """Refuse trained weights to start from: no candidate's shape is that of another network."""
    if experiment.recipe.transfer is not None:
        raise SearchError(
            "recipe.transfer: need null in a search, whose candidates start from drawn weights; "
            "`scalesearch train NETWORK.safetensors` goes on from trained ones"
        )


def require_data_fits_baseline(experiment: Experiment, data: dict[str, Any]) -> None:
    """Refuse a baseline for other images than these."""
    baseline = experiment.baseline
    for key, wanted, actual in (
        ("in_channels", baseline.in_channels, data["channels"]),
        ("num_classes", baseline.num_classes, len(data["classes"])),
    ):
        if wanted not in (None, actual):
            raise SearchError(
                f"baseline.{key}: the data have {actual}, got {wanted}; leave it out, and it "
                "follows the data"
            )


def require_devices(requested: Sequence[str] | None, available: str) -> None:
    """Refuse GPUs that were asked for where workers find none and would train on the CPU."""
    if any(device.startswith("cuda") for device in requested or ()) and not available.startswith(
        "cuda"
    ):
        raise SearchError(
            f"devices: {', '.join(requested or ())} were asked for, and a worker finds {available} alone; "
            "leave --devices out to train there, and see `scalesearch doctor`"
        )
