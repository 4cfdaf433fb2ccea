"""Networks that a file or a folder of ours holds: a family's members, a search's candidates."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.architectures import Architecture, Foreign
from scalesearch.architectures.fingerprint import from_json
from scalesearch.environment import read_environment
from scalesearch.errors import ExperimentError, SearchError
from scalesearch.experiment import read_experiment
from scalesearch.search.driver import source_of
from scalesearch.validation import hint
from scalesearch.yaml_files import read_yaml


@dataclass(frozen=True, slots=True)
class Held:
    """A network by its name, the baseline that it was scaled from, and the regularisation that a
    family document gives it."""

    name: str
    network: Architecture | Foreign
    baseline: Architecture | Foreign
    dropout: float = 0.0
    drop_connect: float = 0.0


def holds(text: str) -> bool:
    """Whether a text has the form FILE:MEMBER or FOLDER:CANDIDATE, of a file or folder there is."""
    place, colon, name = text.rpartition(":")
    return bool(colon and name) and (
        Path(place).is_dir() or Path(place).suffix in (".json", ".yaml", ".yml")
    )


def held(text: str) -> Held:
    """The member of a family document, or the candidate of a search's folder.

    FILE:b2, a file of ``scalesearch family --out``; FOLDER:FINGERPRINT, or as much of it as is
    unambiguous; FOLDER:best, the network of its ``coefficients.json``.
    Raises ExperimentError or SearchError, saying what there is.
    """
    place, _, name = text.rpartition(":")
    return _candidate(Path(place), name) if Path(place).is_dir() else _member(Path(place), name)


def members(path: Path) -> list[Held]:
    """All networks of a family document. Raises ExperimentError for another file."""
    document = read_yaml(path)  # JSON is YAML
    if not isinstance(document, Mapping) or document.get("schema") != "scalesearch/family":
        raise ExperimentError(
            f"{path}: need the document of a family, as `scalesearch family --out DIR` writes it"
        )
    try:
        baseline = _network(document["baseline"])
        return [
            Held(
                row["name"],
                _network(row["architecture"]),
                baseline,
                float(row.get("dropout", 0)),
                float(row.get("drop_connect", 0)),
            )
            for row in document["members"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ExperimentError(f"{path}: not a whole family document: {error}") from error


def _member(path: Path, name: str) -> Held:
    networks = {one.name: one for one in members(path)}
    if name in networks:
        return networks[name]
    raise ExperimentError(f"{path}: no member {name!r}; {hint(name, networks)}")


def _candidate(folder: Path, name: str) -> Held:
    if not (folder / "experiment.yaml").is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    wanted = _best(folder) if name == "best" else name
    experiment = read_experiment(folder / "experiment.yaml")
    data = read_environment(folder / "environment.json")["data"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the plan: whoever began it has seen them
        source = source_of(experiment, data)
    planned = [item.candidate for item in source.planned]  # of a nominal budget not all are listed
    every = {one.fingerprint: one for one in (*source.where.candidates, *planned)}
    baseline, candidates = source.where.baseline, list(every.values())
    found = [c for c in candidates if c.fingerprint.startswith(wanted)]
    if len(found) == 1:
        return Held(found[0].fingerprint, found[0].architecture, baseline)
    names = ", ".join(c.fingerprint for c in found[:3]) or "none"
    raise SearchError(
        f"{folder}: need the fingerprint of one of {len(candidates)} candidates, as `scalesearch "
        f"status` lists them, got {wanted!r}, with which {names} begin"
    )


def _best(folder: Path) -> str:
    path = folder / "coefficients.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["candidate"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SearchError(
            f"{path}: tells no best candidate yet ({error}); end the search"
        ) from error


def _network(document: Any) -> Architecture | Foreign:
    return from_json(dict(document))
