"""The results table: one row for each (candidate, seed, epoch), flat scalars only."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.errors import SearchError
from scalesearch.io import write_text

COLUMNS: dict[str, str] = {
    "trial": "int64",  # the study's number for the candidate
    "candidate": "str",  # the architecture's fingerprint
    "role": "str",  # `searched`, a reference's name, or several joined by `+`
    "seed": "int64",
    "epoch": "int64",  # counted from 1
    "alpha": "float64",  # effective multipliers: what the whole-number network realises
    "beta": "float64",
    "gamma": "float64",
    "depth_share": "float64",  # effective shares of the budget; the three sum to 1
    "width_share": "float64",
    "resolution_share": "float64",
    "resolution": "int64",  # input pixels per side
    "macs": "int64",  # multiply-adds of one image
    "params": "int64",
    "activations": "int64",  # outputs of convolutions and linear layers, one image
    "factor": "float64",  # realised cost over the baseline's, in the budget's measure
    "asked_alpha": "float64",  # coefficients that were asked for
    "asked_beta": "float64",
    "asked_gamma": "float64",
    "deviation": "float64",  # distance on the simplex from the shares that were asked for
    "cell": "str",  # names of the cells that the candidate stands for, joined by `; `
    "stopped": "str",  # why it was trained no further; empty where it was trained to the end
    "train_loss": "float64",  # mean over the epoch's batches, with label smoothing
    "loss": "float64",  # cross-entropy on validation
    "accuracy": "float64",  # fraction of validation images
    "top5": "float64",  # fraction with the truth among the five likeliest classes
    "learning_rate": "float64",  # full rate that this candidate was trained with
    "micro_batch": "float64",  # images in one pass, by which batch norm normalises
    "seconds": "float64",  # training and validation
    "tuning_seconds": "float64",  # what the candidate's learning-rate sweep took, once for all rows
    "images_per_second": "float64",  # training alone
    "peak_bytes": "float64",  # most memory in use in the epoch
    "utilisation": "float64",  # of a matrix product's arithmetic, by count
    "device": "str",
    "commit": "str",  # of scalesearch, when the row was made
}
OPTIONAL_COLUMNS = (
    "cell",
    "stopped",
    "top5",
    "learning_rate",
    "micro_batch",
    "tuning_seconds",
    "peak_bytes",
    "utilisation",
)
"""Columns that older tables lack; they read as missing values, texts as empty ones."""
KEY = ["candidate", "seed", "epoch"]


def records_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table with exactly ``COLUMNS``, ordered by trial, seed and epoch."""
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS))
    for name in (name for name in OPTIONAL_COLUMNS if COLUMNS[name] == "str"):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), "")
    frame = frame.astype(COLUMNS)
    return frame.sort_values(["trial", "seed", "epoch"], ignore_index=True)


def spent_seconds(records: pd.DataFrame) -> float:
    """What all rows of a table took, each candidate's sweep counted once."""
    sweeps = records.groupby("candidate")["tuning_seconds"].first()
    return float(records["seconds"].sum() + sweeps.sum())


def write_records(path: Path, records: pd.DataFrame) -> None:
    """Write the table as CSV, whole or not at all; floats keep every digit."""
    write_text(path, records.to_csv(index=False))


def read_records(path: str | Path) -> pd.DataFrame:
    """Read and check a table.

    Raises SearchError naming the file for a missing column, a value of the wrong kind, or a
    (candidate, seed, epoch) that appears twice.
    """
    try:
        # As text first: fingerprints may look like numbers, an empty commit is not a missing
        # value, and floats then convert to the last digit under every version of pandas.
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise SearchError(f"{path}: no such table; run the search first") from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SearchError(f"{path}: not a CSV table: {error}") from error
    if missing := [
        name for name in COLUMNS if name not in frame.columns and name not in OPTIONAL_COLUMNS
    ]:
        raise SearchError(f"{path}: need the columns {', '.join(missing)}, which are missing")
    for name in OPTIONAL_COLUMNS:
        if COLUMNS[name] == "str":
            frame[name] = frame[name] if name in frame.columns else ""
        else:
            frame[name] = frame[name].replace("", "nan") if name in frame.columns else "nan"
    try:
        frame = frame[list(COLUMNS)].astype(COLUMNS)
    except (ValueError, TypeError) as error:
        raise SearchError(f"{path}: a value is not of its column's kind: {error}") from error
    if frame.duplicated(KEY).any():
        first = frame.loc[frame.duplicated(KEY), KEY].iloc[0].to_dict()
        raise SearchError(f"{path}: need one row per {', '.join(KEY)}, got two for {first}")
    return frame
