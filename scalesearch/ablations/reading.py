"""An ablation's file, at one of its sizes -> an Ablation.

The networks stand in the file, so that they can be read, and changed for one's own question; what
the paper says of them is in ``published``. A test holds the files' full size to ``published``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalesearch.ablations.spec import Ablation
from scalesearch.errors import ExperimentError
from scalesearch.experiment import apply_override
from scalesearch.validation import validate_document, suggestion
from scalesearch.yaml_files import read_yaml

SIZES = ("smoke", "small", "full")
ABLATION_FOLDERS = (
    Path(__file__).parent / "files",  # as it is installed
    Path(__file__).parents[2] / "experiments" / "ablations",  # in a checkout
)
FULL_SIZE = "full"


def ablation_names() -> tuple[str, ...]:
    """Names of the ablations that come with scalesearch."""
    return tuple(sorted({path.stem for folder in ABLATION_FOLDERS for path in folder.glob("*.yaml")}))


def read_ablation(name: str, size: str = FULL_SIZE, overrides: Sequence[str] = ()) -> Ablation:
    """The ablation of that name, or in the YAML file of that path, at a size.

    ``overrides``: ``dotted.key=value``, the last word after the size's. Raises ExperimentError with
    every problem found.
    """
    path = _ablation_path(name)
    document = read_yaml(path)
    if not isinstance(document, Mapping):
        raise ExperimentError(f"{path}: need a mapping of keys to values, got {document!r}")
    document = dict(document)
    sizes = {FULL_SIZE: {}, **_optional_mapping(document.pop("sizes", None), f"{path}: sizes")}
    if size not in sizes:
        raise ExperimentError(f"{path}: unknown size {size!r}; {suggestion(size, sizes)}")
    size_settings = _optional_mapping(sizes[size], f"{path}: sizes.{size}")
    document = merge_mappings(document, {**size_settings, "size": size})
    for setting in overrides:
        apply_override(document, setting)
    document["series"] = _series_list(document.get("series"), path)
    if isinstance(baselines := document.get("baselines"), Mapping):
        document["baselines"] = {k: v for k, v in baselines.items() if v is not None}
    return validate_document(Ablation, document, str(path), [])


def merge_mappings(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings, ``over`` on top."""
    result = dict(base)
    for key, value in override.items():
        base_value = base.get(key)
        if isinstance(value, Mapping):
            result[key] = merge_mappings(base_value if isinstance(base_value, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _optional_mapping(value: Any, location: str) -> Mapping[str, Any]:
    """A part of a file that may be left out."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ExperimentError(f"{location}: need a mapping of keys to values, got {value!r}")
    return value


def _ablation_path(name: str) -> Path:
    if Path(name).suffix in (".yaml", ".yml"):
        return Path(name)
    path = next((p for folder in ABLATION_FOLDERS if (p := folder / f"{name}.yaml").is_file()), None)
    if path is None:
        raise ExperimentError(
            f"ablation: unknown name {name!r}; {suggestion(name, ablation_names())}, or give the path of a "
            "YAML file"
        )
    return path


def _series_list(series: Any, path: Path) -> list[dict[str, Any]]:
    """The series with their names; a size leaves one out by setting it to null."""
    if not isinstance(series, Mapping):
        raise ExperimentError(
            f"{path}: series: need a mapping of names to networks, got {series!r}"
        )
    series = {name: value for name, value in series.items() if value is not None}
    invalid = [name for name, value in series.items() if not isinstance(value, Mapping)]
    if invalid:
        raise ExperimentError(f"{path}: series.{invalid[0]}: need a mapping such as {{width: 2}}")
    return [{"name": str(name), **value} for name, value in series.items()]
