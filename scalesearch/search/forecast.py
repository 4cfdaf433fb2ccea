"""What a search would train, for how long and in how much memory, told before it trains anything.

Candidates and jobs are counted. Seconds are an estimate: the candidates that keep least and most
in memory for each multiply-add, which are the fastest and the slowest for their cost, take a few
steps on a few images, and all others are placed between the two by their counts.
"""

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from scalesearch.analysis import Power
from scalesearch.architectures import Architecture
from scalesearch.architectures.isocost import Candidate
from scalesearch.architectures.memory import training_memory
from scalesearch.experiment import Experiment
from scalesearch.nets import code_allowed
from scalesearch.search.advance import advance, survey
from scalesearch.search.driver import schedule_of, source_of
from scalesearch.search.executors import opened
from scalesearch.search.noise import (
    Noise,
    affordable,
    guessed_noise,
    least_seconds,
    measured_noise,
    planned_power,
)
from scalesearch.search.pace import Pace, paced
from scalesearch.search.plan import Planned
from scalesearch.search.proposals import LEARNING
from scalesearch.search.rehearsal import Stage, rehearsed
from scalesearch.search.requirements import require_equal_lengths, require_from_the_beginning
from scalesearch.search.source import Source

Row: TypeAlias = dict[str, Any]


class IdleWarning(UserWarning):
    """Workers that the experiment's own rules will leave without a job."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """``proposals``: candidates that are not known yet. ``stages``: of all jobs, if the race drops
    nobody and nothing fails. ``seconds``: until the end with so many ``workers``;
    ``device_seconds``: of all of them together. ``memory_bytes``: of the largest candidate under
    training, by count, None for code of one's own; ``peak_bytes``: most that was in use while
    measuring, a process's libraries and images included. ``noise``: of a run, and where that is
    from; ``power``: which differences the plan can show at that noise, where all candidates are
    trained to the end with all seeds, and proposals are spread evenly.
    """

    name: str
    device: str
    candidates: tuple[Row, ...]
    proposals: int
    stages: tuple[Stage, ...]
    workers: int
    seconds: float
    device_seconds: float
    memory_bytes: int | None
    peak_bytes: int
    noise: Noise
    power: Power

    @property
    def epochs(self) -> int:
        """Of all runs together, at most."""
        return sum(stage.trained for stage in self.stages)

    @property
    def job_rows(self) -> list[Row]:
        """One flat row for each kind of jobs."""
        return [
            {
                "jobs": f"to epoch {stage.stop}" if stage.stop else "learning-rate sweeps",
                "of": "references" if stage.references else "searched",
                "candidates": stage.candidates,
                "number": stage.jobs,
                "seeds": stage.seeds,
                "epochs": stage.epochs,
                "trained": stage.trained,
            }
            for stage in self.stages
        ]

    @property
    def document(self) -> Row:
        """All of it, for programs."""
        return {**asdict(self), "stages": self.job_rows, "epochs": self.epochs}

    @property
    def lines(self) -> list[str]:
        """Sums, for people."""
        unknown = f" and {self.proposals} to be proposed" if self.proposals else ""
        needs = "" if self.memory_bytes is None else f", {_size(self.memory_bytes)} by count"
        return [
            f"{len(self.candidates)} candidates{unknown}, {self.epochs:,} epochs at most",
            f"about {_clock(self.seconds)} with {self.workers} worker"
            f"{'s' if self.workers > 1 else ''} on {self.device}, {_clock(self.device_seconds)} "
            "of training in all (an estimate, from a few steps)",
            f"memory of one worker: {_size(self.peak_bytes)} while measuring{needs}",
        ]


def forecast(
    experiment: Experiment,
    *,
    executor: str | Executor = "inline",
    workers: int | None = None,
    scheduler: str | None = None,
    devices: Sequence[str] | None = None,
    memory: int | None = None,
    allow_code: bool = False,
    noise: Noise | None = None,
    measure: float = 0.0,
) -> Forecast:
    """Count what ``search`` would train, and estimate how long it takes with these workers.

    Nothing is written. On a cluster a worker measures, elsewhere this process. ``noise``: that is
    known already; else it is measured, where that takes at most ``measure`` seconds, and guessed
    where not. Raises what ``search`` raises where the experiment cannot be run.
    """
    require_equal_lengths(experiment)
    require_from_the_beginning(experiment)
    own: dict[str, Any] = {"executor": executor, "workers": workers, "scheduler": scheduler}
    if executor in ("inline", "local"):
        own = {"executor": "inline"}
    with (
        code_allowed(allow_code),
        TemporaryDirectory() as logs,
        opened(**own, advance=advance, logs=Path(logs)) as crew,
    ):
        count = workers or len(devices or ()) or crew.slots or 1
        surveyed = crew.ask(survey, experiment)
        source = source_of(experiment, surveyed.data)
        extremes = _extremes(source)
        networks = [candidate.architecture for candidate in extremes]
        paces = crew.ask(paced, experiment, networks, surveyed.device, allow_code)
        seconds = _seconds(extremes, paces, surveyed.data["train"], surveyed.data["validation"])
        in_order = _in_order(source)
        epoch_seconds = [*map(seconds, in_order)]
        if noise is None:
            some, epochs = affordable(experiment, in_order, epoch_seconds, measure)
            asked = (experiment, some, epochs, surveyed.device, allow_code)
            noise = crew.ask(measured_noise, *asked) if some else None
    _warn_of_idleness(experiment, count)
    noise = noise or guessed_noise(surveyed.data["validation"], least_seconds(epoch_seconds))
    known = [seconds(item.candidate) for item in source.planned]
    typical = fmean(map(seconds, source.where.candidates))
    played = rehearsed(
        schedule_of(experiment),
        source,
        count,
        lambda place: known[place] if place < len(known) else typical,
    )
    return Forecast(
        name=experiment.name,
        device=surveyed.device,
        candidates=tuple(map(_row, source.planned, known)),
        proposals=experiment.search.asks or 0,
        stages=played.stages,
        workers=count,
        seconds=played.seconds,
        device_seconds=played.busy,
        memory_bytes=_memory(source, experiment),
        peak_bytes=max(pace.peak_bytes for pace in paces),
        noise=noise,
        power=planned_power(source, noise),
    )


def _extremes(source: Source) -> list[Candidate]:
    """The candidates with least and most to keep in memory for a multiply-add."""
    order = _in_order(source)
    return [order[0], order[-1]]


def _in_order(source: Source) -> list[Candidate]:
    """The candidates that may be trained, by what they keep in memory for a multiply-add."""
    known = {item.candidate.fingerprint: item.candidate for item in source.planned}
    if source.experiment.search.asks or not known:
        known |= {candidate.fingerprint: candidate for candidate in source.where.candidates}
    return sorted(known.values(), key=_share)


def _share(candidate: Candidate) -> float:
    return candidate.cost.activations / candidate.cost.macs


def _seconds(
    measured: Sequence[Candidate], paces: Sequence[Pace], images: int, validated: int
) -> Callable[[Candidate], float]:
    """Of an epoch of any candidate, between the two that were measured by its counts."""
    (least, most), (light, heavy) = measured, paces
    span = _share(most) - _share(least)

    def per_mac(candidate: Candidate, one: float, other: float) -> float:
        place = (_share(candidate) - _share(least)) / span if span else 0.0
        place = min(1.0, max(0.0, place))
        return (1 - place) * one / least.cost.macs + place * other / most.cost.macs

    def seconds(candidate: Candidate) -> float:
        training = per_mac(candidate, light.training, heavy.training)
        validation = per_mac(candidate, light.validation, heavy.validation)
        return candidate.cost.macs * (images * training + validated * validation)

    return seconds


def _row(planned: Planned, seconds: float) -> Row:
    candidate = planned.candidate
    return {
        "candidate": candidate.fingerprint,
        "role": planned.role,
        "depth_share": candidate.shares.depth,
        "width_share": candidate.shares.width,
        "resolution_share": candidate.shares.resolution,
        "macs": candidate.cost.macs,
        "params": candidate.cost.params,
        "factor": candidate.factor,
        "epoch_seconds": seconds,
        "cells": "; ".join(cell.name for cell in planned.cells),
    }


def _memory(source: Source, experiment: Experiment) -> int | None:
    """Of the largest candidate there may be, with all that is trained together."""
    recipe = experiment.recipe
    proposed = source.where.candidates if experiment.search.asks else ()
    candidates = (*proposed, *(item.candidate for item in source.planned))
    networks = [candidate.architecture for candidate in candidates]
    optimizer = "adamw" if recipe.optimizer == "adam" else recipe.optimizer
    own = [network for network in networks if isinstance(network, Architecture)]
    if len(own) < len(networks):
        return None
    size = recipe.micro_batch or recipe.batch_size
    together = experiment.search.seeds if experiment.search.together else 1
    most = max(training_memory(network, size, optimizer=optimizer).total for network in own)
    return together * most


def _warn_of_idleness(experiment: Experiment, workers: int) -> None:
    search = experiment.search
    at_once = search.cohort * min(search.race or search.seeds, search.seeds)
    if search.sampler in LEARNING and not search.asynchronous and at_once < workers:
        warnings.warn(
            f"{workers} workers, and {search.cohort} proposals at a time are {at_once} jobs: some "
            "will wait; raise search.cohort, or set search.asynchronous",
            IdleWarning,
            stacklevel=3,
        )


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _clock(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
