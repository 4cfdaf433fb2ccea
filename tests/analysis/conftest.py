"""Simulated searches, from the benchmark that measures how often intervals hold the truth."""

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "coverage.py"


@pytest.fixture(scope="session")
def simulated():
    """The benchmark's module: ``Case``, ``hill``, ``records(case, random)``, ``coverage``."""
    spec = importlib.util.spec_from_file_location("coverage_benchmark", SCRIPT)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
