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

from scalesearch.analysis import Power, observations, power_of
from scalesearch.analysis.pairs import paired
from scalesearch.architectures import Architecture, Foreign
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.isocost import Candidate
from scalesearch.data import load
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment
from scalesearch.nets import code_allowed
from scalesearch.records import read_records
from scalesearch.search.source import Source
from scalesearch.training import Job, TrainingDiverged, train

SEEDS = 3
ACCURACY = 0.5
"""At which counting right answers is noisiest; nothing is known of the accuracy yet."""
LEVEL = 0.1


@dataclass(frozen=True, slots=True)
class Noise:
    """``value``: standard deviation of a run's accuracy, a fraction, after candidate and seed.
    ``low``, ``high``: its 90% interval, None for a guess. ``basis``: in words."""

    value: float
    low: float | None
    high: float | None
    basis: str


def counting(accuracy: float, images: int) -> float:
    """Standard deviation of the fraction of right answers among so many images, each for itself."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


def guessed_noise(validation: int, needed: float | None = None) -> Noise:
    """Of counting right answers among so many validation images, and of nothing else.

    ``needed``: seconds that a measurement would take, where there could be one.
    """
    instead = "--noise-from" if needed is None else f"--measure-noise {needed:.0f}, or --noise-from"
    return Noise(
        value=counting(ACCURACY, validation),
        low=None,
        high=None,
        basis=f"no run but a guess: right answers among {validation:,} validation images, counted "
        f"at an accuracy of {ACCURACY:g}; training adds to that, and {instead} would tell how much",
    )


def noise_from(path: str | Path) -> Noise:
    """Of another search, from its folder or its ``records.csv``, at its last epoch.

    Raises SearchError where it has no table, or no two candidates with two seeds in common.
    """
    path = Path(path)
    table = read_records(path / "records.csv" if path.is_dir() else path)
    observed = observations(table, stopped=False)
    if not observed.variance:
        raise SearchError(
            f"{path}: need two candidates with two seeds in common to know the noise, got "
            f"{observed.finished} candidates with at most {int(observed.seeds.max())} seeds"
        )
    basis = f"{path}: {observed.finished} candidates after {table['epoch'].max()} epochs"
    return _known(observed.variance, observed.df, basis)


def affordable(
    experiment: Experiment,
    candidates: Sequence[Candidate],
    epoch_seconds: Sequence[float],
    most: float,
) -> tuple[list[Architecture | Foreign], int]:
    """The networks to measure, and for how many epochs: as many as ``most`` seconds allow.

    Three of them where these can be trained for an epoch, else two; none where not even these.
    """
    end = len(candidates) - 1
    for places in ({0, end // 2, end}, {0, end}):
        seconds = SEEDS * sum(epoch_seconds[place] for place in places)
        if len(places) > 1 and seconds <= most:
            networks = [candidates[place].architecture for place in sorted(places)]
            return networks, min(experiment.rungs[-1], int(most / seconds))
    return [], 0


def least_seconds(epoch_seconds: Sequence[float]) -> float | None:
    """What the smallest measurement takes, and a tenth for the odds; None where there is none."""
    if len(epoch_seconds) < 2:
        return None
    return math.ceil(1.1 * SEEDS * (epoch_seconds[0] + epoch_seconds[-1]))


def measured_noise(
    experiment: Experiment,
    networks: Sequence[Architecture | Foreign],
    epochs: int,
    device: str,
    allow_code: bool,
) -> Noise | None:
    """Of these networks with ``SEEDS`` seeds each, trained for the first so many epochs.

    None where too few of them get there without diverging.
    """
    recipe = replace(experiment.recipe, learning_rate_rule="fixed", regularisation="fixed")
    accuracy: dict[str, dict[int, float]] = {}
    with code_allowed(allow_code):
        for seed in range(experiment.seed, experiment.seed + SEEDS):
            images = load(experiment.data, seed, device=device).to(device)
            for network in networks:
                name = fingerprint(network)
                job = Job(
                    architecture=network, recipe=recipe, seed=seed, fingerprint=name, stop=epochs
                )
                try:
                    *_, last = train(job, images, device=device)
                except TrainingDiverged:
                    continue
                accuracy.setdefault(name, {})[seed] = last.accuracy
    found = paired(accuracy)
    if found.variance is None:
        return None
    reached = float(np.mean([value for runs in accuracy.values() for value in runs.values()]))
    trained = f"{epochs} of {experiment.rungs[-1]} epochs (accuracy {reached:.2f})"
    basis = f"a measurement: {len(networks)} networks with {SEEDS} seeds after {trained}"
    measured = _known(found.variance, found.df, basis)
    floor = counting(reached, len(images.validation))
    if measured.value >= floor:
        return measured if measured.value > 0 else None
    # Networks that have learned nothing yet agree on every image.
    return replace(
        measured,
        value=floor,
        high=max(floor, measured.high or floor),
        basis=f"{basis}, which is less than counting right answers gives, so that is taken",
    )


def planned_power(source: Source, noise: Noise) -> Power:
    """Of all that is planned, and of proposals that are spread evenly."""
    search, candidates = source.experiment.search, list(source.where.candidates)
    planned = [item.candidate for item in source.planned]
    if search.asks:
        places = np.linspace(0, len(candidates) - 1, min(search.asks, len(candidates)))
        planned += [candidates[round(place)] for place in places]
    every = {candidate.fingerprint: candidate for candidate in planned}
    shares = [candidate.shares.as_tuple() for candidate in every.values()]
    found = power_of(
        np.array(shares),
        noise.value,
        search.seeds,
        basis=noise.basis,
        comparisons=len(search.references),
    )
    # Networks that are listed one by one are of no one budget, and so on no surface.
    return found if search.sampler != "points" else replace(found, surface=None, widths={})


def _known(variance: float, df: int, basis: str) -> Noise:
    """With the interval that its degrees of freedom leave (chi-squared)."""
    low, high = (2 * float(gammaincinv(df / 2, part)) for part in (LEVEL / 2, 1 - LEVEL / 2))
    freedom = f"{df} degree{'' if df == 1 else 's'} of freedom"
    return Noise(
        value=math.sqrt(variance),
        low=math.sqrt(variance * df / high),
        high=math.sqrt(variance * df / low),
        basis=f"{basis}, {freedom}",
    )
