"""How noisy runs are, before a search: measured on a few, read from another search, or guessed.

What counts is the noise after candidates and seeds, since these are paired. That takes at least two
networks with two seeds each; the spread of one network over seeds would hold what a seed does to
all alike.
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
"""At which counting right answers is noisiest; nothing is known of the accuracy yet."""
SIGNIFICANCE_LEVEL = 0.1


@dataclass(frozen=True, slots=True)
class RunNoise:
    """``value``: standard deviation of a run's accuracy, a fraction, after candidate and seed.
    ``low``, ``high``: its 90% interval, None for a guess. ``basis``: in words."""

    value: float
    low: float | None
    high: float | None
    basis: str


def binomial_std(accuracy: float, images: int) -> float:
    """Standard deviation of the fraction of right answers among so many images, each for itself."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def guessed_noise(validation_images: int, measurement_seconds: float | None = None) -> RunNoise:
    """Of counting right answers among so many validation images, and of nothing else.

    ``needed``: seconds that a measurement would take, where there could be one.
    """
    remedy = (
        "--noise-from"
        if measurement_seconds is None
        else f"--measure-noise {measurement_seconds:.0f}, or --noise-from"
    )
    return RunNoise(
        value=binomial_std(ASSUMED_ACCURACY, validation_images),
        low=None,
        high=None,
        basis=f"no run but a guess: right answers among {validation_images:,} validation images, counted "
        f"at an accuracy of {ASSUMED_ACCURACY:g}; training adds to that, and {remedy} would tell how much",
    )


def noise_from_records(path: str | Path) -> RunNoise:
    """Of another search, from its folder or its ``records.csv``, at its last epoch.

    Raises SearchError where it has no table, or no two candidates with two seeds in common.
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
    """The networks to measure, and for how many epochs: as many as ``most`` seconds allow.

    Three of them where these can be trained for an epoch, else two; none where not even these.
    """
    last = len(candidates) - 1
    for positions in ({0, last // 2, last}, {0, last}):
        seconds = SEEDS_PER_NETWORK * sum(epoch_seconds[position] for position in positions)
        if len(positions) > 1 and seconds <= max_seconds:
            networks = [candidates[place].architecture for place in sorted(positions)]
            return networks, min(experiment.rungs[-1], int(max_seconds / seconds))
    return [], 0


def min_measurement_seconds(epoch_seconds: Sequence[float]) -> float | None:
    """What the smallest measurement takes, and a tenth for the odds; None where there is none."""
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
    """Of these networks with ``SEEDS`` seeds each, trained for the first so many epochs.

    None where too few of them get there without diverging.
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
    training_text = f"{epochs} of {experiment.rungs[-1]} epochs (accuracy {mean_accuracy:.2f})"
    basis = f"a measurement: {len(networks)} networks with {SEEDS_PER_NETWORK} seeds after {training_text}"
    measured = _noise_with_interval(pooled_noise.variance, pooled_noise.df, basis)
    floor = binomial_std(mean_accuracy, len(images.validation))
    if measured.value >= floor:
        return measured if measured.value > 0 else None
    # Networks that have learned nothing yet agree on every image.
    return replace(
        measured,
        value=floor,
        high=max(floor, measured.high or floor),
        basis=f"{basis}, which is less than counting right answers gives, so that is taken",
    )


def planned_power(source: CandidateSource, noise: RunNoise) -> StatisticalPower:
    """Of all that is planned, and of proposals that are spread evenly."""
    search, candidates = source.experiment.search, list(source.space.candidates)
    planned = [item.candidate for item in source.planned]
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
    # Networks that are listed one by one are of no one budget, and so on no surface.
    return power if search.sampler != "points" else replace(power, surface=None, widths={})


def _noise_with_interval(variance: float, df: int, basis: str) -> RunNoise:
    """With the interval that its degrees of freedom leave (chi-squared)."""
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
