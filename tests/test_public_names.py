"""Every public name is there, documented, and costs nothing until it is used."""

import importlib
import subprocess
import sys

import pytest

import scalesearch


@pytest.mark.parametrize("name", scalesearch.__all__)
def test_a_public_name_is_what_it_is_called_and_says_what_it_means(name):
    thing = getattr(scalesearch, name)
    assert thing.__name__ == name
    assert thing.__doc__


def test_no_public_name_is_hidden_by_a_module_of_that_name():
    for name in scalesearch.__all__:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(f"scalesearch.{name}")


def test_a_name_that_is_not_public_is_refused_by_name():
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        _ = scalesearch.serach


def test_importing_scalesearch_loads_neither_torch_nor_optuna():
    heavy = "('torch', 'optuna', 'pandas')"
    program = f"import sys, scalesearch; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
