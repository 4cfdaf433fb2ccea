"""What can be done to a search that is not running: try again, throw away, ask for more.

Each verb changes the study and the projections in the folder, and trains nothing; ``search`` with
the folder's own experiment then does what is open again. All refuse while a driver is at work.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from scalesearch.environment import read_environment
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment, read_experiment, write_experiment
from scalesearch.files import write_text
from scalesearch.nets import code_allowed
from scalesearch.search import study as ledger
from scalesearch.search.driver import held_study, schedule_of, source_of
from scalesearch.search.folder import Folder, locked
from scalesearch.search.hold import removed
from scalesearch.search.jobs import checkpoint
from scalesearch.search.longer import lengthened, undecided
from scalesearch.search.notebook import Notebook
from scalesearch.search.progress import read_progress
from scalesearch.search.source import Source
from scalesearch.search.study import Entry
from scalesearch.search.study.entries import cells_of


@dataclass(frozen=True, slots=True)
class Held:
    """A search's folder and study, in nobody else's hands."""

    experiment: Experiment
    folder: Folder
    source: Source
    study: optuna.Study
    entries: list[Entry]


def experiment_in(folder: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of the search in a folder. Raises SearchError where it holds none."""
    path = Folder(Path(folder)).experiment
    if not path.is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    return read_experiment(path, overrides)


def storage_of(folder: str | Path) -> str | None:
    """The database that has a folder's study, without its password; None: it is in the folder."""
    path = Folder(Path(folder)).storage
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def retry(
    folder: str | Path,
    *,
    kind: str | None = None,
    candidate: str | None = None,
    storage: str | None = None,
    allow_code: bool = False,
) -> list[Entry]:
    """Open failed candidates again, and return them; what they have on record stays.

    ``kind``: only of this class of failures. ``candidate``: only those whose fingerprint begins
    so. What was decided without them stays decided: a candidate that comes late is compared with
    all that are at its rung, and goes on if its place there allows it. Raises SearchError where
    none has failed so.
    """
    with _held(folder, storage, allow_code) as held:
        failed = [entry for entry in held.entries if entry.state == "failed"]
        chosen = [
            entry
            for entry in failed
            if kind in (None, entry.kind) and entry.candidate.startswith(candidate or "")
        ]
        if not chosen:
            known = ", ".join(f"{e.candidate} ({e.kind})" for e in failed) or "none at all"
            raise SearchError(f"{folder}: no candidate has failed so; failed are {known}")
        opened = [ledger.reopen(held.study, entry) for entry in chosen]
        _rewrite(held)
    return opened


def invalidate(
    folder: str | Path,
    candidate: str,
    *,
    seed: int | None = None,
    from_epoch: int = 1,
    storage: str | None = None,
    allow_code: bool = False,
) -> pd.DataFrame:
    """Throw away results that turned out wrong, and open their candidate again.

    ``candidate``: its fingerprint, or how that begins. ``seed``: of this one only. ``from_epoch``:
    from this epoch on, since later ones come of it. Checkpoints of these seeds are removed, so that
    epochs before it are trained again too, without being written down twice. Returns what was
    thrown away, which is kept in ``invalidated.csv``. What was decided by it about other candidates
    stays decided. Raises SearchError where there is nothing such, or no one such candidate.
    """
    with _held(folder, storage, allow_code) as held:
        entry = _one(held, candidate)
        thrown = [
            row for row in entry.rows if seed in (None, row["seed"]) and row["epoch"] >= from_epoch
        ]
        if not thrown:
            seeds = sorted({row["seed"] for row in entry.rows})
            raise SearchError(
                f"{folder}: candidate {entry.candidate} has nothing on record "
                + (f"for seed {seed} " if seed is not None else "")
                + f"from epoch {from_epoch} on; it has seeds {', '.join(map(str, seeds)) or 'none'}"
            )
        lost = ledger.records([replace(entry, rows=thrown)])
        for one in sorted({row["seed"] for row in thrown}):
            if not removed(checkpoint(held.folder.checkpoints, entry.candidate, one)):
                raise SearchError(
                    f"{folder}: a worker of a driver that is gone still trains seed {one} of "
                    f"{entry.candidate}, and would bring it all back; wait for it or end it"
                )
        _keep(held.folder.path / "invalidated.csv", lost)
        _reopen(held.study, entry, [row for row in entry.rows if row not in thrown])
        _rewrite(held)
    return lost


@dataclass(frozen=True, slots=True)
class Extension:
    """``experiment``: what the folder holds from now on. ``opened``: candidates that are decided on
    again by its rules. ``added``: how many more candidates there are at most."""

    experiment: Experiment
    opened: tuple[Entry, ...]
    added: int


def extend(
    folder: str | Path,
    *,
    trials: int | None = None,
    seeds: int | None = None,
    rungs: Sequence[int] | None = None,
    storage: str | None = None,
    allow_code: bool = False,
) -> Extension:
    """Ask for more of the same search: more candidates, more seeds, longer training.

    The search goes on as if it had been begun so, as far as what is on record allows. All that was
    decided is decided again by the new rules, cohort after cohort, with what is on record: who was
    halved, or was out of the race, and would be so again, stays as it is, at no cost; others are
    open again. So a candidate that was halved at place 2 of 3 may go on when it turns out to be
    place 2 of 15; its earlier epochs are then trained again where its checkpoint is gone, without
    being written down twice. Who has gone beyond a rung is not halved there any more, even where
    better ones come. What samplers have proposed stays, and they propose the rest.

    ``rungs`` have to begin with the search's own and end at or before the end of the recipe, whose
    epochs cannot change: the learning rate's schedule spans them. Raises SearchError where less is
    asked for than there is.
    """
    with _held(folder, storage, allow_code) as held:
        experiment = lengthened(held.experiment, trials, seeds, rungs)
        data = read_environment(held.folder.environment)["data"]
        source = source_of(experiment, data)
        again = undecided(experiment, source, schedule_of(experiment), held.entries)
        opened = tuple(_reopen(held.study, _as_planned(entry, source)) for entry in again)
        # Until this line, a driver decides as before, by the old rules.
        write_experiment(held.folder.experiment, experiment)
        _rewrite(held)
    return Extension(experiment, opened, source.most - held.source.most)


@contextmanager
def _held(folder: str | Path, storage: str | None, allow_code: bool) -> Iterator[Held]:
    """A search's folder and study, while no driver has them."""
    experiment, where = experiment_in(folder), Folder(Path(folder))
    storage = storage or storage_of(folder)
    with locked(where.path), code_allowed(allow_code), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the plan: whoever began it has seen them
        source = source_of(experiment, read_environment(where.environment)["data"])
        with held_study(where, experiment, source, storage) as study:
            yield Held(experiment, where, source, study, ledger.contents(study))


def _one(held: Held, candidate: str) -> Entry:
    """The candidate whose fingerprint begins so."""
    found = [entry for entry in held.entries if entry.candidate.startswith(candidate)]
    if len(found) != 1 or not candidate:
        known = ", ".join(entry.candidate for entry in found or held.entries)
        raise SearchError(
            f"{held.folder.path}: need the fingerprint of one candidate, or how it begins, got "
            f"{candidate!r}; there are {known or 'none'}"
        )
    return found[0]


def _reopen(
    study: optuna.Study, entry: Entry, rows: Sequence[dict[str, Any]] | None = None
) -> Entry:
    """Open an entry again, ended or not, with these of its rows and their means."""
    again = ledger.reopen(study, entry, rows)
    if entry.state == "running":  # or its trial would seem to be, for ever
        ledger.tell_stopped(study, entry, "a later trial goes on with it")
    for epoch, mean in ledger.means(again.rows).items():
        ledger.report(study, again, epoch, mean)
    return again


def _as_planned(entry: Entry, source: Source) -> Entry:
    """The entry with all that the plan now asks of it."""
    place = source.place(entry.cells)
    if place is None or place >= len(source.planned):
        return entry
    planned = source.planned[place]
    facts = {**entry.facts, "role": planned.role}
    return replace(entry, facts=facts, cells=cells_of(planned))


def _rewrite(held: Held) -> None:
    """Bring what people read up to date: there is something to do again."""
    notebook = Notebook(held.folder)
    notebook.projection(ledger.contents(held.study), always=True)
    if (told := read_progress(held.folder.progress)) is not None:
        notebook.progress(replace(told, finished=False, ended="", running=()), always=True)


def _keep(path: Path, rows: pd.DataFrame) -> None:
    """Add rows to a table of rows that do not count."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    write_text(path, before + rows.to_csv(index=False, header=not before))
