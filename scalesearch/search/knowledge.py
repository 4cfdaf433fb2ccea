"""What samplers learn from: how candidates did, and which are under way."""

from collections.abc import Collection, Mapping

from scalesearch.analysis.levels import imputed_accuracies
from scalesearch.architectures.isocost import Candidate
from scalesearch.search.proposals import Observation
from scalesearch.search.study import SearchTrial


def sampler_observations(
    trials: Mapping[int, SearchTrial],
    pending: Mapping[int, Candidate],
    rungs: Collection[int],
    cost: str | None,
) -> list[Observation]:
    """Who has ended, with what it is worth at the last epoch, and who is under way, in the order of
    places. ``pending``: candidates that are not in the study yet. ``cost``: the second objective's
    column."""
    curves = {
        trial.candidate: {epoch: accuracy for epoch, accuracy in trial.intermediate_values.items() if epoch in rungs}
        for trial in trials.values()
        if trial.state in ("complete", "stopped") and trial.intermediate_values
    }
    accuracies = imputed_accuracies(curves)
    observations = []
    for index in sorted(trials.keys() | pending.keys()):
        entry = trials.get(index)
        if entry is None:
            candidate = pending[index]
            observations.append(Observation(candidate.fingerprint, candidate.shares, None))
        elif entry.state == "running":
            observations.append(Observation(entry.candidate, entry.shares, None))
        elif entry.candidate in accuracies:
            values = (accuracies[entry.candidate], *([float(entry.candidate_columns[cost])] if cost else []))
            observations.append(Observation(entry.candidate, entry.shares, values))
    return observations
