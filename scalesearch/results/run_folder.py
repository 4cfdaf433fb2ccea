"""The folder of one training run: its files, its owner, and their readers."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import experiment_differences, experiment_from_document
from scalesearch.errors import SearchError
from scalesearch.io import write_json
from scalesearch.locks import lock_folder

SCHEMA = "scalesearch/run"
VERSION = 1
RUN_FILES = (
    "epochs.csv", "metrics.json", "confusion.csv", "figures/curves.png", "figures/curves.svg",
    "figures/confusion.png", "figures/confusion.svg",
)  # fmt: skip
"""Files of a finished run, beside ``run.json`` and one of ``NETWORK_FILES``."""
NETWORK_FILES = ("network.safetensors", "network.pt")
"""Files with the weights of a finished run; the second is from earlier versions."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """The measurements of one epoch."""

    index: int
    """Number of the epoch, from 1."""
    train_loss: float
    """Mean over the training images during the epoch, with label smoothing."""
    loss: float
    """Cross-entropy on the validation images, after the epoch."""
    accuracy: float
    """Fraction of the validation images."""
    top5: float
    """Fraction of the validation images with the label among the five likeliest classes."""
    seconds: float
    """Time of training and validation."""
    images_per_second: float
    """Speed of training alone."""
    learning_rate: float
    """Learning rate of the last step."""
    resolution: int
    """Pixels per side in training."""
    peak_bytes: int
    """Peak memory in the epoch (see ``training.profiling``)."""
    utilisation: float
    """Arithmetic per second of training, over that of a large matrix product."""


EPOCH_COLUMNS = {
    "epoch" if field.name == "index" else field.name: "int64" if field.type is int else "float64"
    for field in fields(Epoch)
}
"""Columns of ``epochs.csv`` and their types."""


@contextmanager
def lock_run_folder(folder: Path, run_document: Mapping[str, Any]) -> Iterator[None]:
    """Prepare a folder for a run, or check that it already belongs to it, and lock it.

    ``run_document``: ``run.json`` before there are results. It replaces that of a run without any
    epoch, so that a run that failed early can be corrected and started again. Raises SearchError,
    before anything is written, if the folder holds other files or another run.
    """
    path = folder / "run.json"
    with convert_write_errors(folder):
        if path.exists():
            if _has_epochs(folder):
                _require_same_run(folder, run_document)
        elif folder.is_file() or (folder.is_dir() and any(map(_is_unknown_file, folder.iterdir()))):
            raise SearchError(
                f"{folder}: need an empty folder or one of this run, got other files; "
                "choose another --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
        with lock_folder(folder, "run is training"):
            if not path.exists() or not _has_epochs(folder):
                write_json(path, run_document)
            yield


@contextmanager
def convert_write_errors(folder: Path) -> Iterator[None]:
    """Turn errors of writing to the folder into SearchError."""
    try:
        yield
    except OSError as error:
        raise SearchError(f"{folder}: cannot be written: {error}; choose another --out") from error


def require_same_settings(folder: Path, experiment: Experiment) -> None:
    """Raise SearchError if the folder holds a run with other settings."""
    if (folder / "run.json").exists() and _has_epochs(folder):
        _raise_if_different(folder, _different_settings(experiment, folder, read_run(folder)))


def has_ended(folder: Path) -> bool:
    """Whether the folder has all files of a finished run."""
    has_results = read_run(folder)["results"] is not None
    has_network = any((folder / name).exists() for name in NETWORK_FILES)
    return has_results and has_network and all((folder / name).exists() for name in RUN_FILES)


def read_run(folder: Path) -> dict[str, Any]:
    """Read ``run.json`` of a folder; raise SearchError for another document."""
    path = folder / "run.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        has_keys = {"asked", "fingerprint", "data", "results"} <= set(document)
        if document["schema"] != SCHEMA or not has_keys:
            raise ValueError(f"need the schema {SCHEMA}")
    except (ValueError, KeyError, TypeError) as error:
        raise SearchError(f"{path}: not the record of a run ({error}); choose another --out") from (
            error
        )
    return dict(document)


def read_epochs(folder: Path) -> list[Epoch]:
    """Read the epochs of a finished run."""
    table = read_epochs_table(folder).rename(columns={"epoch": "index"})
    rows = table.to_dict("records")
    return [Epoch(**{str(name): value for name, value in row.items()}) for row in rows]


def read_epochs_table(folder: Path) -> pd.DataFrame:
    """Read ``epochs.csv`` of a folder; raise SearchError for another table."""
    path = folder / "epochs.csv"
    try:
        strings = pd.read_csv(path, dtype=str)  # so that floats keep their last digit
        if list(strings.columns) != list(EPOCH_COLUMNS) or strings.empty:
            raise ValueError(f"need the columns {', '.join(EPOCH_COLUMNS)}, and an epoch")
        return strings.astype(EPOCH_COLUMNS)
    except ValueError as error:  # also raised by pandas
        raise SearchError(
            f"{path}: not the epochs of a run ({error}); remove it, and it is made again"
        ) from error


def _has_epochs(folder: Path) -> bool:
    """Whether the run of a folder has finished an epoch, which another run would overwrite."""
    has_results = read_run(folder)["results"] is not None
    return has_results or any((folder / name).exists() for name in ("checkpoint", "epochs.csv"))


def _is_unknown_file(path: Path) -> bool:
    """Whether an interrupted ``lock_run_folder`` cannot have left this file."""
    return path.name != "lock" and not path.name.endswith(".partial")


def _require_same_run(folder: Path, run_document: Mapping[str, Any]) -> None:
    recorded = read_run(folder)
    mismatches = _different_settings(
        experiment_from_document(run_document["asked"]), folder, recorded
    )
    for subject, new_value, recorded_value in (
        ("network", run_document["fingerprint"], recorded["fingerprint"]),
        ("images", run_document["data"]["fingerprint"], recorded["data"]["fingerprint"]),
        ("weights to start from", _weights_hash(run_document), _weights_hash(recorded)),
    ):
        if new_value != recorded_value:
            mismatches.append(f"{subject}: {new_value} here, {recorded_value} there")
    _raise_if_different(folder, mismatches)


def _weights_hash(run_document: Mapping[str, Any]) -> str | None:
    """Return the hash of a run's initial weights; None if they are random."""
    weights = run_document.get("weights")  # earlier versions did not write it
    return None if weights is None else str(weights["digest"])


def _different_settings(
    experiment: Experiment, folder: Path, recorded: Mapping[str, Any]
) -> list[str]:
    """List the settings in which the recorded run differs."""
    recorded_experiment = experiment_from_document(
        recorded["asked"], f"{folder / 'run.json'}: asked"
    )
    return experiment_differences(experiment, recorded_experiment)


def _raise_if_different(folder: Path, mismatches: list[str]) -> None:
    if mismatches:
        raise SearchError(
            f"{folder}: holds another run; choose another --out, or remove it.\n"
            + "\n".join(f"  {line}" for line in mismatches)
        )
