"""Named recipes: YAML files beside this one, each with the setting it stands for."""

from functools import cache
from pathlib import Path
from typing import Any

from scalesearch.recipe import Recipe
from scalesearch.validation import validate_document
from scalesearch.yaml_files import read_yaml

FOLDER = Path(__file__).parent
PRESETS: tuple[str, ...] = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
"""Names; ``recipe: {preset: fast, epochs: 9}`` starts from one and changes a part."""


def preset_document(name: str) -> dict[str, Any]:
    """What a preset's file says; fields it leaves out keep ``Recipe``'s values."""
    document = read_yaml(FOLDER / f"{name}.yaml")
    if not isinstance(document, dict):
        raise TypeError(f"{FOLDER / name}.yaml: need a mapping, got {document!r}")
    return document


@cache
def preset(name: str) -> Recipe:
    """The recipe of a name in ``PRESETS``."""
    return validate_document(Recipe, preset_document(name), f"preset {name}", [])
