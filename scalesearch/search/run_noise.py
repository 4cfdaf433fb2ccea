"""The noise of runs before a search: measured, read from records, or guessed.

This is the noise that remains after the effects of candidates and of seeds, since candidates are
trained with the same seeds. Measuring it takes at least two networks with two seeds each: the
spread of one network over seeds would include the effect that a seed has on all networks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import gammaincinv

from scalesearch.analysis.observations import candidate_estimates
from scalesearch.analysis.paired import paired_noise
from scalesearch.analysis.statistical_power import StatisticalPower, statistical_power
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.iso_cost import Candidate
from scalesearch.config.experiment import Experiment
from scalesearch.data.sources.by_name import load_dataset
from scalesearch.errors import SearchError
from scalesearch.models.custom_model import code_allowed
from scalesearch.results.records import read_records
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import TrainingDiverged, train

SEEDS_PER_NETWORK = 3
ASSUMED_ACCURACY = 0.5
"""Accuracy at which the binomial noise is largest; the real accuracy is not known yet."""
SIGNIFICANCE_LEVEL = 0.1


@dataclass(frozen=True, slots=True)
class RunNoise:
    """Noise of a run's accuracy after the effects of candidate and seed."""

    value: float
    """Standard deviation, a fraction."""
    low: float | None
    """Lower end of the 90% interval; None for a guess."""
    high: float | None
    """Upper end of the 90% interval; None for a guess."""
    basis: str
    """The source of the value, for people."""


def binomial_std(accuracy: float, images: int) -> float:
    """Compute the standard deviation of an accuracy over this many independent images."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def guessed_noise(validation_images: int, measurement_seconds: float | None = None) -> RunNoise:
    """Guess the noise as the binomial noise of the validation images alone.

    ``measurement_seconds`` is the time of the smallest measurement, or None if none is possible.
    """
    remedy = (
        "--noise-from"
        if measurement_seconds is None
        else f"--measure-noise {measurement_seconds:.0f}, or --noise-from"
    )
    basis = (
        f"no run but a guess: right answers among {validation_images:,} validation images, counted "
        f"at an accuracy of {ASSUMED_ACCURACY:g}; training adds to that, "
        f"and {remedy} would tell how much"
    )
    return RunNoise(
        value=binomial_std(ASSUMED_ACCURACY, validation_images),
        low=None,
        high=None,
        basis=basis,
    )


def noise_from_records(path: str | Path) -> RunNoise:
    """Estimate the noise of another search at its last epoch.

    Raises SearchError if there is no table, or no two candidates with two seeds in common.
    """
    path = Path(path)
    table = read_records(path / "records.csv" if path.is_dir() else path)
    observed = candidate_estimates(table, include_stopped=False)
    if not observed.variance:
        raise SearchError(
            f"{path}: need two candidates with two seeds in common to know the noise, got "
            f"{observed.finished_count} candidates with at most {int(observed.seeds.max())} seeds"
        )
    basis = f"{path}: {observed.finished_count} candidates after {table['epoch'].max()} epochs"
    return _noise_with_interval(observed.variance, observed.df, basis)


def networks_to_measure(
    experiment: Experiment,
    candidates: Sequence[Candidate],
    epoch_seconds: Sequence[float],
    max_seconds: float,
) -> tuple[list[Architecture | CustomModel], int]:
    """Choose networks to measure, and the number of epochs, within ``max_seconds``.

    Three networks if there is time for an epoch of each, else two, else none.
    """
    last = len(candidates) - 1
    for positions in ({0, last // 2, last}, {0, last}):
        seconds = SEEDS_PER_NETWORK * sum(epoch_seconds[position] for position in positions)
        if len(positions) > 1 and seconds <= max_seconds:
            networks = [candidates[position].architecture for position in sorted(positions)]
            return networks, min(experiment.rungs[-1], int(max_seconds / seconds))
    return [], 0


def min_measurement_seconds(epoch_seconds: Sequence[float]) -> float | None:
    """Estimate seconds of the smallest measurement plus 10%; None if impossible."""
    if len(epoch_seconds) < 2:
        return None
    return math.ceil(1.1 * SEEDS_PER_NETWORK * (epoch_seconds[0] + epoch_seconds[-1]))


def measure_noise(
    experiment: Experiment,
    networks: Sequence[Architecture | CustomModel],
    epochs: int,
    device: str,
    allow_code: bool,
) -> RunNoise | None:
    """Measure the noise of networks after this many epochs, with three seeds.

    Returns None if too few runs finish without diverging.
    """
    recipe = replace(experiment.recipe, learning_rate_rule="fixed", regularisation="fixed")
    accuracies: dict[str, dict[int, float]] = {}
    with code_allowed(allow_code):
        for seed in range(experiment.seed, experiment.seed + SEEDS_PER_NETWORK):
            images = load_dataset(experiment.data, seed, device=device).to(device)
            for network in networks:
                name = fingerprint(network)
                job = TrainingJob(
                    architecture=network, recipe=recipe, seed=seed, fingerprint=name, stop=epochs
                )
                try:
                    *_, last_epoch = train(job, images, device=device)
                except TrainingDiverged:
                    continue
                accuracies.setdefault(name, {})[seed] = last_epoch.accuracy
    pooled_noise = paired_noise(accuracies)
    if pooled_noise.variance is None:
        return None
    mean_accuracy = float(
        np.mean([value for runs in accuracies.values() for value in runs.values()])
    )
    basis = (
        f"a measurement: {len(networks)} networks with {SEEDS_PER_NETWORK} seeds after "
        f"{epochs} of {experiment.rungs[-1]} epochs (accuracy {mean_accuracy:.2f})"
    )
    measured = _noise_with_interval(pooled_noise.variance, pooled_noise.df, basis)
    floor = binomial_std(mean_accuracy, len(images.validation))
    if measured.value >= floor:
        return measured if measured.value > 0 else None
    # Networks that have not learned yet agree on every image.
    return replace(
        measured,
        value=floor,
        high=max(floor, measured.high or floor),
        basis=f"{basis}, which is less than counting right answers gives, so that is taken",
    )


def planned_power(source: CandidateSource, noise: RunNoise) -> StatisticalPower:
    """Compute the power of the planned trials and of evenly spread proposals."""
    search, candidates = source.experiment.search, list(source.space.candidates)
    planned = [trial.candidate for trial in source.planned]
    if search.proposal_count:
        positions = np.linspace(0, len(candidates) - 1, min(search.proposal_count, len(candidates)))
        planned += [candidates[round(position)] for position in positions]
    candidates_by_fingerprint = {candidate.fingerprint: candidate for candidate in planned}
    shares = [candidate.shares.as_tuple() for candidate in candidates_by_fingerprint.values()]
    power = statistical_power(
        np.array(shares),
        noise.value,
        search.seeds,
        basis=noise.basis,
        comparisons=len(search.references),
    )
    # Networks that are listed one by one have no common budget, and so no surface.
    return power if search.sampler != "points" else replace(power, surface=None, widths={})


def _noise_with_interval(variance: float, df: int, basis: str) -> RunNoise:
    """Return the noise with its chi-squared interval."""
    low, high = (
        2 * float(gammaincinv(df / 2, tail))
        for tail in (SIGNIFICANCE_LEVEL / 2, 1 - SIGNIFICANCE_LEVEL / 2)
    )
    df_text = f"{df} degree{'' if df == 1 else 's'} of freedom"
    return RunNoise(
        value=math.sqrt(variance),
        low=math.sqrt(variance * df / high),
        high=math.sqrt(variance * df / low),
        basis=f"{basis}, {df_text}",
    )
