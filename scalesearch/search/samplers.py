"""What to train next, as Optuna's samplers propose it.

Samplers search the unit square, which maps one to one onto the simplex of shares; equal areas
stay equal. Each proposal comes from a sampler made afresh and seeded by (seed, number of the
proposal), over what is known so far: a search that was stopped proposes what it would have.

What samplers learn from: how candidates did, and which are under way.
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
"""Trials, the references among them, before a model takes over from chance."""
LEARNING_SAMPLERS = ("tpe", "gp", "nsga2")
"""Samplers that learn from what came before."""

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
    """A candidate that a sampler knows of. ``values``: accuracy, and cost where there are two
    objectives; None while it is being trained."""

    candidate: str
    shares: Shares
    values: tuple[float, ...] | None


def proposal(
    spec: SearchSpec, seed: int, number: int, observations: Sequence[Observation]
) -> Shares:
    """The shares to try as proposal ``number`` (from 0), after what is known."""
    if optuna.logging.get_verbosity() != optuna.logging.WARNING:  # to set it takes a while
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
    """Of a study's objectives: accuracy, and where it is asked for a cost."""
    return ["maximize", "minimize"] if spec.against else ["maximize"]


class _SobolSequence:
    """A Sobol sequence of one seed, which is read on from where it was read last."""

    def __init__(self, seed: int) -> None:
        self.study = optuna.create_study(sampler=SAMPLERS["sobol"](_proposal_seed(seed, 0), 0))
        # It learns its space from a trial, and nothing else from any.
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
    """The point of the square that ``from_square`` maps to these shares, clipped to the simplex."""
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
    """Who has ended, with what it is worth at the last epoch, and who is under way, in the order of
    places. ``pending``: candidates that are not in the study yet. ``cost``: the second objective's
    column."""
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
    for index in sorted(trials.keys() | pending.keys()):
        entry = trials.get(index)
        if entry is None:
            candidate = pending[index]
            observations.append(Observation(candidate.fingerprint, candidate.shares, None))
        elif entry.state == "running":
            observations.append(Observation(entry.candidate, entry.shares, None))
        elif entry.candidate in accuracies:
            values = (
                accuracies[entry.candidate],
                *([float(entry.candidate_columns[cost])] if cost else []),
            )
            observations.append(Observation(entry.candidate, entry.shares, values))
    return observations
