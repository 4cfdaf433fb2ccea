"""A benchmark as a whole: the machine is quiet, networks are timed, a model is checked."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scalesearch.architectures import Architecture
from scalesearch.architectures.latency_model import LatencyModel
from scalesearch.environment import environment
from scalesearch.errors import ArchitectureError
from scalesearch.latency.bench import (
    LEAST_RUNS,
    LEAST_SECONDS,
    OnTurn,
    Timed,
    benchmark,
)
from scalesearch.latency.calibration import calibrate
from scalesearch.latency.model_check import ModelCheck, checked_model, require_same_place
from scalesearch.latency.quiet import OtherWork, disturbances, other_work, snapshot
from scalesearch.latency.stopwatch import device_name, the_device
from scalesearch.nets import Entry

SCHEMA = "scalesearch/bench"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Bench:
    """``disturbed``: what else the machine did before, a sentence each; none where it was quiet.
    ``others``: what it did meanwhile, None where it does not tell. ``checks``: of a latency model,
    by batch size."""

    device: str
    threads: int
    reference: str
    timed: tuple[Timed, ...]
    disturbed: tuple[str, ...] = ()
    others: OtherWork | None = None
    checks: tuple[ModelCheck, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the numbers may be wrong."""
        found = list(self.disturbed)
        if self.others is not None and self.others.disturbs:
            found.append(f"while the networks were timed, {self.others}")
        return tuple(found)

    def rows(self) -> list[dict[str, Any]]:
        """A flat row for each network, batch size and mode."""
        return [
            {
                "network": one.name,
                "batch_size": one.batch_size,
                "mode": one.mode,
                "seconds": one.seconds,
                "p90_seconds": one.p90_seconds,
                "images_per_second": one.images_per_second,
                "ratio": one.ratio,
                "peak_bytes": one.peak_bytes,
                "runs": one.runs,
                "note": one.note,
            }
            for one in self.timed
        ]

    def document(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "device": self.device,
            "threads": self.threads,
            "environment": environment(self.device),
            "reference": self.reference,
            "other_cores": None if self.others is None else round(self.others.used, 3),
            "warnings": list(self.warnings),
            "rows": self.rows(),
            "model_checks": [asdict(check) for check in self.checks],
        }


def bench(
    entries: Sequence[Entry],
    *,
    reference: Entry,
    batch_sizes: Sequence[int] = (1,),
    device: str = "cpu",
    threads: int = 1,
    anyway: bool = False,
    check: LatencyModel | Architecture | None = None,
    least_runs: int = LEAST_RUNS,
    least_seconds: float = LEAST_SECONDS,
    on_turn: OnTurn = lambda what, done, of: None,
) -> Bench:
    """Time networks on a machine that does nothing else; see ``benchmark``.

    ``anyway``: also on one that does, which the result then says. ``check``: a latency model, or
    the baseline of one that is calibrated first, for each batch size; it is checked against what is
    measured. Raises ArchitectureError where the machine is busy.
    """
    place = the_device(device)
    disturbed = disturbances(place)
    if disturbed and not anyway:
        raise ArchitectureError(
            f"bench: need a machine that does nothing else, got {'; '.join(disturbed)}; wait until "
            "it is idle, or measure all the same with --anyway"
        )
    if check is not None:
        _require_predictable([reference, *entries])
    if isinstance(check, LatencyModel):
        _require_fitting(check, batch_sizes, device_name(device), threads)
        models = [check]
    else:
        models = _calibrated(check, batch_sizes, device, threads, on_turn)
    before = snapshot()
    timed = benchmark(
        entries,
        reference=reference,
        batch_sizes=batch_sizes,
        device=device,
        threads=threads,
        least_runs=least_runs,
        least_seconds=least_seconds,
        on_turn=on_turn,
    )
    return Bench(
        device=device_name(device),
        threads=threads,
        reference=reference.name,
        timed=timed,
        disturbed=disturbed,
        others=other_work(before, snapshot()),
        checks=tuple(checked_model(model, [reference, *entries], timed) for model in models),
    )


def _require_predictable(entries: Sequence[Entry]) -> None:
    """Before anything is timed, which takes a while."""
    if not any(isinstance(entry.network, Architecture) for entry in entries):
        raise ArchitectureError(
            "--check-model: need networks as data to check a latency model, got "
            f"{', '.join(entry.name for entry in entries)}, which code makes; name a baseline, too"
        )


def _require_fitting(
    model: LatencyModel, batch_sizes: Sequence[int], device: str, threads: int
) -> None:
    """Before anything is timed, which takes a while."""
    require_same_place(model, device, threads)
    if model.batch_size not in batch_sizes:
        raise ArchitectureError(
            f"--check-model: need its batch of {model.batch_size} among those measured, got "
            f"{', '.join(map(str, batch_sizes))}; add it to --batch"
        )


def _calibrated(
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
        found = calibrate(baseline, batch_size=size, device=device, threads=threads)
        models.append(found.model)
    return models
