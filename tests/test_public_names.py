"""Every public name can be imported, is documented, and is loaded at its first use."""

import importlib
import inspect
import subprocess
import sys

import pytest

import scalesearch

CONSTANTS = [name for name in scalesearch.__all__ if name.isupper()]
FUNCTIONS_AND_CLASSES = [name for name in scalesearch.__all__ if not name.isupper()]


@pytest.mark.parametrize("name", FUNCTIONS_AND_CLASSES)
def test_a_public_function_or_class_can_be_imported_and_is_documented(name):
    public = getattr(scalesearch, name)
    assert public.__name__ == name
    assert public.__doc__
    if inspect.isfunction(public):
        assert set(public.__annotations__) >= {"return", *inspect.signature(public).parameters}


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_public_constant_can_be_imported(name):
    assert getattr(scalesearch, name)


def test_a_public_name_is_not_that_of_a_package():
    for name in scalesearch.__all__:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(f"scalesearch.{name}")


@pytest.mark.parametrize("name", FUNCTIONS_AND_CLASSES)
def test_a_public_function_does_not_share_its_packages_name(name):
    *packages, _module = getattr(scalesearch, name).__module__.split(".")
    assert name not in packages


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
