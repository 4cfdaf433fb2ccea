"""Networks B0, B1, ... of given coefficients, as members, a table, JSON and YAML."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import yaml

from scalesearch.architectures.cost import cost
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.fingerprint import fingerprint, to_json
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import Architecture
from scalesearch.architectures.totals import Cost
from scalesearch.candidates.budget import Budget
from scalesearch.candidates.nearest import nearest_on_budget
from scalesearch.errors import ArchitectureError, ExportError
from scalesearch.io import export_text, json_text
from scalesearch.models.fvcore_count import fvcore_macs
from scalesearch.scaling.coefficients import Coefficients, Multipliers
from scalesearch.scaling.published import (
    DROP_CONNECT,
    PAPER_COEFFICIENTS,
    PUBLISHED_MODELS,
    implied_phi,
)
from scalesearch.scaling.rounding import Rounding, rounding_from, rounding_spec

FamilyMode: TypeAlias = Literal["published", "exact", "matched"]
FAMILY_MODES: tuple[FamilyMode, ...] = get_args(FamilyMode)
DEFAULT_ROUNDINGS: dict[FamilyMode, str] = {
    "published": "official",
    "exact": "official",
    "matched": "even",
}
"""Default rounding profile of each mode."""

COST_TOLERANCE = 0.02
"""Relative tolerance of a matched member's realised cost around F^phi."""


@dataclass(frozen=True, slots=True)
class Member:
    """A network of a family, with its regularisation in training.

    ``multipliers``: the requested ones; in mode ``matched``, which asks only for a cost, the
    realised ones. ``factor``: its MACs relative to the baseline's. ``deviation``: distance of a
    matched network from the coefficients' direction, on the simplex of shares.
    """

    name: str
    phi: float
    multipliers: Multipliers
    architecture: Architecture | CustomModel
    cost: Cost
    dropout: float
    drop_connect: float
    factor: float
    deviation: float = 0.0


def family(
    coefficients: Coefficients,
    baseline: Architecture | CustomModel,
    *,
    mode: FamilyMode = "matched",
    phis: Iterable[float] = range(8),
    rounding: str | Mapping[str, Any] | Rounding | None = None,
    factor: float = 2.0,
) -> tuple[Member, ...]:
    """Members b0, b1, ... of the coefficients, one for each phi (b0.5 between two).

    ``published``: the rows of the paper's table, on this baseline. The paper gives no phi for its
    rows, so ``phis`` are the numbers in their names, and a member's ``phi`` is the one that its
    nominal compute implies (``published.implied_phi``): 0.36 for B1, 6.88 for B7. ``exact``:
    multipliers alpha^phi, beta^phi, gamma^phi, whatever the rounded network costs. ``matched``:
    the network along the coefficients' direction that costs ``factor``^phi times the baseline's
    MACs, within 2%. phi = 0 is the baseline.

    ``rounding``: name or spec of a profile (``rounding.rounding_from``); by default that of
    ``DEFAULT_ROUNDINGS``. Raises ArchitectureError for impossible requests.
    """
    profile = mode_rounding(mode, rounding)
    if mode == "published" and coefficients != PAPER_COEFFICIENTS:
        raise ArchitectureError(
            "mode published: the paper's table belongs to its own coefficients "
            f"{PAPER_COEFFICIENTS}, got "
            f"{coefficients}; use mode exact or matched"
        )
    if mode == "matched" and not (coefficients.factor > 1 and factor > 1):
        raise ArchitectureError(
            "mode matched: need alpha * beta^2 * gamma^2 > 1 and a factor > 1, got "
            f"{coefficients.factor:.4g} and {factor:g}; a smaller network is a negative phi"
        )
    member_of_mode: dict[FamilyMode, Callable[[float], Member]] = {
        "published": lambda number: _published_member(baseline, number, profile),
        "exact": lambda phi: _exact_member(baseline, coefficients, phi, profile),
        "matched": lambda phi: _matched_member(baseline, coefficients, phi, profile, factor),
    }
    return tuple(member_of_mode[mode](phi) for phi in phis)


def mode_rounding(mode: str, rounding: str | Mapping[str, Any] | Rounding | None) -> Rounding:
    """Return the rounding asked for, or the mode's default."""
    if mode not in DEFAULT_ROUNDINGS:
        raise ArchitectureError(f"mode: need one of {', '.join(FAMILY_MODES)}, got {mode!r}")
    try:
        return rounding_from(DEFAULT_ROUNDINGS[mode] if rounding is None else rounding)
    except ValueError as error:
        raise ArchitectureError(f"rounding: {error}") from error


def _published_member(
    baseline: Architecture | CustomModel, number: float, rounding: Rounding
) -> Member:
    name = f"b{number:g}"
    if name not in PUBLISHED_MODELS:
        numbers = ", ".join(
            model.removeprefix("b") for model in PUBLISHED_MODELS if model[0] == "b"
        )
        raise ArchitectureError(
            f"mode published: need a model's number of {numbers} as phi, got {number:g}"
        )
    model = PUBLISHED_MODELS[name]
    network = scale(baseline, model.multipliers, rounding)
    phi = implied_phi(model.multipliers)
    return _to_member(name, phi, model.multipliers, network, baseline, model.dropout)


def _exact_member(
    baseline: Architecture | CustomModel, coefficients: Coefficients, phi: float, rounding: Rounding
) -> Member:
    try:
        multipliers = coefficients.at(_validate_phi(phi))
        network = scale(baseline, multipliers, rounding)
    except (ValueError, OverflowError) as error:
        raise ArchitectureError(
            f"phi {phi:g}: {coefficients} lead to no network: {error}; take a smaller phi"
        ) from error
    return _to_member(_member_name(phi), phi, multipliers, network, baseline, _dropout_at(phi))


def _matched_member(
    baseline: Architecture | CustomModel,
    coefficients: Coefficients,
    phi: float,
    rounding: Rounding,
    factor: float,
) -> Member:
    cost_factor = factor ** _validate_phi(phi)
    if abs(cost_factor - 1) <= COST_TOLERANCE:
        return _to_member(
            _member_name(phi), phi, Multipliers(), baseline, baseline, _dropout_at(phi)
        )
    budget = Budget(factor=cost_factor, tolerance=COST_TOLERANCE, rounding=rounding)
    nearest = nearest_on_budget(baseline, coefficients.shares, budget)
    return _to_member(
        _member_name(phi),
        phi,
        nearest.multipliers,
        nearest.architecture,
        baseline,
        _dropout_at(phi),
        deviation=nearest.shares.distance(coefficients.shares),
    )


def _to_member(
    name: str,
    phi: float,
    multipliers: Multipliers,
    network: Architecture | CustomModel,
    baseline: Architecture | CustomModel,
    dropout: float,
    *,
    deviation: float = 0.0,
) -> Member:
    network_cost = cost(network)
    return Member(
        name=name,
        phi=float(phi),
        multipliers=multipliers,
        architecture=network,
        cost=network_cost,
        dropout=dropout,
        drop_connect=DROP_CONNECT,
        factor=network_cost.macs / cost(baseline).macs,
        deviation=deviation,
    )


def _member_name(phi: float) -> str:
    return f"b{phi:g}"


def _dropout_at(phi: float) -> float:
    """Dropout 0.2 at phi = 0, 0.5 at phi = 7, linear between, constant beyond."""
    return round(0.2 + 0.3 * min(max(phi / 7, 0.0), 1.0), 6)


def _validate_phi(phi: float) -> float:
    if not math.isfinite(phi) or abs(phi) > 20:
        raise ArchitectureError(f"phi: need a number between -20 and 20, got {phi}")
    return phi


SCHEMA = "scalesearch/family"
VERSION = 1
MAX_FVCORE_MACS = 10**11


def member_rows(members: Iterable[Member]) -> list[dict[str, Any]]:
    """One flat row for each member; ``depth`` and ``width`` are multipliers.

    ``resolution``: pixels. ``fvcore_macs``: counted on the built network, a second or two for B7;
    None for networks so large that running them once takes too long.
    """
    return [
        {
            "name": member.name,
            "phi": member.phi,
            "depth": member.multipliers.depth,
            "width": member.multipliers.width,
            "resolution": member.architecture.resolution,
            "dropout": member.dropout,
            "drop_connect": member.drop_connect,
            "macs": member.cost.macs,
            "params": member.cost.params,
            "activations": member.cost.activations,
            "factor": member.factor,
            "deviation": member.deviation,
            "fvcore_macs": (
                fvcore_macs(member.architecture) if member.cost.macs <= MAX_FVCORE_MACS else None
            ),
        }
        for member in members
    ]


def family_document(
    coefficients: Coefficients,
    baseline: Architecture | CustomModel,
    *,
    mode: FamilyMode = "matched",
    phis: Iterable[float] = range(8),
    rounding: str | Mapping[str, Any] | Rounding | None = None,
    factor: float = 2.0,
) -> dict[str, Any]:
    """Return the family (see ``family``) with all that defines it, as JSON values.

    ``members`` are the rows of ``member_rows``, each with its ``fingerprint`` and
    ``architecture``, which ``architectures.fingerprint.from_json`` turns back into the network.
    """
    members = family(coefficients, baseline, mode=mode, phis=phis, rounding=rounding, factor=factor)
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "coefficients": {
            "alpha": coefficients.alpha,
            "beta": coefficients.beta,
            "gamma": coefficients.gamma,
        },
        "factor": factor if mode == "matched" else coefficients.factor,
        "mode": mode,
        "rounding": rounding_spec(mode_rounding(mode, rounding)),
        "baseline": to_json(baseline),
        "members": [
            {
                **row,
                "fingerprint": fingerprint(member.architecture),
                "architecture": to_json(member.architecture),
            }
            for row, member in zip(member_rows(members), members, strict=True)
        ],
    }


def write_family(path: str | Path, document: dict[str, Any]) -> Path:
    """Write a family document as JSON or YAML, by the file's suffix.

    Raises ExportError for another suffix, or if the file cannot be written.
    """
    path = Path(path)
    if path.suffix == ".json":
        text = json_text(document)
    elif path.suffix in (".yaml", ".yml"):
        text = yaml.safe_dump(document, sort_keys=False)
    else:
        raise ExportError(f"{path}: a family is written as .json, .yaml or .yml; rename the file")
    return export_text(path, text)
