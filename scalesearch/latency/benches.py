"""A benchmark as a whole: the machine is quiet, networks are timed, a model is checked."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scalesearch.architectures import Architecture
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.environment import environment_info
from scalesearch.errors import ArchitectureError
from scalesearch.latency.bench import (
    TARGET_RUNS,
    TARGET_SECONDS,
    OnTurn,
    NetworkTiming,
    time_networks,
)
from scalesearch.latency.calibration import fit_latency
from scalesearch.latency.model_check import ModelCheck, check_latency_model, require_same_device
from scalesearch.latency.quiet import OtherWork, find_disturbances, other_work, cpu_snapshot
from scalesearch.latency.stopwatch import device_name, find_device
from scalesearch.nets import NamedNetwork

SCHEMA = "scalesearch/bench"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Benchmark:
    """``disturbed``: what else the machine did before, a sentence each; none where it was quiet.
    ``others``: what it did meanwhile, None where it does not tell. ``checks``: of a latency model,
    by batch size."""

    device: str
    threads: int
    reference: str
    timings: tuple[NetworkTiming, ...]
    disturbances: tuple[str, ...] = ()
    other_work: OtherWork | None = None
    checks: tuple[ModelCheck, ...] = ()

    @property
    def warning_texts(self) -> tuple[str, ...]:
        """Why the numbers may be wrong."""
        texts = list(self.disturbances)
        if self.other_work is not None and self.other_work.is_disturbing:
            texts.append(f"while the networks were timed, {self.other_work}")
        return tuple(texts)

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each network, batch size and mode."""
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
        """All of it, as JSON values."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "device": self.device,
            "threads": self.threads,
            "environment": environment_info(self.device),
            "reference": self.reference,
            "other_cores": None if self.other_work is None else round(self.other_work.cores_used, 3),
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
    """Time networks on a machine that does nothing else; see ``benchmark``.

    ``anyway``: also on one that does, which the result then says. ``check``: a latency model, or
    the baseline of one that is calibrated first, for each batch size; it is checked against what is
    measured. Raises ArchitectureError where the machine is busy.
    """
    torch_device = find_device(device)
    disturbance_texts = find_disturbances(torch_device)
    if disturbance_texts and not anyway:
        raise ArchitectureError(
            f"bench: need a machine that does nothing else, got {'; '.join(disturbance_texts)}; wait until "
            "it is idle, or measure all the same with --anyway"
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
        checks=tuple(check_latency_model(model, [reference, *named_networks], timings) for model in models),
    )


def _require_predictable(named_networks: Sequence[NamedNetwork]) -> None:
    """Before anything is timed, which takes a while."""
    if not any(isinstance(named_network.network, Architecture) for named_network in named_networks):
        raise ArchitectureError(
            "--check-model: need networks as data to check a latency model, got "
            f"{', '.join(entry.name for entry in named_networks)}, which code makes; name a baseline, too"
        )


def _require_same_conditions(
    model: LatencyModel, batch_sizes: Sequence[int], device: str, threads: int
) -> None:
    """Before anything is timed, which takes a while."""
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
    """A model of each batch size, of networks around a baseline; none without one."""
    models: list[LatencyModel] = []
    if baseline is None:
        return models
    for size in batch_sizes:
        on_turn(f"batch {size}: the latency model is calibrated", 0, 1)
        latency_fit = fit_latency(baseline, batch_size=size, device=device, threads=threads)
        models.append(latency_fit.model)
    return models
