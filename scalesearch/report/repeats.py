"""What training a search's best again came to: longer, and by other learning rates."""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.analysis.repeats import Repeated, at_their_best, repeated
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment, read_experiment
from scalesearch.files import write_text
from scalesearch.further import ANSWER, BEST, CONFIRMATION
from scalesearch.records import read_records

SCHEMA = "scalesearch/confirmation"
VERSION = 1
SENSITIVITY = "audit"
"""The folder, below a search's own, of its best at other learning rates."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """``name``: of the search. ``epochs``: of the search, and of its confirmation."""

    name: str
    epochs: tuple[int, int]
    found: Repeated

    @property
    def document(self) -> dict[str, Any]:
        """All of it, for programs: ``confirm.json``."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "name": self.name,
            "epochs": {"search": self.epochs[0], "confirmation": self.epochs[1]},
            **described(self.found),
        }


def described(found: Repeated) -> dict[str, Any]:
    """A repetition for programs."""
    return {
        "sentence": found.words,
        "level": found.level,
        "best": found.results[0].candidate,
        "search_answer": found.first.candidate,
        "holds": found.holds,
        "change": found.change,
        "agreement": found.agreement.row,
        "candidates": found.rows,
    }


def confirmed(folder: str | Path, *, level: float = 0.1) -> Confirmation:
    """The confirmation below a search's folder beside the search.

    Raises SearchError where there is none, or the search's answer has not come to its end in it.
    """
    folder = Path(folder)
    search = _experiment(folder)
    again = _experiment(folder / CONFIRMATION)
    last, longer = search.rungs[-1], again.rungs[-1]
    found = _beside(
        folder, folder / CONFIRMATION, f"after {longer} epochs, with other seeds", level
    )
    return Confirmation(search.name, (last, longer), found)


def write_confirmation(folder: str | Path, *, level: float = 0.1) -> Confirmation:
    """Write ``confirm.json`` into a search's folder."""
    found = confirmed(folder, level=level)
    text = json.dumps(found.document, indent=2, allow_nan=False) + "\n"
    write_text(Path(folder) / "confirm.json", text)
    return found


def sensitivity(folder: str | Path, *, level: float = 0.1) -> tuple[Repeated, ...]:
    """What the search's best and references came to by other learning rates and rules, as far as
    that was trained; last, with each candidate at the best of the rates.

    What was trained for other epochs than the search's, before that was extended, is passed over:
    it would be compared with longer runs.
    """
    folder = Path(folder)
    search = _experiment(folder)
    last, rate, found, rates = search.rungs[-1], search.recipe.learning_rate, [], {}
    for path in sorted((folder / SENSITIVITY).glob("*/records.csv")):
        experiment = _experiment(path.parent)
        other = experiment.recipe
        if experiment.rungs[-1] != last:
            continue
        same = other.learning_rate_rule == search.recipe.learning_rate_rule
        what = (
            f"learning rate x{other.learning_rate / rate:g}"
            if same
            else f"rule {other.learning_rate_rule}"
        )
        try:
            found.append(_beside(folder, path.parent, what, level))
        except SearchError:  # it has only begun
            continue
        if same:
            rates[what] = read_records(path)
    if rates:
        own = read_records(folder / "records.csv")
        own = own[own["epoch"] == last]
        best = at_their_best({"learning rate x1": own, **rates})
        first, what = found[0].first.candidate, "each at its best rate"
        with suppress(SearchError):  # of one rate, the search's answer has only begun
            found.append(repeated(own, best, what, first=first, level=level))
    return tuple(found)


def _beside(folder: Path, other: Path, what: str, level: float) -> Repeated:
    again = _experiment(other)
    ends = _experiment(folder).rungs[-1], again.rungs[-1]
    after = read_records(other / "records.csv")
    first = _first(after)
    if not _is_whole(again, after):
        what = f"{what} (not all of it trained)"
    return repeated(
        read_records(folder / "records.csv"), after, what, epochs=ends, first=first, level=level
    )


def _is_whole(experiment: Experiment, records: pd.DataFrame) -> bool:
    """Whether each of its points has the last epoch with all seeds."""
    cells = records.loc[records["epoch"] == experiment.rungs[-1], "cell"]
    runs = Counter(name for cell in cells for name in str(cell).split("; "))
    return all(runs[point.name] >= len(experiment.seeds) for point in experiment.search.points)


def _first(records: pd.DataFrame) -> str | None:
    """The search's answer, or its best where it has none, by the names of cells."""
    for name in (ANSWER, BEST):
        rows = records[[name in str(cell).split("; ") for cell in records["cell"]]]
        if len(rows):
            return str(rows["candidate"].iloc[0])
    return None


def _experiment(folder: Path) -> Experiment:
    path = folder / "experiment.yaml"
    if not path.is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    return read_experiment(path)
