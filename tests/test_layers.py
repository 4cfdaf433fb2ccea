import os
import subprocess
import sys

import pytest

HEAVY = ("matplotlib", "optuna", "pandas", "pydantic", "scipy", "sklearn", "torch")


def modules_after_import(statement):
    """The heavy libraries that a fresh interpreter has loaded after a statement."""
    program = f"import sys; {statement}; print(*(name for name in {HEAVY} if name in sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300
    )
    return run.stdout.split()


@pytest.mark.parametrize(
    "statement",
    [
        "import scalesearch",
        "import scalesearch.config.recipe, scalesearch.scaling.coefficients, scalesearch.errors",
        "import scalesearch.candidates.iso_cost",
    ],
)
def test_the_pure_layer_loads_no_heavy_library(statement):
    assert modules_after_import(statement) == []


def test_networks_and_their_costs_do_not_even_need_numpy():
    program = "import sys, scalesearch.architectures; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


def test_imports_go_down_only():
    lint = os.path.join(os.path.dirname(sys.executable), "lint-imports")
    run = subprocess.run([lint, "--no-logo"], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
