"""Benchmark on an idle machine, with a check of a latency model."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.architectures.stages import Architecture
from scalesearch.benchmarking.forward_passes import device_name, find_device
from scalesearch.benchmarking.idle_machine import (
    OtherWork,
    cpu_snapshot,
    find_disturbances,
    other_work,
)
from scalesearch.benchmarking.latency_fit import fit_latency, pearson_correlation
from scalesearch.benchmarking.timing import (
    TARGET_RUNS,
    TARGET_SECONDS,
    NetworkTiming,
    OnTurn,
    time_networks,
)
from scalesearch.errors import ArchitectureError
from scalesearch.models.named import NamedNetwork
from scalesearch.results.environment import environment_info

MIN_NETWORKS_FOR_CORRELATION = 3
"""Least number of networks for a correlation."""


@dataclass(frozen=True, slots=True)
class LatencyPrediction:
    """Measured and predicted seconds of a network for a batch."""

    name: str
    seconds: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative error; above 0 if the prediction is too high."""
        return self.predicted / self.seconds - 1


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """Check of a latency model against measured networks.

    ``correlation``: of the logarithms of predicted and measured seconds, None for too few networks.
    ``median_error``: median of the absolute relative errors.
    """

    batch_size: int
    networks: tuple[LatencyPrediction, ...]
    correlation: float | None
    median_error: float

    @property
    def summary(self) -> str:
        """The check in one line."""
        correlation_text = "-" if self.correlation is None else f"{self.correlation:.3f}"
        images_text = "1 image" if self.batch_size == 1 else f"{self.batch_size} images"
        return (
            f"latency model, {images_text}: r {correlation_text}, median error "
            f"{self.median_error:.1%} over {len(self.networks)} networks"
        )


def check_latency_model(
    model: LatencyModel, named_networks: Sequence[NamedNetwork], timings: Sequence[NetworkTiming]
) -> ModelCheck:
    """Compare a model's predictions with what was measured eagerly at its batch size.

    Leaves out networks of other code, which have no blocks to predict from. Raises
    ArchitectureError if no network is left.
    """
    architectures = {
        named_network.name: named_network.network
        for named_network in named_networks
        if isinstance(named_network.network, Architecture)
    }
    networks = tuple(
        LatencyPrediction(row.name, row.seconds, model.predicted_seconds(architectures[row.name]))
        for row in timings
        if row.name in architectures
        and row.mode == "eager"
        and row.batch_size == model.batch_size
        and row.seconds is not None
    )
    if not networks:
        raise ArchitectureError(
            f"latency model: need networks as data, measured at its batch of {model.batch_size}, "
            f"got none; add {model.batch_size} to --batch"
        )
    correlation_value = None
    if len(networks) >= MIN_NETWORKS_FOR_CORRELATION:
        predicted_logs, measured_logs = (
            np.log([getattr(prediction, name) for prediction in networks])
            for name in _SECONDS_FIELDS
        )
        correlation_value = pearson_correlation(predicted_logs, measured_logs)
    error = float(np.median([abs(network.error) for network in networks]))
    return ModelCheck(model.batch_size, networks, correlation_value, error)


def require_same_device(model: LatencyModel, device: str, threads: int) -> None:
    """Raise ArchitectureError if a model is of another device or number of threads."""
    if model.device != device or (device == "cpu" and model.threads != threads):
        raise ArchitectureError(
            f"latency model: need one of this device ({device}, {threads} threads), got one of "
            f"{model.device}, {model.threads} threads; `scalesearch fit-latency` makes one"
        )


_SECONDS_FIELDS = ("predicted", "seconds")

SCHEMA = "scalesearch/bench"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark's result.

    ``disturbed``: other work of the machine before, a sentence each. ``others``: other work
    meanwhile, None if unknown. ``checks``: of a latency model, by batch size.
    """

    device: str
    threads: int
    reference: str
    timings: tuple[NetworkTiming, ...]
    disturbances: tuple[str, ...] = ()
    other_work: OtherWork | None = None
    checks: tuple[ModelCheck, ...] = ()

    @property
    def warning_texts(self) -> tuple[str, ...]:
        """Reasons why the numbers may be wrong."""
        texts = list(self.disturbances)
        if self.other_work is not None and self.other_work.is_disturbing:
            texts.append(f"while the networks were timed, {self.other_work}")
        return tuple(texts)

    def rows(self) -> list[dict[str, Any]]:
        """Return a flat row for each network, batch size and mode."""
        return [
            {
                "network": timing.name,
                "batch_size": timing.batch_size,
                "mode": timing.mode,
                "seconds": timing.seconds,
                "p90_seconds": timing.p90_seconds,
                "images_per_second": timing.images_per_second,
                "ratio": timing.ratio,
                "peak_bytes": timing.peak_bytes,
                "runs": timing.runs,
                "note": timing.note,
            }
            for timing in self.timings
        ]

    def document(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "device": self.device,
            "threads": self.threads,
            "environment": environment_info(self.device),
            "reference": self.reference,
            "other_cores": None
            if self.other_work is None
            else round(self.other_work.cores_used, 3),
            "warnings": list(self.warning_texts),
            "rows": self.rows(),
            "model_checks": [asdict(check) for check in self.checks],
        }


def run_benchmark(
    named_networks: Sequence[NamedNetwork],
    *,
    reference: NamedNetwork,
    batch_sizes: Sequence[int] = (1,),
    device: str = "cpu",
    threads: int = 1,
    anyway: bool = False,
    model_to_check: LatencyModel | Architecture | None = None,
    target_runs: int = TARGET_RUNS,
    target_seconds: float = TARGET_SECONDS,
    on_turn: OnTurn = lambda what, done, total: None,
) -> Benchmark:
    """Time networks on an idle machine; see ``time_networks``.

    ``anyway``: run on a busy machine too, which the result then states. ``model_to_check``: a
    latency model, or the baseline of one that is fitted first, for each batch size; it is compared
    with the measured seconds. Raises ArchitectureError if the machine is busy.
    """
    torch_device = find_device(device)
    disturbance_texts = find_disturbances(torch_device)
    if disturbance_texts and not anyway:
        raise ArchitectureError(
            f"bench: need an idle machine, got {'; '.join(disturbance_texts)}; wait until it is "
            "idle, or measure all the same with --anyway"
        )
    if model_to_check is not None:
        _require_predictable([reference, *named_networks])
    if isinstance(model_to_check, LatencyModel):
        _require_same_conditions(model_to_check, batch_sizes, device_name(device), threads)
        models = [model_to_check]
    else:
        models = _fit_latency_models(model_to_check, batch_sizes, device, threads, on_turn)
    snapshot_before = cpu_snapshot()
    timings = time_networks(
        named_networks,
        reference=reference,
        batch_sizes=batch_sizes,
        device=device,
        threads=threads,
        target_runs=target_runs,
        target_seconds=target_seconds,
        on_turn=on_turn,
    )
    return Benchmark(
        device=device_name(device),
        threads=threads,
        reference=reference.name,
        timings=timings,
        disturbances=disturbance_texts,
        other_work=other_work(snapshot_before, cpu_snapshot()),
        checks=tuple(
            check_latency_model(model, [reference, *named_networks], timings) for model in models
        ),
    )


def _require_predictable(named_networks: Sequence[NamedNetwork]) -> None:
    """Refuse unpredictable networks before the slow timing."""
    if not any(isinstance(named_network.network, Architecture) for named_network in named_networks):
        raise ArchitectureError(
            "--check-model: need networks as data to check a latency model, got "
            f"{', '.join(network.name for network in named_networks)}, which are code; name a "
            "baseline, too"
        )


def _require_same_conditions(
    model: LatencyModel, batch_sizes: Sequence[int], device: str, threads: int
) -> None:
    """Refuse a model of other conditions before the slow timing."""
    require_same_device(model, device, threads)
    if model.batch_size not in batch_sizes:
        raise ArchitectureError(
            f"--check-model: need its batch of {model.batch_size} among those measured, got "
            f"{', '.join(map(str, batch_sizes))}; add it to --batch"
        )


def _fit_latency_models(
    baseline: Architecture | None,
    batch_sizes: Sequence[int],
    device: str,
    threads: int,
    on_turn: OnTurn,
) -> list[LatencyModel]:
    """Fit a model for each batch size to networks around a baseline; none without one."""
    models: list[LatencyModel] = []
    if baseline is None:
        return models
    for size in batch_sizes:
        on_turn(f"batch {size}: the latency model is calibrated", 0, 1)
        latency_fit = fit_latency(baseline, batch_size=size, device=device, threads=threads)
        models.append(latency_fit.model)
    return models
