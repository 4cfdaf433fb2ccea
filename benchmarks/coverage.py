"""Whether the intervals of an optimum hold the true one as often as they say.

    python benchmarks/coverage.py [--repeats N] [--workers N] [--json] [--out FILE]

Searches are simulated on surfaces whose optimum is known: a 15-point lattice and two references,
moved a little as whole-number networks are, with paired seeds. For each surface: how often the 90%
interval of alpha, beta and gamma holds the truth, how wide it is in shares (one: says nothing),
and how often the joint and the flat region hold it. Where shares make no difference: how often one
is claimed, by the surface or by any of the comparisons with references.
"""

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scalesearch.analysis.conclusion import conclusion
from scalesearch.analysis.convergence import check_convergence
from scalesearch.analysis.optimum import Optimum, optimum
from scalesearch.analysis.polynomials import AXES, simplex_lattice
from scalesearch.analysis.response_model import fit_response_model
from scalesearch.results.environment import environment_info

Floats = NDArray[np.float64]
OUT = Path(__file__).parents[1] / "results" / "benchmarks" / "coverage.json"
LEVEL = 0.1
NEAR = 2e-4
"""How near to a bound, in shares, still counts as inside: as exactly as places are looked up."""
REFERENCES = np.array([[1 / 3, 1 / 3, 1 / 3], [0.28, 0.29, 0.43]])
GAINS = {1: -0.35, 3: -0.15, 9: 0.0}
"""Accuracy at the rungs of a halved search, below that of the last."""


@dataclass(frozen=True, slots=True)
class Case:
    """``accuracy``: the surface. ``noise``: standard deviation of a run, after its seed.
    ``deviation``: of a network from the surface. ``halved``: two thirds stop at each rung."""

    accuracy: Callable[[Floats], Floats]
    seeds: int = 3
    noise: float = 0.008
    deviation: float = 0.0
    candidates: int = 17
    halved: bool = False


def hill(depth: float, width: float, steepness: float = 0.15) -> Callable[[Floats], Floats]:
    """A quadratic with its top at these shares, which may lie outside of the simplex."""
    bend = steepness * np.array([[1.0, 0.2], [0.2, 0.7]])

    def accuracy(shares_N3: Floats) -> Floats:
        away = shares_N3[:, :2] - np.array([depth, width])
        return 0.7 - np.einsum("ni,ij,nj->n", away, bend, away)

    return accuracy


def saturating(*needs: float) -> Callable[[Floats], Floats]:
    """Every axis helps less and less: no polynomial."""
    return lambda shares_N3: 0.7 - 0.12 * (np.array(needs) * np.exp(-3 * shares_N3)).sum(axis=1)


def flat(shares_N3: Floats) -> Floats:
    return np.full(len(shares_N3), 0.7)


CASES: dict[str, Case] = {
    "interior": Case(hill(0.3, 0.3)),
    "interior, two seeds, rough": Case(hill(0.3, 0.3), seeds=2, deviation=0.004),
    "interior, one seed": Case(hill(0.3, 0.3), seeds=1),
    "interior, short proxy": Case(hill(0.3, 0.3), noise=0.02, deviation=0.005),
    "interior, gentle": Case(hill(0.3, 0.3, 0.05)),
    "interior, ten candidates": Case(hill(0.3, 0.3), deviation=0.004, candidates=10),
    "interior, halved": Case(hill(0.3, 0.3), deviation=0.004, candidates=27, halved=True),
    "near a corner": Case(hill(0.1, 0.25), deviation=0.004),
    "on an edge": Case(hill(0.0, 0.45), deviation=0.004),
    "beyond an edge": Case(hill(-0.3, 0.5), deviation=0.004),
    "saturating": Case(saturating(0.5, 1.0, 1.2)),
    "saturating, at an edge": Case(saturating(0.1, 1.0, 1.5)),
}
FLAT = Case(flat)


def places(case: Case, random: np.random.Generator) -> Floats:
    """Shares of the candidates: the lattice and the references, each moved to a network nearby."""
    shares = np.vstack([simplex_lattice((0, 1, 2), 4), REFERENCES])
    if case.candidates > len(shares):
        shares = np.vstack([simplex_lattice((0, 1, 2), 6), REFERENCES])
    chosen = np.sort(random.permutation(len(shares))[: case.candidates])
    shares = shares[chosen]
    moved = np.clip(shares + random.normal(0, 0.03, shares.shape) * (shares % 1 > 0), 0, 1)
    return moved / moved.sum(axis=1, keepdims=True)


def records(case: Case, random: np.random.Generator) -> pd.DataFrame:
    """The columns that the analysis reads, of one simulated search."""
    shares_N3 = places(case, random)
    own = case.accuracy(shares_N3) + random.normal(0, case.deviation, len(shares_N3))
    rungs, rows = GAINS if case.halved else {9: 0.0}, []
    alive = np.arange(len(shares_N3))
    for epoch, gain in rungs.items():
        seeds = case.seeds if epoch == 9 else 1
        runs = own[alive, None] + gain + random.normal(0, 0.01, seeds)
        runs = runs + random.normal(0, case.noise, runs.shape)
        rows += [
            (f"c{index:03}", seed, epoch, *shares_N3[index], accuracy, "")
            for index, each in zip(alive, runs, strict=True)
            for seed, accuracy in enumerate(each)
        ]
        keep = max(9, len(alive) // 3)
        alive = np.sort(alive[np.argsort(-runs[:, 0])[:keep]])
    names = ["candidate", "seed", "epoch", *(f"{axis}_share" for axis in AXES), "accuracy"]
    table = pd.DataFrame(rows, columns=[*names, "stopped"])
    reached = table.groupby("candidate")["epoch"].transform("max")
    return table.assign(stopped=np.where(reached < 9, "halved", ""))


ROLES = {"depth": 14, "width": 4, "resolution": 0, "uniform": 15, "paper": 16}
"""Which candidates of the lattice of 15 and its two references stand for what."""


def whole(case: Case, random: np.random.Generator) -> pd.DataFrame:
    """The same with all that a conclusion reads: a factor of 2 spent as the shares say, and the
    more activations the more resolution."""
    table = records(case, random)
    roles = {f"c{place:03}": name for name, place in ROLES.items()}
    depth, width, resolution = (table[f"{axis}_share"] for axis in AXES)
    spent = {"alpha": 2**depth, "beta": 2 ** (width / 2), "gamma": 2 ** (resolution / 2)}
    return table.assign(
        role=[roles.get(name, "searched") for name in table["candidate"]],
        **spent,
        **{f"asked_{name}": values for name, values in spent.items()},
        deviation=0.0,
        factor=2.0,
        macs=1000,
        params=100,
        activations=(100 * (1 + resolution)).round().astype(int),
    )


def truth(case: Case) -> Floats:
    """Where the surface is highest, on finer and finer grids."""
    grid = simplex_lattice((0, 1, 2), 21)  # with the middle, from which one may move along an edge
    best: Floats = grid[np.argmax(case.accuracy(grid))]
    for spread in (0.1, 0.01, 0.001):
        near = best + spread * (grid - 1 / 3) * 2
        near = np.vstack([best, near[near.min(axis=1) >= -1e-12]])
        best = near[np.argmax(case.accuracy(near))]
    return best


@dataclass(frozen=True, slots=True)
class Coverage:
    """``covered``: of the repetitions, by axis; ``mean_covered``: over the axes whose true share is
    more than nothing, since an interval cannot miss the end of its axis. ``width``: median, in
    shares, by axis.
    ``distance``: median of the point found from the truth, on the simplex (corners: 1.41)."""

    covered: dict[str, float]
    mean_covered: float
    width: dict[str, float]
    region_covered: float
    flat_covered: float
    flat_part: float
    distance: float
    regret: float
    seconds: float


def coverage(case: Case, repeats: int, seed: int = 0) -> Coverage:
    """What ``repeats`` simulated searches came to."""
    best, random = truth(case), np.random.default_rng(seed)
    inside, widths, region, level, parts, away, regret, seconds = ([] for _ in range(8))
    for _ in range(repeats):
        table = records(case, random)
        began = time.perf_counter()
        found = optimum(table, 2.0, level=LEVEL)
        seconds.append(time.perf_counter() - began)
        bounds = [found.share_intervals[axis] for axis in AXES]
        inside.append(
            [
                one.low - NEAR <= true <= one.high + NEAR
                for one, true in zip(bounds, best, strict=True)
            ]
        )
        widths.append([one.width for one in bounds])
        region.append(in_region(found, best))
        level.append(
            np.abs(found.equivalent_shares - best).max(axis=1).min() < 0.042
        )  # within one step
        parts.append(found.equivalent_fraction)
        point = np.array([found.shares.as_tuple()])
        away.append(float(np.linalg.norm(point - best)))
        regret.append(float((case.accuracy(best[None]) - case.accuracy(point))[0]))
    covered = np.mean(inside, axis=0)
    return Coverage(
        covered=by_axis(covered),
        mean_covered=float(covered[best > NEAR].mean()),
        width=by_axis(np.median(widths, axis=0)),
        region_covered=float(np.mean(region)),
        flat_covered=float(np.mean(level)),
        flat_part=float(np.median(parts)),
        distance=float(np.median(away)),
        regret=float(np.mean(regret)),
        seconds=float(np.median(seconds)),
    )


def coverage_of(name: str, repeats: int) -> Coverage:
    return coverage(CASES[name], repeats)


def line(name: str, one: Coverage) -> str:
    return (
        f"{name:28} {one.mean_covered:.3f} {list(one.covered.values())}   widths "
        f"{list(one.width.values())}   region {one.region_covered:.3f}   flat "
        f"{one.flat_covered:.3f} ({one.flat_part:.2f} of all)"
    )


def by_axis(values: Any) -> dict[str, float]:
    return {axis: round(float(value), 4) for axis, value in zip(AXES, values, strict=True)}


def in_region(found: Optimum, place: Floats, near: float = 0.01) -> bool:
    """Whether a place lies in the joint region, or next to it."""
    corners, point = np.array(found.region)[:, :2], place[:2]
    following = np.roll(corners, -1, axis=0)
    edges, toward = following - corners, point - corners
    lengths = np.maximum(np.square(edges).sum(axis=1), 1e-12)
    along = np.clip((edges * toward).sum(axis=1) / lengths, 0, 1)
    if np.linalg.norm(toward - along[:, None] * edges, axis=1).min() < near:
        return True
    if len(corners) < 3:
        return False
    turns = edges[:, 0] * toward[:, 1] - edges[:, 1] * toward[:, 0]
    return bool((turns >= 0).all() or (turns <= 0).all())


def rejections(repeats: int, seed: int = 0) -> dict[str, float]:
    """On a flat surface: how often something is called significant, at a tenth."""
    random = np.random.default_rng(seed)
    tables = [whole(FLAT, random) for _ in range(repeats)]
    found = [optimum(table, 2.0, level=LEVEL) for table in tables]
    tests = [fit_response_model(table).lack_of_fit["quadratic"].p for table in tables]
    told = [conclusion(table, 2.0, level=LEVEL).comparisons for table in tables]
    stops = [check_convergence(table, 2.0, use_expected_gain=True).is_converged for table in tables]
    return {
        "shares_matter": float(np.mean([one.p_flat < LEVEL for one in found])),
        "lack_of_fit": float(np.mean(np.array(tests) < LEVEL)),
        "compared": float(np.mean([any(one.settled for one in each) for each in told])),
        "settled": float(np.mean(stops)),
        "median_width": float(np.median([one.share_intervals["depth"].width for one in found])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one JSON document, nothing else")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    found = {}
    with ProcessPoolExecutor(options.workers) as pool:
        flat_one = pool.submit(rejections, options.repeats)
        each = pool.map(coverage_of, CASES, [options.repeats] * len(CASES))
        for name, one in zip(CASES, each, strict=True):
            found[name] = one
            if not options.json:
                print(line(name, one), flush=True)
        flat_found = flat_one.result()
    document = {
        "level": LEVEL,
        "repeats": options.repeats,
        "mean_covered": float(np.mean([one.mean_covered for one in found.values()])),
        "median_width": float(np.median([[*one.width.values()] for one in found.values()])),
        "surfaces": {name: asdict(one) for name, one in found.items()},
        "flat": flat_found,
        "environment": environment_info("cpu"),
    }
    options.out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2) if options.json else f"{options.out}: {document['flat']}")


if __name__ == "__main__":
    main()
