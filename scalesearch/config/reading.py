"""Experiment files and named recipes: read, checked, overridden and written.

All problems of a file are reported at once, each with its dotted path.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from scalesearch.config.experiment import Experiment, architecture_from_document, is_yaml_name
from scalesearch.config.recipe import Recipe
from scalesearch.config.validation import suggestion, validate_document
from scalesearch.errors import ExperimentError
from scalesearch.io import parse_yaml, read_yaml, to_document, write_text
from scalesearch.scaling.rounding import rounding_from

FOLDER = Path(__file__).parent / "presets"
PRESETS: tuple[str, ...] = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
"""Names of recipes; ``recipe: {preset: fast, epochs: 9}`` starts from one and changes a part."""


def preset_document(name: str) -> dict[str, Any]:
    """Content of a preset's file; fields that it omits keep ``Recipe``'s defaults."""
    document = read_yaml(FOLDER / f"{name}.yaml")
    if not isinstance(document, dict):
        raise TypeError(f"{FOLDER / name}.yaml: need a mapping, got {document!r}")
    return document


@cache
def preset(name: str) -> Recipe:
    """Recipe of a name in ``PRESETS``."""
    return validate_document(Recipe, preset_document(name), f"preset {name}", [])


FACTOR_INFIX = "-factor-"
"""Text between the name of a file's experiment and the factor, if it has several."""


def read_experiment(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read and check an experiment file; overrides are ``dotted.key=value``.

    Raises ExperimentError with every problem found, one a line.
    """
    document = _read_document(path, overrides)
    if (factors := _factors(document)) is not None:
        raise ExperimentError(
            f"{path}: budget.factor: need one factor here, got {factors}; choose one by --set "
            "budget.factor=2 (`scalesearch search` runs a search for each)"
        )
    return experiment_from_document(document, str(path))


def read_experiments(path: str | Path, overrides: Sequence[str] = ()) -> tuple[Experiment, ...]:
    """Read the experiments of a file, one for each factor of its budget.

    With several, ``-factor-2`` and so on follows the file's name. Raises ExperimentError as
    ``read_experiment`` does, for a list without two different factors, and for a list with points.
    """
    document = _read_document(path, overrides)
    factors = _factors(document)
    if factors is None:
        return (experiment_from_document(document, str(path)),)
    are_numbers = all(
        isinstance(factor, int | float) and not isinstance(factor, bool) for factor in factors
    )
    if not are_numbers or len(set(factors)) < max(2, len(factors)):
        raise ExperimentError(
            f"{path}: budget.factor: need a number, or two and more that differ, got {factors}"
        )
    single_factor_document = {**document, "budget": {**document["budget"], "factor": factors[0]}}
    first_experiment = experiment_from_document(single_factor_document, str(path))
    if first_experiment.search.sampler == "points":
        raise ExperimentError(
            f"{path}: budget.factor: need one number for points, got {factors}; a point may have a "
            "factor of its own"
        )
    return tuple(
        experiment_from_document(
            {
                **single_factor_document,
                "name": f"{first_experiment.name}{FACTOR_INFIX}{factor:g}",
                "budget": {**single_factor_document["budget"], "factor": factor},
            },
            str(path),
        )
        for factor in factors
    )


def _read_document(path: str | Path, overrides: Sequence[str]) -> Any:
    """Read a file's document and apply the overrides."""
    document = read_yaml(Path(path))
    if document is None:
        raise ExperimentError(f"{path}: the file is empty; begin with `name: ...`")
    for override in overrides:
        apply_override(document, override)
    return document


def _factors(document: Any) -> list[Any] | None:
    """List of factors of a document that has one."""
    budget = document.get("budget") if isinstance(document, Mapping) else None
    factor = budget.get("factor") if isinstance(budget, Mapping) else None
    return factor if isinstance(factor, list) else None


def experiment_from_document(document: Any, origin: str = "experiment") -> Experiment:
    """Experiment of a mapping; ``origin`` names its source in messages."""
    problems: list[str] = []
    if isinstance(document, Mapping):
        document = _with_network(_with_preset(document, problems))
        document = _with_rounding(document, problems)
    return validate_document(Experiment, document, origin, problems)


def write_experiment(path: Path, experiment: Experiment) -> None:
    """Write the resolved experiment as YAML that ``read_experiment`` reads back."""
    write_text(path, yaml.safe_dump(to_document(experiment), sort_keys=False))


def apply_override(document: Any, override: str) -> None:
    """Set a value in a document by ``dotted.key=value``. Raises ExperimentError."""
    key, equals, value_text = override.partition("=")
    if not equals or not key:
        raise ExperimentError(f"--set {override}: need key=value, such as recipe.epochs=3")
    try:
        value = parse_yaml(value_text)
    except yaml.YAMLError as error:
        raise ExperimentError(f"--set {override}: the value is not valid YAML: {error}") from error
    *parents, leaf = key.split(".")
    for parent in parents:
        if not isinstance(document, dict):
            break
        document = document.setdefault(parent, {})
    if not isinstance(document, dict):
        raise ExperimentError(f"--set {override}: {key.rpartition('.')[0]} holds no further keys")
    document[leaf] = value


def experiment_differences(first: Experiment, second: Experiment) -> list[str]:
    """Dotted keys in which two experiments differ, with both values."""
    first_items, second_items = (
        dict(_flat_items(to_document(experiment))) for experiment in (first, second)
    )
    return [
        f"{key}: {first_items.get(key)!r} here, {second_items.get(key)!r} there"
        for key in first_items | second_items  # a part that only one has is compared by its keys
        if first_items.get(key) != second_items.get(key)
    ]


def _with_preset(document: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Document with ``recipe: {preset: NAME, ...}`` written out."""
    recipe = document.get("recipe")
    if not isinstance(recipe, Mapping) or "preset" not in recipe:
        return dict(document)
    preset, recipe_changes = recipe["preset"], {k: v for k, v in recipe.items() if k != "preset"}
    if isinstance(preset, str) and preset in PRESETS:
        return {**document, "recipe": _merged(preset_document(preset), recipe_changes)}
    problems.append(f"recipe.preset: unknown {preset!r}; {suggestion(preset, PRESETS)}")
    return {**document, "recipe": recipe_changes}


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings; if both have a key, the second changes it or a part of it."""
    merged_parts = {
        key: _merged(base[key], value)
        for key, value in changes.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }
    return {**base, **changes, **merged_parts}


def _with_rounding(document: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """Document with ``budget.rounding: {profile: NAME, ...}`` written out."""
    budget = document.get("budget")
    if not isinstance(budget, Mapping) or not isinstance(budget.get("rounding"), Mapping):
        return document
    try:
        rounding = {"rounding": dataclasses.asdict(rounding_from(dict(budget["rounding"])))}
    except ValueError as error:
        problems.extend(f"budget.rounding.{part}" for part in str(error).splitlines())
        rounding = {}
    budget_rest = {key: value for key, value in budget.items() if key != "rounding"}
    return {**document, "budget": {**budget_rest, **rounding}}


def _with_network(document: dict[str, Any]) -> dict[str, Any]:
    """Document with ``baseline: {name: FILE.yaml}`` written out.

    So a results folder holds the searched network, even if the file changes later.
    """
    spec = document.get("baseline")
    if not isinstance(spec, Mapping) or spec.get("network") is not None:
        return document
    if not is_yaml_name(str(spec.get("name", ""))):
        return document
    network = architecture_from_document(read_yaml(Path(spec["name"])), spec["name"])
    return {**document, "baseline": {**spec, "network": dataclasses.asdict(network)}}


def _flat_items(document: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat_items(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value
