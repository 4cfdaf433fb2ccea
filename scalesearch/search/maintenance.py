"""More of a search: which experiment asks for it, and what it leaves undecided.

What can be done to a search that is not running: try again, throw away, ask for more.

Each verb changes the study and the projections in the folder, and trains nothing; ``search`` with
the folder's own experiment then does what is open again. All refuse while a driver is at work.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd

from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import read_experiment, write_experiment
from scalesearch.errors import SearchError
from scalesearch.io import write_text
from scalesearch.locks import lock_folder, remove_checkpoint
from scalesearch.models.custom_model import code_allowed
from scalesearch.results.environment import read_environment
from scalesearch.results.search_folder import SearchPaths
from scalesearch.search import study as study_store
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.driver import candidate_source, open_locked_study
from scalesearch.search.jobs import checkpoint_path
from scalesearch.search.progress_file import read_progress
from scalesearch.search.results_writer import ResultsWriter
from scalesearch.search.study.search_trial import SearchTrial, cell_documents
from scalesearch.search.successive_halving import SuccessiveHalving, round_trial
from scalesearch.search.trial_progress import SearchTrialState


def extended_experiment(
    experiment: Experiment,
    trials: int | None = None,
    seeds: int | None = None,
    rungs: Sequence[int] | None = None,
) -> Experiment:
    """The experiment that asks for more; None keeps what it has.

    Raises SearchError where one of them is less, or nothing is more.
    """
    search = experiment.search
    if trials is not None:
        if search.sampler == "optimal":
            raise SearchError(
                f"trials: need what the search has, as a design is made for its number, got "
                f"{trials}; ask for seeds or rungs, or begin another search"
            )
        current_trials = search.trials or search.proposal_count
        if current_trials is None or trials < current_trials:
            raise SearchError(f"trials: {_minimum_text(current_trials)}, got {trials}")
        search = replace(search, trials=trials)
    if seeds is not None:
        if seeds < search.seeds:
            raise SearchError(f"seeds: {_minimum_text(search.seeds)}, got {seeds}")
        search = replace(search, seeds=seeds)
    if rungs is not None:
        search = replace(search, rungs=_validate_rungs(experiment, tuple(rungs)))
    extended = replace(experiment, search=search)
    if extended == experiment:
        raise SearchError("extend: need more trials, seeds or rungs than the search has, got none")
    return extended


def _minimum_text(current: int | None) -> str:
    if current is None:
        return "it has the whole grid, of which there is no more; ask for seeds or rungs"
    return f"the search has {current}, and needs at least that"


def _validate_rungs(experiment: Experiment, rungs: tuple[int, ...]) -> tuple[int, ...]:
    """The rungs, if they go on from the experiment's."""
    current_rungs, epochs = experiment.rungs, experiment.recipe.epochs
    is_increasing = all(a < b for a, b in zip((0, *rungs), rungs, strict=False))
    is_continuation = rungs[: len(current_rungs)] == current_rungs
    if experiment.search.pruner == "none":
        is_continuation = (
            bool(rungs) and rungs[-1] >= current_rungs[-1]
        )  # nobody was compared on the way
    if not is_increasing or not is_continuation or rungs[-1] > epochs:
        current_text = ", ".join(map(str, current_rungs))
        raise SearchError(
            f"rungs: need {current_text}, as the search has, and later ones up to {epochs}, where the "
            f"recipe ends (recipe.epochs, which its learning rates span), got "
            f"{', '.join(map(str, rungs)) or 'none'}"
        )
    return rungs


def reopened_trials(
    experiment: Experiment,
    source: CandidateSource,
    halving: SuccessiveHalving,
    trials: Iterable[SearchTrial],
) -> list[SearchTrial]:
    """Trials that have ended, but would not end so by the experiment; failed trials stay out.

    ``halving``: one without trials. It gets all that is on record, round after round, until a round
    lacks something; the rounds after it wait.
    """
    trials_by_index = {source.index_of(trial.cells): trial for trial in trials}
    reopened: list[SearchTrial] = []
    round_index, is_round_finished = 0, True
    while indices := source.indices_of_round(round_index):
        states: dict[int, SearchTrialState] = {}
        if is_round_finished:
            round_trials = []
            for index in indices:
                stored = trials_by_index.get(index)
                state: SearchTrialState = (
                    "failed" if stored is not None and stored.state == "failed" else "running"
                )
                round_trials.append(round_trial(index, _role(source, index, stored), stored, state))
            halving.start_round(round_index, round_trials)
            states = {decision.trial: decision.state for decision in halving.decisions()}
            is_round_finished = halving.may_start_round(round_index + 1)
        for index in indices:
            trial = trials_by_index.get(index)
            if trial is None or trial.state not in ("stopped", "complete"):
                continue
            is_decided = trial.state == states.get(index) or _is_fully_trained(trial, experiment)
            has_same_role = _role(source, index, trial) == trial.candidate_columns["role"]
            if not (is_decided and has_same_role):
                reopened.append(trial)
        round_index += 1
    return reopened


def _role(source: CandidateSource, index: int, trial: SearchTrial | None) -> str:
    """What a candidate stands for, by the plan where it is planned."""
    if index < len(source.planned):
        return source.planned[index].role
    return "searched" if trial is None else str(trial.candidate_columns["role"])


def _is_fully_trained(trial: SearchTrial, experiment: Experiment) -> bool:
    """Whether nothing is left of a candidate that any search could train."""
    last_epoch = experiment.rungs[-1]
    return trial.state == "complete" and all(
        (seed, last_epoch) in trial.recorded_epochs for seed in experiment.seeds
    )


@dataclass(frozen=True, slots=True)
class LockedSearch:
    """A search's folder and study, in nobody else's hands."""

    experiment: Experiment
    folder: SearchPaths
    source: CandidateSource
    study: optuna.Study
    trials: list[SearchTrial]


def read_search_experiment(folder: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of the search in a folder. Raises SearchError where it holds none."""
    path = SearchPaths(Path(folder)).experiment
    if not path.is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    return read_experiment(path, overrides)


def read_storage_url(folder: str | Path) -> str | None:
    """The database that has a folder's study, without its password; None: it is in the folder."""
    path = SearchPaths(Path(folder)).storage
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def retry(
    folder: str | Path,
    *,
    kind: str | None = None,
    candidate: str | None = None,
    storage: str | None = None,
    allow_code: bool = False,
) -> list[SearchTrial]:
    """Open failed candidates again, and return them; what they have on record stays.

    ``kind``: only of this class of failures. ``candidate``: only those whose fingerprint begins
    so. What was decided without them stays decided: a candidate that comes late is compared with
    all that are at its rung, and goes on if its place there allows it. Raises SearchError where
    none has failed so.
    """
    with _lock_search(folder, storage, allow_code) as locked_search:
        failed_trials = [trial for trial in locked_search.trials if trial.state == "failed"]
        selected = [
            entry
            for entry in failed_trials
            if kind in (None, entry.failure_kind) and entry.candidate.startswith(candidate or "")
        ]
        if not selected:
            failed_names = (
                ", ".join(f"{e.candidate} ({e.failure_kind})" for e in failed_trials)
                or "none at all"
            )
            raise SearchError(f"{folder}: no candidate has failed so; failed are {failed_names}")
        reopened = [study_store.reopen_trial(locked_search.study, entry) for entry in selected]
        _write_results(locked_search)
    return reopened


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
    with _lock_search(folder, storage, allow_code) as locked_search:
        trial = _find_trial(locked_search, candidate)
        removed_rows = [
            row for row in trial.rows if seed in (None, row["seed"]) and row["epoch"] >= from_epoch
        ]
        if not removed_rows:
            seeds = sorted({row["seed"] for row in trial.rows})
            raise SearchError(
                f"{folder}: candidate {trial.candidate} has nothing on record "
                + (f"for seed {seed} " if seed is not None else "")
                + f"from epoch {from_epoch} on; it has seeds {', '.join(map(str, seeds)) or 'none'}"
            )
        removed_records = study_store.trial_records([replace(trial, rows=removed_rows)])
        for seed_to_remove in sorted({row["seed"] for row in removed_rows}):
            if not remove_checkpoint(
                checkpoint_path(locked_search.folder.checkpoints, trial.candidate, seed_to_remove)
            ):
                raise SearchError(
                    f"{folder}: a worker of a driver that is gone still trains seed {seed_to_remove} of "
                    f"{trial.candidate}, and would bring it all back; wait for it or end it"
                )
        _append_rows(locked_search.folder.path / "invalidated.csv", removed_records)
        _reopen(locked_search.study, trial, [row for row in trial.rows if row not in removed_rows])
        _write_results(locked_search)
    return removed_records


@dataclass(frozen=True, slots=True)
class Extension:
    """``experiment``: what the folder holds from now on. ``opened``: candidates that are decided on
    again by its rules. ``added``: how many more candidates there are at most."""

    experiment: Experiment
    reopened: tuple[SearchTrial, ...]
    added_trials: int


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
    with _lock_search(folder, storage, allow_code) as locked_search:
        experiment = extended_experiment(locked_search.experiment, trials, seeds, rungs)
        data = read_environment(locked_search.folder.environment)["data"]
        source = candidate_source(experiment, data)
        undecided_trials = reopened_trials(
            experiment, source, SuccessiveHalving.from_experiment(experiment), locked_search.trials
        )
        reopened = tuple(
            _reopen(locked_search.study, _replanned_trial(trial, source))
            for trial in undecided_trials
        )
        # Until this line, a driver decides as before, by the old rules.
        write_experiment(locked_search.folder.experiment, experiment)
        _write_results(locked_search)
    return Extension(experiment, reopened, source.max_trials - locked_search.source.max_trials)


@contextmanager
def _lock_search(
    folder: str | Path, storage: str | None, allow_code: bool
) -> Iterator[LockedSearch]:
    """A search's folder and study, while no driver has them."""
    experiment, search_folder = read_search_experiment(folder), SearchPaths(Path(folder))
    storage = storage or read_storage_url(folder)
    with lock_folder(search_folder.path), code_allowed(allow_code), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the plan: whoever began it has seen them
        source = candidate_source(experiment, read_environment(search_folder.environment)["data"])
        with open_locked_study(search_folder, experiment, source, storage) as study:
            yield LockedSearch(
                experiment, search_folder, source, study, study_store.read_trials(study)
            )


def _find_trial(locked_search: LockedSearch, candidate: str) -> SearchTrial:
    """The candidate whose fingerprint begins so."""
    matches = [trial for trial in locked_search.trials if trial.candidate.startswith(candidate)]
    if len(matches) != 1 or not candidate:
        names = ", ".join(entry.candidate for entry in matches or locked_search.trials)
        raise SearchError(
            f"{locked_search.folder.path}: need the fingerprint of one candidate, or how it begins, got "
            f"{candidate!r}; there are {names or 'none'}"
        )
    return matches[0]


def _reopen(
    study: optuna.Study, trial: SearchTrial, rows: Sequence[dict[str, Any]] | None = None
) -> SearchTrial:
    """Open an entry again, ended or not, with these of its rows and their means."""
    reopened = study_store.reopen_trial(study, trial, rows)
    if trial.state == "running":  # or its trial would seem to be, for ever
        study_store.tell_stopped(study, trial, "a later trial goes on with it")
    for epoch, mean in study_store.mean_accuracies(reopened.rows).items():
        study_store.report_mean(study, reopened, epoch, mean)
    return reopened


def _replanned_trial(trial: SearchTrial, source: CandidateSource) -> SearchTrial:
    """The entry with all that the plan now asks of it."""
    index = source.index_of(trial.cells)
    if index is None or index >= len(source.planned):
        return trial
    planned_trial = source.planned[index]
    facts = {**trial.candidate_columns, "role": planned_trial.role}
    return replace(trial, candidate_columns=facts, cells=cell_documents(planned_trial))


def _write_results(locked_search: LockedSearch) -> None:
    """Bring what people read up to date: there is something to do again."""
    writer = ResultsWriter(locked_search.folder)
    writer.write(study_store.read_trials(locked_search.study), force=True)
    if (progress := read_progress(locked_search.folder.progress)) is not None:
        writer.write_progress(replace(progress, finished=False, ended="", running=()), force=True)


def _append_rows(path: Path, rows: pd.DataFrame) -> None:
    """Add rows to a table of rows that do not count."""
    existing_text = path.read_text(encoding="utf-8") if path.exists() else ""
    write_text(path, existing_text + rows.to_csv(index=False, header=not existing_text))
