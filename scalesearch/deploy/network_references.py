"""Networks referenced in our files: members of a family, candidates of a search."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import from_json
from scalesearch.architectures.stages import Architecture
from scalesearch.config.reading import read_experiment
from scalesearch.config.validation import suggestion
from scalesearch.errors import ExperimentError, SearchError
from scalesearch.io import read_yaml
from scalesearch.results.environment import read_environment
from scalesearch.search.candidate_source import CandidateSource


@dataclass(frozen=True, slots=True)
class ReferencedNetwork:
    """A network by its name, with its baseline and regularisation."""

    name: str
    network: Architecture | CustomModel
    baseline: Architecture | CustomModel
    dropout: float = 0.0
    drop_connect: float = 0.0


def is_network_reference(reference: str) -> bool:
    """Whether a text has the form FILE:MEMBER or FOLDER:CANDIDATE and the path exists."""
    path, colon, name = reference.rpartition(":")
    return bool(colon and name) and (
        Path(path).is_dir() or Path(path).suffix in (".json", ".yaml", ".yml")
    )


def network_from_reference(reference: str) -> ReferencedNetwork:
    """Network of a reference: a member of a family document, or a search's candidate.

    FILE:b2, a file of ``scalesearch family --out``; FOLDER:FINGERPRINT, or its unambiguous
    beginning; FOLDER:best, the network of its ``coefficients.json``. Raises ExperimentError or
    SearchError that lists the choices.
    """
    path, _, name = reference.rpartition(":")
    return (
        _search_candidate(Path(path), name)
        if Path(path).is_dir()
        else _family_member(Path(path), name)
    )


def family_networks(path: Path) -> list[ReferencedNetwork]:
    """All networks of a family document. Raises ExperimentError for another file."""
    document = read_yaml(path)  # JSON is YAML
    if not isinstance(document, Mapping) or document.get("schema") != "scalesearch/family":
        raise ExperimentError(
            f"{path}: need the document of a family, as `scalesearch family --out DIR` writes it"
        )
    try:
        baseline = _to_architecture(document["baseline"])
        return [
            ReferencedNetwork(
                row["name"],
                _to_architecture(row["architecture"]),
                baseline,
                float(row.get("dropout", 0)),
                float(row.get("drop_connect", 0)),
            )
            for row in document["members"]
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ExperimentError(
            f"{path}: need a complete family document, got an error: {error}"
        ) from error


def _family_member(path: Path, name: str) -> ReferencedNetwork:
    networks = {member.name: member for member in family_networks(path)}
    if name in networks:
        return networks[name]
    raise ExperimentError(f"{path}: no member {name!r}; {suggestion(name, networks)}")


def _search_candidate(folder: Path, name: str) -> ReferencedNetwork:
    if not (folder / "experiment.yaml").is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    prefix = _recommended_fingerprint(folder) if name == "best" else name
    experiment = read_experiment(folder / "experiment.yaml")
    data = read_environment(folder / "environment.json")["data"]
    with warnings.catch_warnings():
        # The search showed the warnings of its design when it began.
        warnings.simplefilter("ignore", UserWarning)
        source = CandidateSource.from_experiment(experiment, data)
    # The space of a nominal budget does not list all of the planned candidates.
    planned_candidates = [trial.candidate for trial in source.planned]
    by_fingerprint = {
        candidate.fingerprint: candidate
        for candidate in (*source.space.candidates, *planned_candidates)
    }
    baseline, candidates = source.space.baseline, list(by_fingerprint.values())
    matches = [c for c in candidates if c.fingerprint.startswith(prefix)]
    if len(matches) == 1:
        return ReferencedNetwork(matches[0].fingerprint, matches[0].architecture, baseline)
    names = ", ".join(c.fingerprint for c in matches[:3]) or "none"
    raise SearchError(
        f"{folder}: need the fingerprint of one of {len(candidates)} candidates, as `scalesearch "
        f"status` lists them, got {prefix!r}, which matches {names}"
    )


def _recommended_fingerprint(folder: Path) -> str:
    path = folder / "coefficients.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["candidate"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SearchError(
            f"{path}: names no best candidate yet ({error}); finish the search"
        ) from error


def _to_architecture(document: Any) -> Architecture | CustomModel:
    return from_json(dict(document))
