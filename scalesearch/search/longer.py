"""More of a search: which experiment asks for it, and what it leaves undecided."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment
from scalesearch.search.engine import accuracies_by_seed
from scalesearch.search.runners import SearchTrialState
from scalesearch.search.schedule import SuccessiveHalving
from scalesearch.search.source import CandidateSource
from scalesearch.search.study import SearchTrial


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
        is_continuation = bool(rungs) and rungs[-1] >= current_rungs[-1]  # nobody was compared on the way
    if not is_increasing or not is_continuation or rungs[-1] > epochs:
        current_text = ", ".join(map(str, current_rungs))
        raise SearchError(
            f"rungs: need {current_text}, as the search has, and later ones up to {epochs}, where the "
            f"recipe ends (recipe.epochs, which its learning rates span), got "
            f"{', '.join(map(str, rungs)) or 'none'}"
        )
    return rungs


def reopened_trials(
    experiment: Experiment, source: CandidateSource, halving: SuccessiveHalving, trials: Iterable[SearchTrial]
) -> list[SearchTrial]:
    """Ended candidates about which the experiment is not decided, or otherwise, by what is on
    record; the failed stay out of it.

    ``schedule``: an empty one by its rules, which is told all that is on record, cohort after
    cohort, until one lacks something; what comes after it waits for that.
    """
    trials_by_index = {source.index_of(trial.cells): trial for trial in trials}
    reopened: list[SearchTrial] = []
    round_index, is_round_finished = 0, True
    while indices := source.indices_of_round(round_index):
        states: dict[int, SearchTrialState] = {}
        if is_round_finished:
            for index in indices:
                _add_candidate(halving, index, round_index, source, trials_by_index.get(index))
            halving.start_round(round_index)
            states = {decision.trial: decision.state for decision in halving.decisions()}
            is_round_finished = experiment.search.asynchronous or halving.is_round_finished(round_index)
        for index in (place for place in indices if place in trials_by_index):
            entry = trials_by_index[index]
            is_decided = entry.state == states.get(index) or _is_fully_trained(entry, experiment)
            has_same_role = _role(source, index, entry) == entry.candidate_columns["role"]
            if entry.state in ("stopped", "complete") and not (is_decided and has_same_role):
                reopened.append(entry)
        round_index += 1
    return reopened


def _add_candidate(
    halving: SuccessiveHalving, index: int, round_index: int, source: CandidateSource, trial: SearchTrial | None
) -> None:
    roles = _role(source, index, trial).split("+")
    halving.add_trial(
        index,
        round_index,
        is_searched="searched" in roles,
        is_reference=roles != ["searched"],
        accuracies={} if trial is None else accuracies_by_seed(trial),
        is_tuned=trial is not None and trial.tuning is not None,
        state="failed" if trial is not None and trial.state == "failed" else "running",
    )


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
