"""Simulated searches, from the benchmark that measures how often intervals hold the truth."""

import importlib.util
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


@pytest.fixture(scope="session")
def simulated():
    """The benchmark's module: ``Case``, ``hill``, ``records(case, random)``, ``coverage``."""
    spec = importlib.util.spec_from_file_location("coverage_benchmark", SCRIPT)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def whole(simulated):
    """A simulated search with all columns, ``whole(seed, **case)``: depth is x2 at a share of 1,
    and what has more resolution has more activations."""
    return partial(_whole, simulated)


ROLES = {"depth": 14, "width": 4, "resolution": 0, "uniform": 15, "paper": 16}
"""Where a lattice of 15 and two references have them."""


def _whole(simulated, seed=0, **case):
    case = {"accuracy": simulated.hill(0.3, 0.3), **case}
    table = simulated.records(simulated.Case(**case), np.random.default_rng(seed))
    roles = {f"c{place:03}": name for name, place in ROLES.items()}
    depth, width, resolution = (table[f"{axis}_share"] for axis in ("depth", "width", "resolution"))
    return table.assign(
        role=table.candidate.map(lambda name: roles.get(name, "searched")),
        alpha=2.0**depth,
        beta=2.0 ** (width / 2),
        gamma=2.0 ** (resolution / 2),
        asked_alpha=2.0**depth,
        asked_beta=2.0 ** (width / 2),
        asked_gamma=2.0 ** (resolution / 2),
        deviation=0.0,
        factor=2.0,
        macs=1000,
        params=100,
        activations=(100 * (1 + resolution)).round().astype(int),
    )
