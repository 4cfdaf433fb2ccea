"""What the search's driver itself costs, where training costs nothing.

    python benchmarks/engine.py                    # 10,000 trials on 1,000 workers, minutes
    python benchmarks/engine.py --trials 1000      # the same, shorter
    python benchmarks/engine.py --profile          # where the time goes

The real engine, schedule, sampler (random) and study over simulated workers, on a virtual clock.
Seconds are the processor's, without those of the simulated workers, so that a busy machine matters
less; they are told for each tenth of the outcomes, so that what grows with the search shows.
Standard output has a table, and with --json one document, which goes into
``results/benchmarks/engine-cpu.json`` too.
"""

import argparse
import cProfile
import json
import pstats
import resource
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import experiment_from_document
from scalesearch.results.environment import environment_info
from scalesearch.search.jobs import Job, Outcome
from scalesearch.simulation.simulated_search import GroundTruth, make_ground_truth, make_tuner
from scalesearch.simulation.surfaces import SURFACES
from scalesearch.simulation.virtual_pool import SimulatedPool

MOST_MILLISECONDS = 3.0
BLOCKS = 10


@dataclass(frozen=True, slots=True)
class Measured:
    """``milliseconds``: of the driver, for each trial; ``blocks``: for each outcome, by tenths of
    all of them. ``bytes_per_trial``: what the engine holds at the end."""

    mode: str
    storage: str
    trials: int
    workers: int
    outcomes: int
    milliseconds: float
    growth: float
    blocks: tuple[float, ...]
    bytes_per_trial: float | None


class Timed(SimulatedPool):
    """A virtual crew whose own time is not the driver's."""

    own = 0.0
    outcomes = 0

    def submit(self, job: Job) -> None:
        began = time.process_time()
        super().submit(job)
        self.own += time.process_time() - began

    def collect(self, timeout: float | None) -> list[Outcome]:
        began = time.process_time()
        found = super().collect(timeout)
        self.own += time.process_time() - began
        self.outcomes += len(found)
        return found


MODES: dict[str, dict[str, Any]] = {
    "asynchronous": {"asynchronous": True},
    "synchronous, cohorts of 1,000": {"cohort": 1000},
    "synchronous, one cohort": {"cohort": 1_000_000},
}


def main() -> None:
    options = _options()
    experiment = experiment_of(options.trials)
    known = make_ground_truth(experiment, SURFACES["interior"])
    found = []
    for mode, changes in MODES.items():
        print(f"{mode}...", file=sys.stderr, flush=True)
        own = experiment_of(options.trials, **changes)
        found.append(_profiled(options, mode, known.for_experiment(own), options.workers))
        print(f"{found[-1].milliseconds:.2f} ms a trial", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        print("SQLite...", file=sys.stderr, flush=True)
        own = experiment_of(min(options.sqlite_trials, options.trials), asynchronous=True)
        path = Path(folder) / "study.db"
        found.append(measured("asynchronous", known.for_experiment(own), options.workers, path))
    document = {
        "most_milliseconds": MOST_MILLISECONDS,
        "measurements": [asdict(one) for one in found],
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "environment": environment_info("cpu"),
    }
    print_table(found, to_stderr=options.json)
    if options.json:
        print(json.dumps(document, indent=2))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=2) + "\n"
        (options.out / "engine-cpu.json").write_text(text, encoding="utf-8")


def experiment_of(trials: int, **search: Any) -> Experiment:
    """A random search among the ten thousand networks that cost 2x B0 within a tenth."""
    experiment = experiment_from_document(
        {
            "name": "engine",
            "baseline": {"name": "efficientnet_b0"},
            "budget": {"factor": 2.0, "tolerance": 0.1},
            "recipe": {"epochs": 9},
            "search": {"sampler": "random", "trials": trials, "references": []},
        }
    )
    return replace(experiment, search=replace(experiment.search, **search))


def measured(
    mode: str, known: GroundTruth, workers: int, path: Path | None = None, *, memory: bool = False
) -> Measured:
    """One search, timed."""
    if memory:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
    engine = make_tuner(known, workers, 0, storage=path, pool_class=Timed)
    crew = engine.pool
    assert isinstance(crew, Timed)
    began = time.process_time()
    laps = [(0, 0.0)]
    for _ in engine.run():
        laps.append((crew.outcomes, time.process_time() - began - crew.own))
    laps.append((crew.outcomes, time.process_time() - began - crew.own))
    held = None
    if memory:
        held = (tracemalloc.get_traced_memory()[0] - before) / len(engine.trials)
        tracemalloc.stop()
    blocks = tuple(_blocks(laps))
    return Measured(
        mode=mode,
        storage="SQLite" if path else "memory",
        trials=len(engine.trials),
        workers=workers,
        outcomes=crew.outcomes,
        milliseconds=1000 * laps[-1][1] / len(engine.trials),
        growth=sum(blocks[-3:]) / sum(blocks[:3]),
        blocks=blocks,
        bytes_per_trial=held,
    )


def _blocks(laps: list[tuple[int, float]]) -> Iterator[float]:
    """Milliseconds for each outcome, by tenths of the outcomes."""
    whole = laps[-1][0]
    marks = [0] * (BLOCKS + 1)
    for block in range(1, BLOCKS + 1):
        marks[block] = next(i for i, (n, _) in enumerate(laps) if n >= whole * block / BLOCKS)
    marks[-1] = len(laps) - 1
    for start, stop in pairwise(marks):
        (n, seconds), (m, later) = laps[start], laps[stop]
        yield 1000 * (later - seconds) / max(1, m - n)


def _profiled(options: argparse.Namespace, mode: str, known: GroundTruth, workers: int) -> Measured:
    if not options.profile:
        timed = measured(mode, known, workers)
        held = measured(mode, known, workers, memory=True) if options.memory else timed
        return replace(timed, bytes_per_trial=held.bytes_per_trial)
    profile = cProfile.Profile()
    found: Measured = profile.runcall(measured, mode, known, workers)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(options.profile)
    return found


def print_table(found: list[Measured], *, to_stderr: bool) -> None:
    table = Table(box=SIMPLE)
    for name in ("mode", "storage", "trials", "workers", "outcomes"):
        table.add_column(name)
    for name in ("ms a trial", "first 30%: ms an outcome", "last 30%", "kB a trial"):
        table.add_column(name, justify="right")
    for one in found:
        first, last = sum(one.blocks[:3]) / 3, sum(one.blocks[-3:]) / 3
        held = one.bytes_per_trial
        numbers = (one.trials, one.workers, one.outcomes)
        table.add_row(
            one.mode,
            one.storage,
            *(f"{number:,}" for number in numbers),
            f"{one.milliseconds:.2f}",
            f"{first:.2f}",
            f"{last:.2f}",
            "" if held is None else f"{held / 1000:.1f}",
        )
    Console(stderr=to_stderr, width=140).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--sqlite-trials", type=int, default=1_000)
    parser.add_argument("--memory", action="store_true", help="trace memory, twice as long")
    parser.add_argument("--profile", type=int, nargs="?", const=25, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, help="a folder for engine-cpu.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
