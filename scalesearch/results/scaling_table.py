"""All recorded runs of this project in one table, to test search methods.

The table is results/benchmarks/scaling_table.csv, and scaling_table.md is its data sheet. Both are
made by benchmarks/scaling_table.py from the records in results/.
"""

import math
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from scalesearch.errors import SearchError
from scalesearch.results.records import SHARE_COLUMNS

FILE_NAME = "scaling_table.csv"
TABLE_PATHS = (
    Path(__file__).parent / FILE_NAME,  # in an installed package
    Path(__file__).parents[2] / "results" / "benchmarks" / FILE_NAME,  # in a checkout
)
KEY = ["search", "candidate", "seed", "epoch"]


class Column(NamedTuple):
    """A column of the table."""

    kind: str
    """Type, as pandas names it."""
    meaning: str
    decimals: int | None = None
    """Decimals to which a float is rounded."""


COLUMNS: dict[str, Column] = {
    "search": Column("str", "name of the search; the table of sources says more of it"),
    "data": Column("str", "images: `cifar10`, `clothing`, ..."),
    "baseline": Column("str", "what was scaled"),
    "trial": Column("int64", "place of the network in its search, from 0"),
    "candidate": Column("str", "fingerprint of the network, the same in every search"),
    "role": Column("str", "`searched`, a reference's name, or several joined by `+`"),
    "seed": Column(
        "int64", "of split, order, augmentation and initialisation; networks are paired"
    ),
    "epoch": Column("int64", "epochs trained, from 1"),
    "epochs": Column("int64", "epochs that the learning rate's schedule spans"),
    "alpha": Column("float64", "depth over the baseline's, realised, in blocks", 6),
    "beta": Column("float64", "width over the baseline's, realised", 6),
    "gamma": Column("float64", "resolution over the baseline's, realised, a side", 6),
    "depth_share": Column("float64", "of log2 of the cost; the three sum to 1", 6),
    "width_share": Column("float64", "likewise", 6),
    "resolution_share": Column("float64", "likewise", 6),
    "asked_alpha": Column("float64", "what was asked for, before rounding to a network", 6),
    "asked_beta": Column("float64", "likewise", 6),
    "asked_gamma": Column("float64", "likewise", 6),
    "resolution": Column("int64", "pixels a side that the network sees"),
    "macs": Column("int64", "multiply-adds of one image; convolutions and linear layers"),
    "params": Column("int64", "parameters"),
    "activations": Column("int64", "outputs of convolutions and linear layers, one image"),
    "factor": Column("float64", "realised cost over the baseline's, in the budget's measure", 6),
    "train_images": Column("int64", "images in an epoch"),
    "validation_images": Column("int64", "images that `loss`, `accuracy` and `top5` are of"),
    "batch_size": Column("int64", "images in a step"),
    "learning_rate": Column("float64", "the schedule's full rate", 8),
    "train_loss": Column("float64", "nats, mean over the epoch, augmented and label-smoothed", 6),
    "loss": Column("float64", "nats, cross-entropy on validation images", 6),
    "accuracy": Column("float64", "fraction of validation images", 6),
    "top5": Column("float64", "fraction; empty in tables from before it was recorded", 6),
    "seconds": Column("float64", "of this epoch, training and validation, on its device", 3),
    "device": Column("str", "`cpu` or `cuda`; the table of sources names the processor"),
    "commit": Column("str", "of this project, when the row was made; `+`: with changes"),
}
OPTIONAL_COLUMNS = ("top5",)


def scaling_table(path: str | Path | None = None) -> pd.DataFrame:
    """Read the table of a path, by default the one that comes with scalesearch.

    It has one row for each (search, candidate, seed, epoch), and the columns ``COLUMNS``. Raises
    SearchError if the file is missing or a value breaks a rule of its column.
    """
    table_path = (
        Path(path)
        if path is not None
        else next(
            (candidate_path for candidate_path in TABLE_PATHS if candidate_path.exists()),
            TABLE_PATHS[0],
        )
    )
    try:
        # Read as text first: a fingerprint may look like a number.
        frame = pd.read_csv(table_path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise SearchError(
            f"{table_path}: no such table; benchmarks/scaling_table.py makes it"
        ) from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SearchError(f"{table_path}: not a CSV table: {error}") from error
    if list(frame.columns) != list(COLUMNS):
        differ = sorted(set(frame.columns) ^ set(COLUMNS)) or "the same in another order"
        raise SearchError(
            f"{table_path}: need the columns of scalesearch.results.scaling_table.COLUMNS, got "
            f"{differ}"
        )
    for name in OPTIONAL_COLUMNS:
        frame[name] = frame[name].replace("", "nan")
    try:
        frame = frame.astype({name: column.kind for name, column in COLUMNS.items()})
    except (ValueError, TypeError) as error:
        raise SearchError(f"{table_path}: a value is not of its column's kind: {error}") from error
    return validate_table(frame, str(table_path))


def validate_table(frame: pd.DataFrame, origin: str) -> pd.DataFrame:
    """Return the table. Raises SearchError if it is empty or a row breaks a rule."""
    if frame.empty:
        raise SearchError(f"{origin}: need at least one row, got none; make the table anew")
    fractions = frame[["accuracy", "top5"]].fillna(0.0)
    required = frame.drop(columns=list(OPTIONAL_COLUMNS))
    filled = (required.notna() & (required.astype(str) != "")).all(axis=1)
    numbers = frame[[name for name, column in COLUMNS.items() if column.kind == "float64"]]
    finite = numbers.abs().ne(math.inf).all(axis=1)
    positive = frame[["macs", "params", "activations", "resolution", "seconds"]].gt(0).all(axis=1)
    rules = {
        f"one row for each {', '.join(KEY)}": ~frame.duplicated(KEY),
        "a value in every column but top5": filled,
        "finite numbers": finite,
        "accuracies within 0 and 1": (fractions.ge(0) & fractions.le(1)).all(axis=1),
        "shares that sum to 1": frame[SHARE_COLUMNS].sum(axis=1).sub(1).abs() < 1e-5,
        "1 <= epoch <= epochs": frame["epoch"].between(1, frame["epochs"]),
        "costs and seconds above 0": positive,
    }
    for rule, holds in rules.items():
        if not holds.all():
            key = frame.loc[~holds, KEY].iloc[0].to_dict()
            raise SearchError(f"{origin}: need {rule}, which does not hold for {key}")
    return frame
