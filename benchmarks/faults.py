"""Searches that are killed at random times, and what the driver costs where jobs are tiny.

    python benchmarks/faults.py                                   # 50 runs with each sampler, long
    python benchmarks/faults.py --runs 1 --samplers lattice tpe   # minutes
    python benchmarks/faults.py --cost-only                       # what the driver costs, minutes

Every run is a search with each sampler in turn, inline or with two local workers. Its driver gets
SIGKILL at a random time, again and again, until it comes to its end; local workers also kill
themselves around some epochs. Then every epoch of every seed must have been trained to its end once
and recorded once, and the records be those of an undisturbed search. Training is a stand-in that
keeps account of what it trains (tests/search/fault_trainer.py).
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "search"))

import pandas as pd  # noqa: E402
from fault_driver import FINISHED, SEARCHES, DriverRunner, document  # noqa: E402
from fault_trainer import count_trained_epochs  # noqa: E402

from scalesearch.results.environment import environment_info  # noqa: E402
from scalesearch.results.records import KEY, read_records  # noqa: E402

TIMED = ["seconds", "images_per_second", "tuning_seconds"]
LOCAL = {"executor": "local", "workers": 2}


def disturbed(
    driver_runner: DriverRunner, results: Path, asked: dict[str, Any], number: int
) -> Counter[str]:
    """One search to its end, killed at random times; what happened to it."""
    chance, found = random.Random(number), Counter[str]()
    local = number % 5 == 4
    told = {"EPOCH_SECONDS": "0.005", "DEADLY": "0.03" if local else "0"}
    while True:
        life = driver_runner.start(
            results_folder=results, document=asked, environment=told, **(LOCAL if local else {})
        )
        # By processor time, so that it does not matter what else the machine does. A search takes
        # longer than a life on average: it is killed several times.
        until = 0.05 + chance.expovariate(1 / 0.5)
        while (ended := driver_runner.poll(life)) is None:
            if processor_seconds(life) > until:
                time.sleep(chance.random() * 0.01)
                os.kill(life, signal.SIGKILL)
                ended = driver_runner.wait(life)
                break
            time.sleep(0.002)
        if ended == FINISHED:
            break
        if ended != -signal.SIGKILL:
            raise RuntimeError(f"status {ended}: {Path(f'{results}.log').read_text()[-2000:]}")
        found["kills of the driver"] += 1
    died = results / "died"
    found["kills of workers"] = len(list(died.iterdir())) if died.exists() else 0
    return found


def processor_seconds(process: int) -> float:
    """What a process has used so far; Linux alone tells so of another one."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def violations(results: Path, undisturbed: pd.DataFrame) -> Counter[str]:
    """What should not be."""
    records, counted = read_records(results / "records.csv"), count_trained_epochs(results)
    recorded = {(row.candidate, row.seed, row.epoch) for row in records.itertuples()}
    ours, theirs = (table.drop(columns=TIMED) for table in (records, undisturbed))
    return Counter(
        {
            "trained more than once": sum(count > 1 for count in counted.values()),
            "recorded more than once": int(records.duplicated(KEY).sum()),
            "trained and not recorded": len(counted.keys() - recorded),
            "recorded and not trained": len(recorded - counted.keys()),
            "records unlike the undisturbed": int(not ours.equals(theirs)),
        }
    )


def overhead(driver_runner: DriverRunner, folder: Path, seconds: float) -> dict[str, float]:
    """What the driver costs with two local workers whose epochs take so long, and jobs four epochs:
    how long workers have nothing to do, where no job has to wait for another."""
    alone = {"asynchronous": True, "pruner": "none", "race": None, "references": []}
    asked = document("sobol", trials=40, seeds=2, **alone)
    results = folder / f"overhead-{seconds:g}"
    told = {"EPOCH_SECONDS": str(seconds), "OMP_NUM_THREADS": "1"}
    life = driver_runner.start(results_folder=results, document=asked, environment=told, **LOCAL)
    used = 0.0
    while (ended := driver_runner.poll(life)) is None:
        with suppress(OSError, IndexError):  # it ends just now
            used = processor_seconds(life)
        time.sleep(0.05)
    assert ended == FINISHED, Path(f"{results}.log").read_text()[-2000:]
    jobs = pd.read_csv(results / "jobs.csv")
    # From when both workers were up: what a process takes to start is paid once for a search.
    first = jobs.groupby("worker")["began"].min().max()
    jobs = jobs[jobs["began"] >= first].sort_values("began")
    wall = jobs["ended"].max() - first
    busy = jobs["ended"] - jobs["began"]
    between = jobs.groupby("worker")["began"].shift(-1) - jobs["ended"]
    return {
        "jobs": len(jobs),
        "job_seconds": round(float(busy.mean()), 3),
        "seconds_between_jobs": round(float(between.median()), 4),
        "wall_seconds": round(float(wall), 3),
        "driver_processor_seconds": round(used, 2),
        "idle_share_of_workers": round(float(1 - busy.sum() / (2 * wall)), 4),
    }


def write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50, help="with each sampler")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--faults-only", action="store_true", help="without the driver's cost")
    only.add_argument("--cost-only", action="store_true", help="the driver's cost alone: minutes")
    parser.add_argument("--samplers", nargs="+", default=list(SEARCHES))
    parser.add_argument("--out", type=Path, default=ROOT / "results/benchmarks/faults.json")
    asked = parser.parse_args()
    found: dict[str, Any] = {"environment": environment_info("cpu")}
    with tempfile.TemporaryDirectory() as name, DriverRunner() as driver_runner:
        folder = Path(name)
        if not asked.faults_only:
            found["overhead"] = [
                overhead(driver_runner, folder, seconds) for seconds in (0.05, 0.125, 0.25)
            ]
            print(*found["overhead"], sep="\n", flush=True)
        found["samplers"] = {}
        write(asked.out, found)
        for sampler in () if asked.cost_only else asked.samplers:
            experiment = document(sampler)
            calm = folder / f"{sampler}-undisturbed"
            assert driver_runner.run_driver(results_folder=calm, document=experiment) == FINISHED
            undisturbed, total = read_records(calm / "records.csv"), Counter[str]()
            for number in range(asked.runs):
                results = folder / f"{sampler}-{number}"
                total.update(runs=1)
                total.update(disturbed(driver_runner, results, experiment, number))
                total.update(violations(results, undisturbed))
                shutil.rmtree(results)
                found["samplers"][sampler] = {"epochs": len(undisturbed), **total}
                write(asked.out, found)
            print(sampler, dict(total), flush=True)


if __name__ == "__main__":
    main()
