"""A whole search over a surface: the real tuner with simulated workers."""

import warnings
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from optuna.storages import BaseStorage, InMemoryStorage

from scalesearch.analysis.response_model import fit_response_model
from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.design import (
    PlannedTrial,
    SearchSpace,
    planned_trials,
    search_space,
    subspace,
)
from scalesearch.search.halving_state import JobSpec
from scalesearch.search.jobs import Job
from scalesearch.search.samplers import study_directions
from scalesearch.search.study.search_trial import SearchTrial, trial_records
from scalesearch.search.study.storage import open_study
from scalesearch.search.successive_halving import SuccessiveHalving
from scalesearch.search.tuner import Tuner
from scalesearch.simulation.recorded_runs import ReplaySurface
from scalesearch.simulation.surfaces import Surface, SurfacePoint
from scalesearch.simulation.virtual_pool import SimulatedPool

DEFAULT_CHANNELS, DEFAULT_CLASSES = 3, 10
"""Channels and classes where the baseline takes them from the data; no image is read."""


@dataclass(frozen=True)
class GroundTruth:
    """An experiment's candidates and a surface, shared by all its simulations."""

    experiment: Experiment
    surface: Surface
    space: SearchSpace = field(repr=False)

    @cached_property
    def points(self) -> dict[str, SurfacePoint]:
        """All candidates of the budget, by fingerprint."""
        return {c.fingerprint: SurfacePoint(c.fingerprint, c.shares) for c in self.space.candidates}

    @cached_property
    def true_accuracies(self) -> dict[str, float]:
        """True accuracy of every candidate at the last epoch."""
        last_epoch = self.experiment.rungs[-1]
        return {
            name: self.surface.accuracy(point, last_epoch) for name, point in self.points.items()
        }

    @cached_property
    def best_candidate(self) -> str:
        """Fingerprint of the truly best candidate."""
        return max(self.true_accuracies, key=lambda name: self.true_accuracies[name])

    def for_experiment(self, experiment: Experiment) -> "GroundTruth":
        """Reuse the ground truth for an experiment with the same baseline and budget."""
        if isinstance(self.surface, ReplaySurface):
            self.surface.require_recorded(experiment)
        ground_truth = GroundTruth(experiment, self.surface, self.space)
        for name in ("points", "true_accuracies", "best_candidate"):
            if experiment.rungs[-1] == self.experiment.rungs[-1]:
                ground_truth.__dict__[name] = getattr(self, name)  # the cache of cached_property
        return ground_truth

    def regret(self, candidate: str) -> float:
        """Compute how far a candidate's true accuracy is below the best one."""
        return self.true_accuracies[self.best_candidate] - self.true_accuracies[candidate]


def make_ground_truth(experiment: Experiment, surface: Surface) -> GroundTruth:
    """Combine an experiment's candidates with a surface.

    Raises ArchitectureError if the budget has no candidates, SearchError if the experiment lists
    points, among which a search does not choose.
    """
    if experiment.search.sampler == "points":
        raise SearchError(
            "search.sampler: need one that chooses candidates, to simulate it, got points"
        )
    data_options = {"in_channels": DEFAULT_CHANNELS, "num_classes": DEFAULT_CLASSES}
    missing_options = {
        name: value
        for name, value in data_options.items()
        if getattr(experiment.baseline, name) is None
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `isocost` shows these warnings
        space = search_space(
            experiment.baseline.build_architecture(**missing_options), experiment.budget
        )
    return (
        replay_ground_truth(experiment, surface, space)
        if isinstance(surface, ReplaySurface)
        else GroundTruth(experiment, surface, space)
    )


def replay_ground_truth(
    experiment: Experiment, recorded: ReplaySurface, space: SearchSpace
) -> GroundTruth:
    """Restrict the candidates to recorded ones; no other candidate is proposed.

    Raises SearchError if fewer than two have the seeds and epochs that the experiment needs.
    """
    replay = recorded.for_experiment(experiment)
    recorded_space = subspace(
        space, {name: replay.asked_coefficients[name] for name in replay.runs}
    )
    if len(recorded_space.candidates) < 2:
        raise SearchError(
            f"{recorded.name}: need 2 of the experiment's networks among the {len(replay.runs)} "
            f"recorded ones, got {len(recorded_space.candidates)}; use the experiment of these "
            "records, with their baseline, budget and number of classes"
        )
    kept_runs = {
        candidate.fingerprint: replay.runs[candidate.fingerprint]
        for candidate in recorded_space.candidates
    }
    return GroundTruth(experiment, replace(replay, runs=kept_runs), recorded_space)


@dataclass(frozen=True)
class SimulationResult:
    """Trials, time and regret of a simulated search."""

    ground: GroundTruth = field(repr=False)
    trials: tuple[SearchTrial, ...] = field(repr=False)
    seconds: float
    """Duration by the virtual clock."""
    busy_seconds: float
    """Seconds in which workers were busy, all together."""

    @property
    def epochs(self) -> int:
        """Number of recorded epochs, with those of references."""
        return sum(len(trial.rows) for trial in self.trials)

    @cached_property
    def records(self) -> pd.DataFrame:
        """The search's results table."""
        return trial_records(self.trials)

    @cached_property
    def best_mean_candidate(self) -> str:
        """Candidate with the best mean among those with the most seeds at the last epoch."""
        last_epoch = self.ground.experiment.rungs[-1]
        final_accuracies = {
            trial.candidate: [row["accuracy"] for row in trial.rows if row["epoch"] == last_epoch]
            for trial in self.trials
        }
        most_seeds = max((len(values) for values in final_accuracies.values()), default=0)
        if not most_seeds:
            raise SearchError("simulation: no candidate has reached the last epoch")
        means = {
            name: sum(accuracies) / most_seeds
            for name, accuracies in final_accuracies.items()
            if len(accuracies) == most_seeds
        }
        return min(means, key=lambda name: (-means[name], name))

    @cached_property
    def best_fitted_candidate(self) -> str | None:
        """Candidate, trained or not, with the highest fitted response.

        None if too few are trained to fit a surface.
        """
        points = list(self.ground.points.values())
        shares_N3 = np.array([point.shares.as_tuple() for point in points])
        try:
            predicted, _ = fit_response_model(self.records).predict(shares_N3)
        except SearchError:
            return None
        return points[int(np.argmax(predicted))].candidate

    @property
    def regret(self) -> float:
        """Regret of the candidate with the best mean, a fraction."""
        return self.ground.regret(self.best_mean_candidate)

    @property
    def surface_regret(self) -> float | None:
        """Regret of the best candidate of the fitted surface; None without one."""
        candidate = self.best_fitted_candidate
        return None if candidate is None else self.ground.regret(candidate)


def simulate_search(
    experiment: Experiment,
    surface: Surface | GroundTruth,
    workers: int = 64,
    seed: int = 0,
    *,
    storage: BaseStorage | Path | None = None,
    pool_class: type[SimulatedPool] = SimulatedPool,
) -> SimulationResult:
    """Run a search with a simulated worker pool, so that nothing is trained.

    Args:
        experiment: the search, with its settings, candidates and sampler.
        surface: a surface, or a ground truth with the same baseline and budget, which saves
            listing the candidates again.
        workers: number of simulated workers.
        seed: seed of noise; proposals use the experiment's own.
        storage: storage of the study; in memory by default.
        pool_class: the simulated workers.
    """
    ground_truth = (
        surface if isinstance(surface, GroundTruth) else make_ground_truth(experiment, surface)
    )
    ground_truth = ground_truth.for_experiment(experiment)
    tuner = make_tuner(ground_truth, workers, seed, storage, pool_class)
    for _ in tuner.run():
        pass
    pool = tuner.pool
    assert isinstance(pool, SimulatedPool)
    return SimulationResult(
        ground_truth,
        tuple(tuner.trials_in_order),
        pool.now(),
        pool.busy_seconds,
    )


def make_tuner(
    ground_truth: GroundTruth,
    workers: int,
    seed: int,
    storage: BaseStorage | Path | None = None,
    pool_class: type[SimulatedPool] = SimulatedPool,
) -> Tuner:
    """Make the tuner of a simulated search, ready to run."""
    experiment = ground_truth.experiment
    candidate_source = CandidateSource(
        experiment, ground_truth.space, plan_without_warnings(experiment, ground_truth.space)
    )
    points = dict(ground_truth.points)
    pool = pool_class(
        ground_truth.surface,
        points,
        workers,
        seed=seed,
        job_timeout=experiment.search.failures.job_seconds,
    )

    def make_trial_job(trial: SearchTrial, job_spec: JobSpec) -> Job:
        points.setdefault(trial.candidate, SurfacePoint(trial.candidate, trial.shares))
        return make_job(experiment, ground_truth.space, trial, job_spec)

    study = open_study(
        storage or InMemoryStorage(), experiment.name, study_directions(experiment.search)
    )
    return Tuner(
        experiment,
        candidate_source,
        SuccessiveHalving.from_experiment(experiment),
        study,
        pool,
        make_trial_job,
    )


def plan_without_warnings(experiment: Experiment, space: SearchSpace) -> tuple[PlannedTrial, ...]:
    """Plan the trials without warnings about their direction."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return planned_trials(experiment.search, space)


def make_job(
    experiment: Experiment, space: SearchSpace, trial: SearchTrial, job_spec: JobSpec
) -> Job:
    """Make a job for simulated workers, which read no network, image or checkpoint."""
    return Job(
        trial=job_spec.trial,
        candidate=trial.candidate,
        seeds=job_spec.seeds,
        start=job_spec.start,
        stop=job_spec.stop or experiment.rungs[-1],
        sweep=job_spec.sweep,
        architecture=space.baseline,
        recipe=experiment.recipe,
        data=experiment.data,
        fingerprints=(),
        device="simulated",
        checkpoints=NO_FOLDER,
    )


NO_FOLDER = Path("/nonexistent")
