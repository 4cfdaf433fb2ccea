"""Simulated searches from the benchmark of interval coverage."""

import importlib.util
import sys
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
    """A simulated search with all columns, ``whole(seed, **case)``: a hill if nothing else."""

    def table(seed=0, **case):
        case = {"accuracy": simulated.hill(0.3, 0.3), **case}
        return simulated.whole(simulated.Case(**case), np.random.default_rng(seed))

    return table
