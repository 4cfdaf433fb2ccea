"""The table of records: one row of scalars for each (candidate, seed, epoch)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.errors import SearchError
from scalesearch.io import write_text
from scalesearch.scaling.coefficients import Shares

COLUMNS: dict[str, str] = {
    "trial": "int64",  # number of the trial in the study
    "candidate": "str",  # the architecture's fingerprint
    "role": "str",  # `searched`, a reference's name, or several joined by `+`
    "seed": "int64",
    "epoch": "int64",  # counted from 1
    "alpha": "float64",  # effective multipliers: those of the network after rounding
    "beta": "float64",
    "gamma": "float64",
    "depth_share": "float64",  # effective shares of the budget; they sum to 1
    "width_share": "float64",
    "resolution_share": "float64",
    "resolution": "int64",  # input pixels per side
    "macs": "int64",  # multiply-adds of one image
    "params": "int64",
    "activations": "int64",  # outputs of convolutions and linear layers, one image
    "factor": "float64",  # realised cost over the baseline's, in the budget's measure
    "asked_alpha": "float64",  # coefficients for which the network was made
    "asked_beta": "float64",
    "asked_gamma": "float64",
    "deviation": "float64",  # distance on the simplex from the nominal shares
    "cell": "str",  # names of the design's cells of this candidate, joined by `; `
    "stopped": "str",  # reason why training stopped early, or empty
    "train_loss": "float64",  # mean over the epoch's batches, with label smoothing
    "loss": "float64",  # cross-entropy on validation
    "accuracy": "float64",  # fraction of validation images
    "top5": "float64",  # fraction with the label among the five likeliest classes
    "learning_rate": "float64",  # peak learning rate of this candidate
    "micro_batch": "float64",  # images in one forward pass, over which batch norm normalises
    "seconds": "float64",  # training and validation
    "tuning_seconds": "float64",  # the candidate's learning-rate sweep, the same in all its rows
    "images_per_second": "float64",  # in training
    "peak_bytes": "float64",  # peak memory in the epoch
    "utilisation": "float64",  # arithmetic per second, over that of a large matrix product
    "device": "str",
    "commit": "str",  # of scalesearch, when the row was made
}
_NAMES = list(COLUMNS)
CANDIDATE_COLUMNS = tuple(
    name
    for name in _NAMES[_NAMES.index("candidate") : _NAMES.index("cell")]
    if name not in ("seed", "epoch")
)
"""Columns that are known before training."""
MEASURED_COLUMNS = tuple(
    name for name in COLUMNS if name not in ("trial", "cell", "stopped", *CANDIDATE_COLUMNS)
)
"""Columns of a run's epoch."""
SHARE_COLUMNS = ["depth_share", "width_share", "resolution_share"]
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
"""Columns that older tables lack; they are read as missing values or empty text."""
KEY = ["candidate", "seed", "epoch"]


def share_columns(shares: Shares) -> dict[str, float]:
    """Return shares by ``SHARE_COLUMNS``."""
    return dict(zip(SHARE_COLUMNS, shares.as_tuple(), strict=True))


def records_frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a table with ``COLUMNS``, by trial, seed and epoch."""
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS))
    for name in (name for name in OPTIONAL_COLUMNS if COLUMNS[name] == "str"):
        frame[name] = frame[name].astype(object).where(frame[name].notna(), "")
    frame = frame.astype(COLUMNS)
    return frame.sort_values(["trial", "seed", "epoch"], ignore_index=True)


def spent_seconds(records: pd.DataFrame) -> float:
    """Return the time of all rows, with each candidate's sweep counted once."""
    sweeps = records.groupby("candidate")["tuning_seconds"].first()
    return float(records["seconds"].sum() + sweeps.sum())


def write_records(path: Path, records: pd.DataFrame) -> None:
    """Write the table atomically as CSV; floats keep every digit."""
    write_text(path, records.to_csv(index=False))


def read_records(path: str | Path) -> pd.DataFrame:
    """Read and check a table.

    Raises SearchError for a missing column, a value of the wrong type, or a (candidate, seed,
    epoch) that appears twice.
    """
    try:
        # Read as text first: a fingerprint may look like a number, an empty commit is not a
        # missing value, and floats then keep their last digit under every version of pandas.
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
