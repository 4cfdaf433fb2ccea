"""What an experiment has to fulfil before anything is trained."""

from collections.abc import Sequence
from typing import Any

from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment


def require_equal_lengths(experiment: Experiment) -> None:
    """Refuse early stopping: networks are compared after equally many epochs."""
    if experiment.recipe.patience is not None:
        raise SearchError(
            "recipe.patience: need null in a search, which compares networks after equally many "
            f"epochs, got {experiment.recipe.patience}; early stopping is for `scalesearch train`"
        )


def require_from_the_beginning(experiment: Experiment) -> None:
    """Refuse trained weights to start from: no candidate's shape is that of another network."""
    if experiment.recipe.transfer is not None:
        raise SearchError(
            "recipe.transfer: need null in a search, whose candidates start from drawn weights; "
            "`scalesearch train NETWORK.safetensors` goes on from trained ones"
        )


def require_fit(experiment: Experiment, data: dict[str, Any]) -> None:
    """Refuse a baseline for other images than these."""
    asked = experiment.baseline
    for key, wanted, given in (
        ("in_channels", asked.in_channels, data["channels"]),
        ("num_classes", asked.num_classes, len(data["classes"])),
    ):
        if wanted not in (None, given):
            raise SearchError(
                f"baseline.{key}: the data have {given}, got {wanted}; leave it out, and it "
                "follows the data"
            )


def require_devices(asked: Sequence[str] | None, found: str) -> None:
    """Refuse GPUs that were asked for where workers find none and would train on the CPU."""
    if any(device.startswith("cuda") for device in asked or ()) and not found.startswith("cuda"):
        raise SearchError(
            f"devices: {', '.join(asked or ())} were asked for, and a worker finds {found} alone; "
            "leave --devices out to train there, and see `scalesearch doctor`"
        )
