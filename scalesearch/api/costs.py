"""Costs of networks: one, those of equal cost, families, targets, latency.

Imports that need more than the standard library are inside the functions, so that
`scalesearch cost` starts at once.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from scalesearch.api.network_lookup import (
    argument_errors,
    code_allowed_if,
    read_baseline,
    read_baseline_and_budget,
    require_architecture,
)
from scalesearch.errors import ArchitectureError

if TYPE_CHECKING:
    from scalesearch.architectures.stages import Architecture
    from scalesearch.benchmarking.latency_fit import LatencyFit
    from scalesearch.candidates.budget import Budget
    from scalesearch.candidates.iso_cost import Candidate
    from scalesearch.families.members import FamilyMode


def network_cost(
    name: str,
    *,
    depth: float | None = None,
    width: float | None = None,
    rounding: str | None = None,
    allow_code: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Count multiply-adds, parameters and activations of a baseline.

    ``options``: ``resolution``, ``stem_stride``, ``num_classes`` and ``in_channels``.
    """
    from scalesearch.architectures.cost import cost
    from scalesearch.architectures.fingerprint import fingerprint
    from scalesearch.architectures.scaled import scale
    from scalesearch.scaling.coefficients import Multipliers
    from scalesearch.scaling.rounding import ROUNDINGS

    profile = rounding or "official"
    if profile not in ROUNDINGS:
        raise ArchitectureError(f"--rounding: need one of {', '.join(ROUNDINGS)}, got {profile!r}")
    with argument_errors("--depth, --width"):
        multipliers = Multipliers(
            depth=1.0 if depth is None else depth, width=1.0 if width is None else width
        )
    network = scale(read_baseline(name, **options), multipliers, ROUNDINGS[profile])
    with code_allowed_if(allow_code):
        return {
            "name": name,
            "depth": multipliers.depth,
            "width": multipliers.width,
            "resolution": network.resolution,
            "rounding": profile,
            **dataclasses.asdict(cost(network)),
            "fingerprint": fingerprint(network),
        }


@dataclass(frozen=True, slots=True)
class IsoCostTable:
    """The distinct networks whose realised cost meets a budget."""

    budget: "Budget"
    candidates: "Sequence[Candidate]"

    def rows(self, limit: int | None = None) -> list[Any]:
        """Return a row for each network, or for ``limit`` of them, evenly spaced."""
        from scalesearch.reporting.console import candidate_rows

        return candidate_rows(self.candidates, limit)

    def document(self, limit: int | None = None) -> dict[str, Any]:
        """Return the result as JSON values."""
        from scalesearch.scaling.rounding import rounding_spec

        return {
            "measure": self.budget.measure,
            "factor": self.budget.factor,
            "tolerance": self.budget.tolerance,
            "rounding": rounding_spec(self.budget.rounding),
            "count": len(self.candidates),
            "candidates": self.rows(limit),
        }


def iso_cost_table(
    source: str,
    *,
    factor: float | None = None,
    tolerance: float | None = None,
    rounding: str | None = None,
    allow_code: bool = False,
    **options: Any,
) -> IsoCostTable:
    """List every distinct network whose realised cost meets a budget.

    ``source``: the file of an experiment or a baseline's name. ``options``: those of the baseline
    (``depth``, ``width``, ``resolution``, ``stem_stride``, ``num_classes``, ``in_channels``).
    """
    from scalesearch.candidates.iso_cost import iso_cost_set

    network, budget = read_baseline_and_budget(
        source, options, {"factor": factor, "tolerance": tolerance, "rounding": rounding}
    )
    with code_allowed_if(allow_code):
        return IsoCostTable(budget, iso_cost_set(network, budget))


def family_table(
    source: str,
    *,
    mode: str | None = None,
    phi: str = "0..7",
    factor: float | None = None,
    rounding: str | None = None,
    baseline: str | None = None,
    resolution: int | None = None,
    out: str | Path | None = None,
    allow_code: bool = False,
) -> dict[str, Any]:
    """List the networks b0, b1, ... of coefficients, counted by us and by fvcore.

    ``source``: ``published``, a scheme such as ``paper``, a ``coefficients.json``, or ``A,B,C``.
    ``out``: a folder for ``family.json`` and ``family.yaml``.
    """
    from scalesearch.families.members import family_document, write_family
    from scalesearch.families.origin import parse_phis, read_family_source

    if resolution and not baseline:
        raise ArchitectureError("--resolution: is a baseline's; name one with --baseline")
    network = read_baseline(baseline, resolution=resolution) if baseline else None
    family_source = read_family_source(source, network)
    with code_allowed_if(allow_code):
        document = family_document(
            family_source.coefficients,
            family_source.baseline,
            mode=cast("FamilyMode", mode or family_source.mode),
            phis=parse_phis(phi),
            rounding=rounding or family_source.rounding,
            factor=family_source.factor if factor is None else factor,
        )
    if out is not None:
        for suffix in ("json", "yaml"):
            write_family(Path(out) / f"family.{suffix}", document)
    return document


def solve_target(
    source: str,
    target: str,
    *,
    coefficients: str | None = None,
    rounding: str | None = None,
    latency_model: str | Path | None = None,
) -> dict[str, Any]:
    """Find the phi and the network of a target cost, and their neighbours.

    ``source``: a baseline, or what ``family_table`` takes. ``target``: such as ``macs=1.0G``.
    """
    from scalesearch.architectures.baselines import BASELINES
    from scalesearch.architectures.latency_model import read_latency_model
    from scalesearch.families.origin import read_family_source
    from scalesearch.families.solution import parse_coefficients, solve_document

    if source in BASELINES or Path(source).suffix in (".yaml", ".yml"):
        network, profile = require_architecture(read_baseline(source)), None
        direction = parse_coefficients(coefficients or "paper")
    else:
        family_source = read_family_source(source)
        network, profile = require_architecture(family_source.baseline), family_source.rounding
        direction = parse_coefficients(coefficients) if coefficients else family_source.coefficients
    latency = read_latency_model(latency_model) if latency_model else None
    with argument_errors("--rounding"):
        return solve_document(
            network, direction, target, rounding or profile or "official", latency
        )


def explain_family(source: str = "published", *, out: str | Path | None = None) -> dict[str, Any]:
    """Compare the published family with the exact and the matched one.

    ``out``: a folder for ``explain.png`` and ``explain.svg``.
    """
    from scalesearch.families.explanation import explain
    from scalesearch.families.origin import read_family_source

    family_source = read_family_source(source)
    document = explain(
        family_source.coefficients,
        require_architecture(family_source.baseline),
        factor=family_source.factor,
    )
    if out is not None:
        from scalesearch.figures.family_figures import explain_figure
        from scalesearch.figures.style import write_figure

        write_figure(explain_figure(document), Path(out) / "explain")
    return document


def fit_latency(
    source: "str | Architecture",
    *,
    batch_size: int = 1,
    device: str = "cpu",
    threads: int = 1,
    rounds: int = 15,
    out: str | Path | None = None,
    **options: Any,
) -> "LatencyFit":
    """Time networks around a baseline and fit a model of their latency.

    ``source``: a network, or what ``iso_cost_table`` takes, with its ``options``. ``out``: a file
    NAME.json for the model, which ``solve_target`` and budgets take.
    """
    from scalesearch.benchmarking import latency_fit

    network = (
        read_baseline_and_budget(source, options, {})[0] if isinstance(source, str) else source
    )
    fit = latency_fit.fit_latency(
        require_architecture(network),
        batch_size=batch_size,
        device=device,
        threads=threads,
        rounds=rounds,
    )
    if out is not None:
        latency_fit.write_latency_fit(Path(out), latency_fit.latency_fit_document(fit))
    return fit
