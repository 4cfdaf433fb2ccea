"""What Bayesian samplers save over a grid, on recorded runs.

    python benchmarks/bayes_vs_grid.py [--seeds N] [--gp-seeds N] [--fresh] [--out FOLDER]

Each sampler searches among the networks of a recorded search, by the real engine with the recorded
runs for training (``scalesearch simulate --table``): one network after the other with all seeds, no
references, no rungs. What counts is what is spent until a network is trained whose mean accuracy is
within 0.3 points of the best mean of all, which only who has trained them all can know. Beside the
samplers stand the recorded search's own order, and the networks in random order, which is what
knowing nothing costs: (n + 1) / (m + 1) networks in the mean where m of n are near enough.

*recorded* are the accuracies on record. For *resampled* each search has a table of its own, the
means with other residuals (of runs, after network and seed), as other seeds might have shown.

Writes ``bayes_vs_grid.csv``, ``.json`` (every search, environment, commit), ``.png`` and ``.svg``.
Searches in the JSON of the same records are not run again, unless ``--fresh``.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import pandas as pd
import torch
from bayes_picture import drawn
from numpy.typing import NDArray

from scalesearch.analysis.additive_model import additive_model
from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import read_experiment
from scalesearch.config.search_spec import StopSpec
from scalesearch.figures.style import write_figure
from scalesearch.io import write_text
from scalesearch.results.environment import environment_info
from scalesearch.results.records import read_records
from scalesearch.simulation.comparison import experiment_in_world
from scalesearch.simulation.recorded_runs import ReplaySurface, replay_from_table
from scalesearch.simulation.simulated_search import GroundTruth, make_ground_truth, simulate_search

ROOT = Path(__file__).parents[1] / "results"
TABLES = ("cifar10-lattice", "cifar10-optimal", "clothing-optimal", "paper-nominal-grid")
"""Searches in which every network has all seeds and epochs; those on record are taken."""
SAMPLERS = ("tpe", "gp", "sobol", "random")
OWN, RANDOM, SHUFFLED = "own order", "random", "shuffled"
NEAR = 0.003
LEVEL = 0.1
DRAWS = 2000
SLOW = "gp"

Spent: TypeAlias = dict[str, float]
"""Of one search, until it is near the best: ``networks``, ``epochs``, ``seconds`` of training."""


@dataclass(frozen=True)
class Table:
    """A search on record. ``digest``: of its records."""

    name: str
    ground: GroundTruth
    order: tuple[str, ...]
    digest: str

    @property
    def replay(self) -> ReplaySurface:
        """The accuracies on record."""
        return cast(ReplaySurface, self.ground.surface)

    @property
    def last(self) -> int:
        return self.ground.experiment.rungs[-1]

    def means(self, replay: ReplaySurface) -> dict[str, float]:
        """Accuracy at the last epoch, by network."""
        return {
            name: float(np.mean([own[seed][self.last - 1]["accuracy"] for seed in replay.seeds]))
            for name, own in replay.runs.items()
        }

    def spent(self, order: list[str], replay: ReplaySurface) -> Spent:
        """What is trained until a network is near enough, in this order."""
        means = self.means(replay)
        goal = max(means.values()) - NEAR
        count = next(place for place, name in enumerate(order, 1) if means[name] >= goal)
        rows = [row for name in order[:count] for run in replay.runs[name].values() for row in run]
        seconds = float(sum(row["seconds"] for row in rows))
        return {"networks": count, "epochs": len(rows), "seconds": seconds}


def read_table(folder: Path) -> Table:
    """The networks of a search's folder that have all seeds and epochs, in the search's order."""
    experiment = read_experiment(folder / "experiment.yaml")
    records = read_records(folder / "records.csv")
    whole = make_ground_truth(
        _among_all(experiment, 1, "random"), replay_from_table(records, folder.name)
    )
    order = tuple(name for name in records["candidate"].unique() if name in whole.points)
    digest = hashlib.sha256((folder / "records.csv").read_bytes()).hexdigest()[:16]
    return Table(folder.name, whole, order, digest)


def _among_all(experiment: Experiment, networks: int, sampler: str) -> Experiment:
    """The experiment with a sampler that may train every network, to the end, one by one."""
    spec = replace(
        experiment.search,
        sampler=cast(Any, sampler),
        step=None,
        trials=networks,
        references=(),
        against=None,
        rungs=None,
        pruner="none",
        race=None,
        cohort=1,
        asynchronous=False,
    )
    return replace(experiment, search=spec)


def resampled(table: Table, random: np.random.Generator) -> ReplaySurface:
    """The table with residuals drawn anew, as large as those on record, at the last epoch.

    Raises ValueError for a table of one seed, which has none.
    """
    runs, last = table.replay.runs, table.last
    values = {
        name: {s: run[last - 1]["accuracy"] for s, run in runs[name].items()} for name in runs
    }
    fit = additive_model(values)
    if fit.variance is None:
        raise ValueError(f"{table.name}: need two seeds to draw residuals, got one")
    fitted = fit.row_effects[:, None] + fit.column_effects
    found = np.array([[values[name][seed] for seed in fit.columns] for name in fit.rows])
    left = (found - fitted).ravel()
    left *= np.sqrt(fit.variance / np.mean(left**2))  # of what degrees of freedom took away
    shown = np.clip(fitted + random.choice(left, size=fitted.shape), 0.0, 1.0)
    other = {
        name: {
            seed: (*runs[name][seed][: last - 1], {**runs[name][seed][last - 1], "accuracy": value})
            for seed, value in zip(fit.columns, map(float, row), strict=True)
        }
        for name, row in zip(fit.rows, shown, strict=True)
    }
    return replace(table.replay, runs=other)


def searched(table: Table, replay: ReplaySurface, sampler: str, world: int) -> Spent:
    """A sampler's search among the networks of a table, which ends when it is near enough."""
    spec = experiment_in_world(
        _among_all(table.ground.experiment, len(replay.runs), sampler), world
    )
    goal = max(table.means(replay).values()) - NEAR + 1e-12  # the engine's means add up otherwise
    spec = replace(spec, search=replace(spec.search, stop=StopSpec(accuracy=goal)))
    found = simulate_search(spec, replace(table.ground, surface=replay), workers=1, seed=world)
    return table.spent([entry.candidate for entry in found.trials], replay)


def shuffled(table: Table, replay: ReplaySurface, world: int) -> Spent:
    order = list(table.order)
    np.random.default_rng([world, 1]).shuffle(order)
    return table.spent(order, replay)


def settings(table: Table) -> dict[str, Callable[[ReplaySurface, int], Spent]]:
    """Ways to choose the order, by name."""

    def by(sampler: str) -> Callable[[ReplaySurface, int], Spent]:
        return lambda replay, world: searched(table, replay, sampler, world)

    return {
        OWN: lambda replay, _: table.spent(list(table.order), replay),
        **{name: by(name) for name in SAMPLERS},
        SHUFFLED: lambda replay, world: shuffled(table, replay, world),
    }


def measured(table: Table, seeds: int, gp_seeds: int) -> Iterator[tuple[str, str, list[Spent]]]:
    """Kind of table, way to choose, and what each search spent."""
    kinds = ("recorded", "resampled") if len(table.replay.seeds) > 1 else ("recorded",)
    for kind in kinds:
        for name, spent in settings(table).items():
            count = 1 if (kind, name) == ("recorded", OWN) else gp_seeds if name == SLOW else seeds
            found = []
            for world in range(count):
                drawn_anew = kind == "resampled"
                random = np.random.default_rng([world, 0])
                found.append(spent(resampled(table, random) if drawn_anew else table.replay, world))
            yield kind, name, found


def bounds(values: NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """90% bootstrap interval of the mean of what each search came to."""
    drawn_again = np.random.default_rng(seed).choice(values, (DRAWS, len(values))).mean(axis=1)
    low, high = np.quantile(drawn_again, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def row(
    table: Mapping[str, Any], one: Mapping[str, Any], null: Mapping[str, Any]
) -> dict[str, Any]:
    """A line of the CSV. ``null``: random search on the same kind of table."""
    spent, other = pd.DataFrame(one["searches"]), pd.DataFrame(null["searches"])
    told: dict[str, Any] = {
        **{name: table[name] for name in ("table", "networks", "seeds", "epochs", "near")},
        "accuracies": one["kind"],
        "order": one["order"],
        "searches": len(spent),
    }
    for name in ("networks", "epochs", "seconds"):
        values = spent[name].to_numpy(float)
        low, high = bounds(values)
        told |= {f"{name}_spent": values.mean(), f"{name}_low": low, f"{name}_high": high}
    told["epochs_10"], told["epochs_90"] = np.quantile(spent["epochs"], [0.1, 0.9])
    told["of_grid"] = told["epochs_spent"] / table["epochs"]
    random = np.random.default_rng(1)
    gains = random.choice(other["epochs"], (DRAWS, len(other))).mean(axis=1) - random.choice(
        spent["epochs"], (DRAWS, len(spent))
    ).mean(axis=1)
    told["saved"] = other["epochs"].mean() - told["epochs_spent"]
    told["saved_low"], told["saved_high"] = np.quantile(gains, [LEVEL / 2, 1 - LEVEL / 2])
    return told


def rows(tables: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All lines. ``near``: how many networks are near enough on record. ``*_spent``: means over
    searches with 90% intervals; ``saved``: epochs, over random search."""
    found = []
    for table in tables:
        null = {one["kind"]: one for one in table["results"] if one["order"] == RANDOM}
        found += [row(table, one, null[one["kind"]]) for one in table["results"]]
    return found


def document(table: Table, seeds: int, gp_seeds: int) -> dict[str, Any]:
    """All searches of a table."""
    means = table.means(table.replay)
    runs = [run for own in table.replay.runs.values() for run in own.values()]
    results = []
    for kind, name, spent in measured(table, seeds, gp_seeds):
        print(f"{table.name}, {kind}: {name}", file=sys.stderr)
        results.append({"kind": kind, "order": name, "searches": spent})
    return {
        "table": table.name,
        "digest": table.digest,
        "asked": [seeds, gp_seeds],
        "networks": len(means),
        "seeds": len(table.replay.seeds),
        "epochs": sum(len(run) for run in runs),
        "near": sum(mean >= max(means.values()) - NEAR for mean in means.values()),
        "results": results,
        "environment": environment_info("cpu"),
    }


def kept(path: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Tables that were searched before, by what was asked of which records."""
    before = json.loads(path.read_text(encoding="utf-8"))["tables"] if path.exists() else []
    return {(one["table"], one["digest"], *one["asked"]): one for one in before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100, help="searches of each kind")
    parser.add_argument("--gp-seeds", type=int, default=40, help="of gp, which takes long")
    parser.add_argument("--fresh", action="store_true", help="take nothing from the last JSON")
    parser.add_argument("--results", type=Path, default=ROOT)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "bayes_vs_grid.json"
    before = {} if options.fresh else kept(path)
    tables = []
    for name in TABLES:
        if (options.results / name / "records.csv").exists():
            table = read_table(options.results / name)
            key = (table.name, table.digest, options.seeds, options.gp_seeds)
            tables.append(before.get(key) or document(table, options.seeds, options.gp_seeds))
    lines = rows(tables)
    write_text(path, json.dumps({"near": NEAR, "tables": tables}, indent=1) + "\n")
    frame = pd.DataFrame(lines)
    write_text(path.with_suffix(".csv"), frame.to_csv(index=False, float_format="%.5g"))
    write_figure(drawn(lines), path.with_suffix(""))
    print(frame[["table", "accuracies", "order", "epochs_spent", "of_grid"]].to_string())


if __name__ == "__main__":
    main()
