"""The folder of one run: whose it is, who works in it, and what is there when it has ended."""

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
"""What a run that has ended leaves, beside ``run.json`` and one of ``NETWORKS``."""
NETWORK_FILES = ("network.safetensors", "network.pt")
"""Where the weights of a run that has ended may be; the second is of earlier versions."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch cost and brought. ``index`` counts from 1.

    ``train_loss``: mean over the epoch's training images, with label smoothing, while the weights
    moved. ``loss``, ``accuracy`` and ``top5`` (fractions): of the validation images, after the
    epoch. ``seconds``: training and validation; ``images_per_second``: of training alone.
    ``learning_rate``: of the last step. ``resolution``: pixels per side in training.
    ``peak_bytes``: most memory in use meanwhile (see ``usage``). ``utilisation``: the arithmetic
    that training needs by count, over what a large matrix product reaches in the same time.
    """

    index: int
    train_loss: float
    loss: float
    accuracy: float
    top5: float
    seconds: float
    images_per_second: float
    learning_rate: float
    resolution: int
    peak_bytes: int
    utilisation: float


EPOCH_COLUMNS = {
    "epoch" if part.name == "index" else part.name: "int64" if part.type is int else "float64"
    for part in fields(Epoch)
}
"""Of ``epochs.csv``, each with its kind."""


@contextmanager
def lock_run_folder(folder: Path, run_document: Mapping[str, Any]) -> Iterator[None]:
    """The folder made the run's, or found to be, and held alone within.

    ``run``: its ``run.json``, as it is before there are results. It takes the place of one that has
    not come to an epoch, so that what stopped that run can be mended and tried again. Raises
    SearchError, and writes nothing, where the folder holds other files or another run.
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
    """Within, files are written to the folder; where they cannot be, SearchError is raised."""
    try:
        yield
    except OSError as error:
        raise SearchError(f"{folder}: cannot be written: {error}; choose another --out") from error


def require_same_settings(folder: Path, experiment: Experiment) -> None:
    """Raise SearchError where a run was begun in the folder by another experiment."""
    if (folder / "run.json").exists() and _has_epochs(folder):
        _raise_if_different(folder, _different_settings(experiment, folder, read_run(folder)))


def has_ended(folder: Path) -> bool:
    """Whether all is there that a run leaves."""
    has_results = read_run(folder)["results"] is not None
    has_network = any((folder / name).exists() for name in NETWORK_FILES)
    return has_results and has_network and all((folder / name).exists() for name in RUN_FILES)


def read_run(folder: Path) -> dict[str, Any]:
    """``run.json`` of a folder. Raises SearchError for a file that is none."""
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
    """The epochs of a run that has ended."""
    table = read_epochs_table(folder).rename(columns={"epoch": "index"})
    rows = table.to_dict("records")
    return [Epoch(**{str(name): value for name, value in row.items()}) for row in rows]


def read_epochs_table(folder: Path) -> pd.DataFrame:
    """``epochs.csv`` of a folder, to the last bit. Raises SearchError for another kind of table."""
    path = folder / "epochs.csv"
    try:
        strings = pd.read_csv(path, dtype=str)  # from which floats are made to the last digit
        if list(strings.columns) != list(EPOCH_COLUMNS) or strings.empty:
            raise ValueError(f"need the columns {', '.join(EPOCH_COLUMNS)}, and an epoch")
        return strings.astype(EPOCH_COLUMNS)
    except ValueError as error:  # pandas' own are of this kind
        raise SearchError(
            f"{path}: not the epochs of a run ({error}); remove it, and it is made again"
        ) from error


def _has_epochs(folder: Path) -> bool:
    """Whether the run of a folder has come to an epoch, which another run would spoil."""
    has_results = read_run(folder)["results"] is not None
    return has_results or any((folder / name).exists() for name in ("checkpoint", "epochs.csv"))


def _is_unknown_file(path: Path) -> bool:
    """Whether a file is none that ``claimed`` leaves behind when it is interrupted."""
    return path.name != "lock" and not path.name.endswith(".partial")


def _require_same_run(folder: Path, run_document: Mapping[str, Any]) -> None:
    recorded = read_run(folder)
    mismatches = _different_settings(
        experiment_from_document(run_document["asked"]), folder, recorded
    )
    for setting, new_value, recorded_value in (
        ("network", run_document["fingerprint"], recorded["fingerprint"]),
        ("images", run_document["data"]["fingerprint"], recorded["data"]["fingerprint"]),
        ("weights to start from", _weights_hash(run_document), _weights_hash(recorded)),
    ):
        if new_value != recorded_value:
            mismatches.append(f"{setting}: {new_value} here, {recorded_value} there")
    _raise_if_different(folder, mismatches)


def _weights_hash(run_document: Mapping[str, Any]) -> str | None:
    """The digest of what a run starts from; None for one that starts from the beginning."""
    weights = run_document.get("weights")  # unknown to earlier versions
    return None if weights is None else str(weights["digest"])


def _different_settings(
    experiment: Experiment, folder: Path, recorded: Mapping[str, Any]
) -> list[str]:
    """The settings in which a run that was begun differs."""
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
