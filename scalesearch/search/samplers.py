"""Proposals of Optuna's samplers, and the observations that they learn from.

Samplers search the unit square, which maps one to one onto the simplex of shares; equal areas
stay equal. Each proposal comes from a new sampler, seeded by (seed, number of the proposal), given
the observations so far. So a resumed search makes the same proposals.
"""

import hashlib
import math
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import optuna
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import TrialState

from scalesearch.analysis.observations import imputed_accuracies
from scalesearch.candidates.iso_cost import Candidate
from scalesearch.config.search_spec import SearchSpec
from scalesearch.scaling.coefficients import Shares
from scalesearch.search.study.optuna_private import NSGA2_GENERATION_KEY
from scalesearch.search.study.search_trial import SearchTrial

STARTUP_TRIALS = 8
"""Trials, including references, before a sampler uses its model; random before."""
LEARNING_SAMPLERS = ("tpe", "gp", "nsga2")
"""Samplers that learn from earlier trials."""

SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "tpe": lambda seed, _: TPESampler(seed=seed, n_startup_trials=STARTUP_TRIALS),
    "gp": lambda seed, _: GPSampler(seed=seed, n_startup_trials=STARTUP_TRIALS),
    "sobol": lambda seed, _: QMCSampler(seed=seed, scramble=True),
    "random": lambda seed, _: RandomSampler(seed=seed),
    "nsga2": lambda seed, population: NSGAIISampler(seed=seed, population_size=max(population, 2)),
}
UNIT_SQUARE: dict[str, optuna.distributions.BaseDistribution] = {
    "u": optuna.distributions.FloatDistribution(0.0, 1.0),
    "v": optuna.distributions.FloatDistribution(0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Observation:
    """A candidate as a sampler sees it."""

    candidate: str
    """Fingerprint of the architecture."""
    shares: Shares
    values: tuple[float, ...] | None
    """Accuracy, and the cost with two objectives; None while the candidate is in training."""


def proposal(
    spec: SearchSpec, seed: int, number: int, observations: Sequence[Observation]
) -> Shares:
    """Propose shares as proposal ``number`` (from 0), given the observations."""
    if optuna.logging.get_verbosity() != optuna.logging.WARNING:  # setting it is slow
        optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if spec.sampler == "sobol":
            return _sobol_sequence(seed).at(number)
        sampler = SAMPLERS[spec.sampler](_proposal_seed(seed, number), spec.cohort)
        study = optuna.create_study(directions=study_directions(spec), sampler=sampler)
        if spec.sampler in LEARNING_SAMPLERS:
            frozen_trials = [
                _frozen_trial(observation, index // max(spec.cohort, 2))
                for index, observation in enumerate(observations)
            ]
            study.add_trials(frozen_trials)
        params = study.ask(UNIT_SQUARE).params
    return from_square(params["u"], params["v"])


def study_directions(spec: SearchSpec) -> list[Literal["maximize", "minimize"]]:
    """Return the directions of the objectives: accuracy, and the cost if there is one."""
    return ["maximize", "minimize"] if spec.against else ["maximize"]


class _SobolSequence:
    """The Sobol sequence of one seed, computed as far as it has been read."""

    def __init__(self, seed: int) -> None:
        self.study = optuna.create_study(sampler=SAMPLERS["sobol"](_proposal_seed(seed, 0), 0))
        # The sampler takes its search space from this trial, and nothing else.
        self.study.add_trial(_frozen_trial(Observation("", Shares(0.0, 0.5, 0.5), (0.0,)), 0))
        self.drawn: list[Shares] = []

    def at(self, number: int) -> Shares:
        while len(self.drawn) <= number:
            params = self.study.ask(UNIT_SQUARE).params
            self.drawn.append(from_square(params["u"], params["v"]))
        return self.drawn[number]


@lru_cache(maxsize=4)
def _sobol_sequence(seed: int) -> _SobolSequence:
    return _SobolSequence(seed)


def from_square(u: float, v: float) -> Shares:
    """Map the unit square onto the simplex, areas in proportion."""
    rest = math.sqrt(u)
    return Shares(1.0 - rest, rest * v, rest * (1.0 - v))


def to_square(shares: Shares) -> tuple[float, float]:
    """Invert ``from_square``; the shares are clipped to the simplex."""
    width, resolution = max(shares.width, 0.0), max(shares.resolution, 0.0)
    rest = min(width + resolution, 1.0)
    return rest**2, width / (width + resolution) if rest > 0 else 0.5


def _frozen_trial(observation: Observation, generation: int) -> optuna.trial.FrozenTrial:
    u, v = to_square(observation.shares)
    return optuna.trial.create_trial(
        state=TrialState.RUNNING if observation.values is None else TrialState.COMPLETE,
        params={"u": u, "v": v},
        distributions=UNIT_SQUARE,
        values=observation.values,
        system_attrs={NSGA2_GENERATION_KEY: generation},
    )


def _proposal_seed(seed: int, number: int) -> int:
    hashed = hashlib.blake2b(f"proposal {seed} {number}".encode(), digest_size=4).digest()
    return int.from_bytes(hashed, "big")


def sampler_observations(
    trials: Mapping[int, SearchTrial],
    pending: Mapping[int, Candidate],
    rungs: Collection[int],
    cost: str | None,
) -> list[Observation]:
    """Return finished trials with final accuracies, and running ones, by number.

    The final accuracy of a stopped trial is imputed.

    Args:
        trials: trials in the study, by number.
        pending: candidates that are not in the study yet, by number.
        rungs: epochs that count.
        cost: column of the second objective.
    """
    curves = {
        trial.candidate: {
            epoch: accuracy
            for epoch, accuracy in trial.intermediate_values.items()
            if epoch in rungs
        }
        for trial in trials.values()
        if trial.state in ("complete", "stopped") and trial.intermediate_values
    }
    accuracies = imputed_accuracies(curves)
    observations = []
    for number in sorted(trials.keys() | pending.keys()):
        trial = trials.get(number)
        if trial is None:
            candidate = pending[number]
            observations.append(Observation(candidate.fingerprint, candidate.shares, None))
        elif trial.state == "running":
            observations.append(Observation(trial.candidate, trial.shares, None))
        elif trial.candidate in accuracies:
            costs = [float(trial.candidate_columns[cost])] if cost else []
            values = (accuracies[trial.candidate], *costs)
            observations.append(Observation(trial.candidate, trial.shares, values))
    return observations
