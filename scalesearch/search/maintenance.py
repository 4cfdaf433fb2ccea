"""Changes to a search that is not running: retry, invalidate, extend.

Each changes the study and the files in the folder, and trains nothing; ``run_search`` with the
folder's own experiment then trains what is open again. All raise SearchError while a driver is
running.
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
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.driver import open_locked_study
from scalesearch.search.halving_state import SearchTrialState
from scalesearch.search.jobs import checkpoint_path
from scalesearch.search.progress import read_progress
from scalesearch.search.results_writer import ResultsWriter
from scalesearch.search.study.search_trial import (
    SearchTrial,
    cell_documents,
    mean_accuracies,
    read_trials,
    trial_records,
)
from scalesearch.search.study.writing import reopen_trial, report_mean, tell_stopped
from scalesearch.search.successive_halving import SuccessiveHalving, round_trial


def extended_experiment(
    experiment: Experiment,
    trials: int | None = None,
    seeds: int | None = None,
    rungs: Sequence[int] | None = None,
) -> Experiment:
    """Return the experiment with more trials, seeds or rungs.

    None keeps the present value. Raises SearchError if a value is less than now, or none is more.
    """
    search = experiment.search
    if trials is not None:
        if search.sampler == "optimal":
            raise SearchError(
                "trials: an optimal design is made for its number of trials and cannot grow, got "
                f"{trials}; ask for seeds or rungs, or start another search"
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
        return "the search has the whole grid already; ask for seeds or rungs"
    return f"need at least the {current} of the search"


def _validate_rungs(experiment: Experiment, rungs: tuple[int, ...]) -> tuple[int, ...]:
    """Return the rungs if they continue the experiment's; else raise SearchError."""
    current_rungs, epochs = experiment.rungs, experiment.recipe.epochs
    is_increasing = all(a < b for a, b in zip((0, *rungs), rungs, strict=False))
    is_continuation = rungs[: len(current_rungs)] == current_rungs
    if experiment.search.pruner == "none":
        # No trial was compared at an earlier rung.
        is_continuation = bool(rungs) and rungs[-1] >= current_rungs[-1]
    if not is_increasing or not is_continuation or rungs[-1] > epochs:
        current_text = ", ".join(map(str, current_rungs))
        raise SearchError(
            f"rungs: need the search's own ({current_text}) and later ones up to {epochs} "
            "(recipe.epochs, which the learning-rate schedule spans), got "
            f"{', '.join(map(str, rungs)) or 'none'}"
        )
    return rungs


def reopened_trials(
    experiment: Experiment,
    source: CandidateSource,
    halving: SuccessiveHalving,
    trials: Iterable[SearchTrial],
) -> list[SearchTrial]:
    """Return trials that ended otherwise than they would by the experiment.

    Failed trials are left out.

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
    """Role of a trial: that of the plan if it is planned, else that on record."""
    if index < len(source.planned):
        return source.planned[index].role
    return "searched" if trial is None else str(trial.candidate_columns["role"])


def _is_fully_trained(trial: SearchTrial, experiment: Experiment) -> bool:
    """Whether all seeds of a trial have been trained to the last epoch."""
    last_epoch = experiment.rungs[-1]
    return trial.state == "complete" and all(
        (seed, last_epoch) in trial.recorded_epochs for seed in experiment.seeds
    )


@dataclass(frozen=True, slots=True)
class LockedSearch:
    """The folder and study of a search, locked against drivers."""

    experiment: Experiment
    folder: SearchPaths
    source: CandidateSource
    study: optuna.Study
    trials: list[SearchTrial]


def read_search_experiment(folder: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read the experiment of the search in a folder; raise SearchError if it has none."""
    path = SearchPaths(Path(folder)).experiment
    if not path.is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    return read_experiment(path, overrides)


def read_storage_url(folder: str | Path) -> str | None:
    """Read the URL of the study's database; None if the study is in the folder."""
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
    """Reopen failed trials and return them; their recorded epochs stay.

    ``kind``: only failures of this kind. ``candidate``: only fingerprints that begin like this.
    Earlier decisions about other trials stay: a trial that arrives late at a rung is compared with
    all that are there, and continues if its rank allows it. Raises SearchError if no failed trial
    matches.
    """
    with _lock_search(folder, storage, allow_code) as locked_search:
        failed_trials = [trial for trial in locked_search.trials if trial.state == "failed"]
        selected = [
            trial
            for trial in failed_trials
            if kind in (None, trial.failure_kind) and trial.candidate.startswith(candidate or "")
        ]
        if not selected:
            failed_names = (
                ", ".join(f"{t.candidate} ({t.failure_kind})" for t in failed_trials) or "none"
            )
            raise SearchError(
                f"{folder}: no failed candidate matches; failed candidates are {failed_names}"
            )
        reopened = [reopen_trial(locked_search.study, trial) for trial in selected]
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
    """Remove wrong results of a candidate, and reopen its trial.

    ``candidate``: its fingerprint or the beginning of it. ``seed``: only this seed.
    ``from_epoch``: this epoch and all later ones, which depend on it. The checkpoints of these
    seeds are removed, so earlier epochs are trained again too, but not recorded twice. Returns the
    removed records, which are kept in ``invalidated.csv``. Earlier decisions about other trials
    stay. Raises SearchError if nothing, or not exactly one candidate, matches.
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
        removed_records = trial_records([replace(trial, rows=removed_rows)])
        for seed_to_remove in sorted({row["seed"] for row in removed_rows}):
            if not remove_checkpoint(
                checkpoint_path(locked_search.folder.checkpoints, trial.candidate, seed_to_remove)
            ):
                raise SearchError(
                    f"{folder}: a worker of an earlier driver still trains seed {seed_to_remove} "
                    f"of {trial.candidate}; wait for it or end it"
                )
        _append_rows(locked_search.folder.path / "invalidated.csv", removed_records)
        _reopen(locked_search.study, trial, [row for row in trial.rows if row not in removed_rows])
        _write_results(locked_search)
    return removed_records


@dataclass(frozen=True, slots=True)
class Extension:
    """The result of extending a search."""

    experiment: Experiment
    """The new experiment of the folder."""
    reopened: tuple[SearchTrial, ...]
    """Trials that had ended and are open again."""
    added_trials: int
    """Largest number of trials that are added."""


def extend(
    folder: str | Path,
    *,
    trials: int | None = None,
    seeds: int | None = None,
    rungs: Sequence[int] | None = None,
    storage: str | None = None,
    allow_code: bool = False,
) -> Extension:
    """Add trials, seeds or rungs to a search.

    The search continues as if it had started so, as far as the records allow. All decisions are
    made again by the new rules, round after round, from the records. A trial that would be stopped
    again stays as it is, at no cost; others are reopened. So a trial that ranked 2 of 3 may
    continue when it ranks 2 of 15; its earlier epochs are trained again if its checkpoint is gone,
    but not recorded twice. A trial that is beyond a rung is not stopped there, even if better ones
    arrive. Proposals on record stay, and the sampler proposes the rest.

    ``rungs`` begin with the search's own and end at or before ``recipe.epochs``, which cannot
    change, as the learning-rate schedule spans them. Raises SearchError if less is asked for than
    there is.
    """
    with _lock_search(folder, storage, allow_code) as locked_search:
        experiment = extended_experiment(locked_search.experiment, trials, seeds, rungs)
        data = read_environment(locked_search.folder.environment)["data"]
        source = CandidateSource.from_experiment(experiment, data)
        undecided_trials = reopened_trials(
            experiment, source, SuccessiveHalving.from_experiment(experiment), locked_search.trials
        )
        reopened = tuple(
            _reopen(locked_search.study, _replanned_trial(trial, source))
            for trial in undecided_trials
        )
        # A driver that starts after a crash before this line decides by the old rules.
        write_experiment(locked_search.folder.experiment, experiment)
        _write_results(locked_search)
    return Extension(experiment, reopened, source.max_trials - locked_search.source.max_trials)


@contextmanager
def _lock_search(
    folder: str | Path, storage: str | None, allow_code: bool
) -> Iterator[LockedSearch]:
    """Lock the folder and study of a search while no driver has them."""
    experiment, search_folder = read_search_experiment(folder), SearchPaths(Path(folder))
    storage = storage or read_storage_url(folder)
    with lock_folder(search_folder.path), code_allowed(allow_code), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the plan's, shown when the search started
        data = read_environment(search_folder.environment)["data"]
        source = CandidateSource.from_experiment(experiment, data)
        with open_locked_study(search_folder, experiment, source, storage) as study:
            yield LockedSearch(experiment, search_folder, source, study, read_trials(study))


def _find_trial(locked_search: LockedSearch, candidate: str) -> SearchTrial:
    """Find the one trial whose fingerprint begins like this."""
    matches = [trial for trial in locked_search.trials if trial.candidate.startswith(candidate)]
    if len(matches) != 1 or not candidate:
        names = ", ".join(trial.candidate for trial in matches or locked_search.trials)
        raise SearchError(
            f"{locked_search.folder.path}: need the fingerprint of one candidate, or its "
            f"beginning, got {candidate!r}; candidates are {names or 'none'}"
        )
    return matches[0]


def _reopen(
    study: optuna.Study, trial: SearchTrial, rows: Sequence[dict[str, Any]] | None = None
) -> SearchTrial:
    """Reopen a trial, ended or not, with these of its rows and their means."""
    reopened = reopen_trial(study, trial, rows)
    if trial.state == "running":  # its Optuna trial would seem to run for ever
        tell_stopped(study, trial, "a later trial goes on with it")
    for epoch, mean in mean_accuracies(reopened.rows).items():
        report_mean(study, reopened, epoch, mean)
    return reopened


def _replanned_trial(trial: SearchTrial, source: CandidateSource) -> SearchTrial:
    """Return the trial with its role and cells in the new plan."""
    index = source.index_of(trial.cells)
    if index is None or index >= len(source.planned):
        return trial
    planned_trial = source.planned[index]
    columns = {**trial.candidate_columns, "role": planned_trial.role}
    return replace(trial, candidate_columns=columns, cells=cell_documents(planned_trial))


def _write_results(locked_search: LockedSearch) -> None:
    """Update the results files: the search is no longer finished."""
    writer = ResultsWriter(locked_search.folder)
    writer.write(read_trials(locked_search.study), force=True)
    if (progress := read_progress(locked_search.folder.progress)) is not None:
        writer.write_progress(replace(progress, finished=False, ended="", running=()), force=True)


def _append_rows(path: Path, rows: pd.DataFrame) -> None:
    """Append rows to a CSV file."""
    existing_text = path.read_text(encoding="utf-8") if path.exists() else ""
    write_text(path, existing_text + rows.to_csv(index=False, header=not existing_text))
