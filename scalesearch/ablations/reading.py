"""An ablation's file, at one of its sizes -> an Ablation.

The networks stand in the file, so that they can be read, and changed for one's own question; what
the paper says of them is in ``published``. A test holds the files' full size to ``published``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scalesearch.ablations.spec import Ablation
from scalesearch.errors import ExperimentError
from scalesearch.experiment import override
from scalesearch.validation import checked, hint
from scalesearch.yaml_files import read_yaml

SIZES = ("smoke", "small", "full")
HOMES = (
    Path(__file__).parent / "files",  # as it is installed
    Path(__file__).parents[2] / "experiments" / "ablations",  # in a checkout
)
FULL = "full"


def ablations() -> tuple[str, ...]:
    """Names of the ablations that come with scalesearch."""
    return tuple(sorted({path.stem for home in HOMES for path in home.glob("*.yaml")}))


def read_ablation(name: str, size: str = FULL, overrides: Sequence[str] = ()) -> Ablation:
    """The ablation of that name, or in the YAML file of that path, at a size.

    ``overrides``: ``dotted.key=value``, the last word after the size's. Raises ExperimentError with
    every problem found.
    """
    path = _path(name)
    document = read_yaml(path)
    if not isinstance(document, Mapping):
        raise ExperimentError(f"{path}: need a mapping of keys to values, got {document!r}")
    document = dict(document)
    sizes = {FULL: {}, **_mapping(document.pop("sizes", None), f"{path}: sizes")}
    if size not in sizes:
        raise ExperimentError(f"{path}: unknown size {size!r}; {hint(size, sizes)}")
    own = _mapping(sizes[size], f"{path}: sizes.{size}")
    document = merged(document, {**own, "size": size})
    for setting in overrides:
        override(document, setting)
    document["series"] = _listed(document.get("series"), path)
    if isinstance(baselines := document.get("baselines"), Mapping):
        document["baselines"] = {k: v for k, v in baselines.items() if v is not None}
    return checked(Ablation, document, str(path), [])


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings, ``over`` on top."""
    result = dict(under)
    for key, value in over.items():
        below = under.get(key)
        if isinstance(value, Mapping):
            result[key] = merged(below if isinstance(below, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    """A part of a file that may be left out."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ExperimentError(f"{where}: need a mapping of keys to values, got {value!r}")
    return value


def _path(name: str) -> Path:
    if Path(name).suffix in (".yaml", ".yml"):
        return Path(name)
    found = next((p for home in HOMES if (p := home / f"{name}.yaml").is_file()), None)
    if found is None:
        raise ExperimentError(
            f"ablation: unknown name {name!r}; {hint(name, ablations())}, or give the path of a "
            "YAML file"
        )
    return found


def _listed(series: Any, path: Path) -> list[dict[str, Any]]:
    """The series with their names; a size leaves one out by setting it to null."""
    if not isinstance(series, Mapping):
        raise ExperimentError(
            f"{path}: series: need a mapping of names to networks, got {series!r}"
        )
    series = {name: value for name, value in series.items() if value is not None}
    wrong = [name for name, value in series.items() if not isinstance(value, Mapping)]
    if wrong:
        raise ExperimentError(f"{path}: series.{wrong[0]}: need a mapping such as {{width: 2}}")
    return [{"name": str(name), **value} for name, value in series.items()]
