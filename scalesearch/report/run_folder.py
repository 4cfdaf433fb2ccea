"""The folder of one run: whose it is, who works in it, and what is there when it has ended."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment, differences, experiment_from
from scalesearch.files import write_text
from scalesearch.search.folder import locked
from scalesearch.training import Epoch

SCHEMA = "scalesearch/run"
VERSION = 1
TOLD = (
    "epochs.csv", "metrics.json", "confusion.csv", "figures/curves.png", "figures/curves.svg",
    "figures/confusion.png", "figures/confusion.svg",
)  # fmt: skip
"""What a run that has ended leaves, beside ``run.json`` and one of ``NETWORKS``."""
NETWORKS = ("network.safetensors", "network.pt")
"""Where the weights of a run that has ended may be; the second is of earlier versions."""

COLUMNS = {
    "epoch" if part.name == "index" else part.name: "int64" if part.type is int else "float64"
    for part in fields(Epoch)
}
"""Of ``epochs.csv``, each with its kind."""


@contextmanager
def claimed(folder: Path, run: Mapping[str, Any]) -> Iterator[None]:
    """The folder made the run's, or found to be, and held alone within.

    ``run``: its ``run.json``, as it is before there are results. It takes the place of one that has
    not come to an epoch, so that what stopped that run can be mended and tried again. Raises
    SearchError, and writes nothing, where the folder holds other files or another run.
    """
    path = folder / "run.json"
    with written(folder):
        if path.exists():
            if _begun(folder):
                _require_same(folder, run)
        elif folder.is_file() or (folder.is_dir() and any(map(_foreign, folder.iterdir()))):
            raise SearchError(
                f"{folder}: need an empty folder or one of this run, got other files; "
                "choose another --out"
            )
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder, "run is training"):
            if not path.exists() or not _begun(folder):
                write_json(path, run)
            yield


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Within, files are written to the folder; where they cannot be, SearchError is raised."""
    try:
        yield
    except OSError as error:
        raise SearchError(f"{folder}: cannot be written: {error}; choose another --out") from error


def require_same_settings(folder: Path, experiment: Experiment) -> None:
    """Raise SearchError where a run was begun in the folder by another experiment."""
    if (folder / "run.json").exists() and _begun(folder):
        _refuse(folder, _unlike(experiment, folder, recorded_run(folder)))


def has_ended(folder: Path) -> bool:
    """Whether all is there that a run leaves."""
    ended = recorded_run(folder)["results"] is not None
    held = any((folder / name).exists() for name in NETWORKS)
    return ended and held and all((folder / name).exists() for name in TOLD)


def recorded_run(folder: Path) -> dict[str, Any]:
    """``run.json`` of a folder. Raises SearchError for a file that is none."""
    path = folder / "run.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        known = {"asked", "fingerprint", "data", "results"} <= set(document)
        if document["schema"] != SCHEMA or not known:
            raise ValueError(f"need the schema {SCHEMA}")
    except (ValueError, KeyError, TypeError) as error:
        raise SearchError(f"{path}: not the record of a run ({error}); choose another --out") from (
            error
        )
    return dict(document)


def recorded_epochs(folder: Path) -> list[Epoch]:
    """The epochs of a run that has ended."""
    table = recorded_table(folder).rename(columns={"epoch": "index"})
    rows = table.to_dict("records")
    return [Epoch(**{str(name): value for name, value in row.items()}) for row in rows]


def recorded_table(folder: Path) -> pd.DataFrame:
    """``epochs.csv`` of a folder, to the last bit. Raises SearchError for another kind of table."""
    path = folder / "epochs.csv"
    try:
        text = pd.read_csv(path, dtype=str)  # from which floats are made to the last digit
        if list(text.columns) != list(COLUMNS) or text.empty:
            raise ValueError(f"need the columns {', '.join(COLUMNS)}, and an epoch")
        return text.astype(COLUMNS)
    except ValueError as error:  # pandas' own are of this kind
        raise SearchError(
            f"{path}: not the epochs of a run ({error}); remove it, and it is made again"
        ) from error


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document, whole or not at all."""
    write_text(path, json.dumps(document, indent=2) + "\n")


def _begun(folder: Path) -> bool:
    """Whether the run of a folder has come to an epoch, which another run would spoil."""
    ended = recorded_run(folder)["results"] is not None
    return ended or any((folder / name).exists() for name in ("checkpoint", "epochs.csv"))


def _foreign(entry: Path) -> bool:
    """Whether a file is none that ``claimed`` leaves behind when it is interrupted."""
    return entry.name != "lock" and not entry.name.endswith(".partial")


def _require_same(folder: Path, run: Mapping[str, Any]) -> None:
    begun = recorded_run(folder)
    unlike = _unlike(experiment_from(run["asked"]), folder, begun)
    for what, ours, theirs in (
        ("network", run["fingerprint"], begun["fingerprint"]),
        ("images", run["data"]["fingerprint"], begun["data"]["fingerprint"]),
        ("weights to start from", _weights(run), _weights(begun)),
    ):
        if ours != theirs:
            unlike.append(f"{what}: {ours} here, {theirs} there")
    _refuse(folder, unlike)


def _weights(run: Mapping[str, Any]) -> str | None:
    """The digest of what a run starts from; None for one that starts from the beginning."""
    weights = run.get("weights")  # unknown to earlier versions
    return None if weights is None else str(weights["digest"])


def _unlike(experiment: Experiment, folder: Path, begun: Mapping[str, Any]) -> list[str]:
    """The settings in which a run that was begun differs."""
    theirs = experiment_from(begun["asked"], f"{folder / 'run.json'}: asked")
    return differences(experiment, theirs)


def _refuse(folder: Path, unlike: list[str]) -> None:
    if unlike:
        raise SearchError(
            f"{folder}: holds another run; choose another --out, or remove it.\n"
            + "\n".join(f"  {line}" for line in unlike)
        )
