"""Facts about a family: members, effects of rounding, and cost cliffs."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import to_json
from scalesearch.architectures.scaled import scale
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.grid import depth_levels
from scalesearch.families.explanation_prose import explanation_sentences
from scalesearch.families.members import FamilyMode, Member, family
from scalesearch.scaling.coefficients import Coefficients, Multipliers
from scalesearch.scaling.published import PAPER_COEFFICIENTS, PUBLISHED_MODELS, implied_phi
from scalesearch.scaling.rounding import ROUNDINGS

SCHEMA = "scalesearch/explanation"
VERSION = 1

OFFICIAL_ROUNDING = ROUNDINGS["official"]
NUMBERED_MODELS = tuple(
    name for name in PUBLISHED_MODELS if name in {f"b{number}" for number in range(8)}
)
MAX_ALPHA = 2.0
"""Largest alpha whose depth is listed."""

MAX_RESOLUTION_FACTOR = 1.5
"""Largest resolution that is counted, as a multiple of the network's own."""

CLIFF_RATIO = 1.1
"""A cliff is one pixel more that costs at least this factor."""


def explain(
    coefficients: Coefficients = PAPER_COEFFICIENTS,
    baseline: Architecture | None = None,
    *,
    factor: float = 2.0,
    whole_phis: range = range(8),
) -> dict[str, Any]:
    """Compare the published, the exact and the matched family of ``coefficients``.

    Returns JSON values. ``families``: rows of multipliers, the phi that each axis implies, nominal
    and realised factor. ``rounding``: for each published member the requested and the rounded
    values, stage by stage. ``twins``: for each published member the nearest whole phi, and their
    differences. ``depths``: intervals of alpha that give one network. ``resolutions``: cost
    against pixels. ``mistakes``: mistakes of tutorials, corrected. ``words``: all of it in
    sentences.

    ``baseline`` is EfficientNet-B0 by default; ``factor`` is the cost of one phi in mode
    ``matched``.
    """
    baseline = baseline or efficientnet_b0()
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "coefficients": asdict(coefficients),
        "nominal_factor": coefficients.factor,
        "realised_factor": _realised_factor(baseline, coefficients.at(1.0)),
        "baseline": to_json(baseline),
        "families": _family_rows(coefficients, baseline, factor, whole_phis),
        "rounding": [_rounding_effects(baseline, name) for name in NUMBERED_MODELS[1:]],
        "twins": list(_twins(baseline, coefficients)),
        "depths": _depth_intervals(baseline),
        "resolutions": [
            _cost_by_resolution(name, network) for name, network in _resolution_variants(baseline)
        ],
        "mistakes": _mistakes(baseline),
    }
    return {**document, "words": explanation_sentences(document)}


def _family_rows(
    coefficients: Coefficients, baseline: Architecture, factor: float, phis: range
) -> dict[str, list[dict[str, Any]]]:
    published = family(PAPER_COEFFICIENTS, baseline, mode="published", phis=range(8))
    modes: tuple[FamilyMode, ...] = ("exact", "matched")
    others = {
        mode: family(coefficients, baseline, mode=mode, phis=phis, factor=factor) for mode in modes
    }
    families: dict[FamilyMode, tuple[Member, ...]] = {"published": published, **others}
    return {
        mode: [_member_row(member, mode, coefficients, factor) for member in members]
        for mode, members in families.items()
    }


def _realised_factor(baseline: Architecture, multipliers: Multipliers) -> float:
    return cost(scale(baseline, multipliers, OFFICIAL_ROUNDING)).macs / cost(baseline).macs


def _member_row(
    member: Member, mode: FamilyMode, coefficients: Coefficients, factor: float
) -> dict[str, Any]:
    """Row of a member; a matched one was asked only for its cost, factor^phi."""
    network = member.architecture
    assert isinstance(network, Architecture)  # as is every member of such a baseline's family
    nominal = factor**member.phi if mode == "matched" else member.multipliers.factor
    return {
        "name": member.name,
        "phi": member.phi,
        "depth": member.multipliers.depth,
        "width": member.multipliers.width,
        "resolution": network.resolution,
        "implied_phi": _implied_phi_by_axis(member.multipliers, coefficients),
        "nominal_factor": nominal,
        "realised_factor": member.factor,
        "excess": member.factor / nominal - 1,
        "macs": member.cost.macs,
        "params": member.cost.params,
        "blocks": network.num_blocks,
        "repeats": list(network.repeats),
        "widths": list(network.widths),
    }


def _implied_phi_by_axis(
    multipliers: Multipliers, coefficients: Coefficients
) -> dict[str, float | None]:
    """Phi that each axis implies by itself; None if the coefficients leave the axis alone."""
    axes = {"depth": coefficients.alpha, "width": coefficients.beta}
    axes["resolution"] = coefficients.gamma
    return {
        axis: None
        if base == 1
        else implied_phi(
            Multipliers(depth=getattr(multipliers, axis)), Coefficients(base, 1.0, 1.0)
        )
        for axis, base in axes.items()
    }


def _rounding_effects(baseline: Architecture, name: str) -> dict[str, Any]:
    """Return requested multipliers of a published member, and their values after rounding."""
    multipliers = PUBLISHED_MODELS[name].multipliers
    network = scale(baseline, multipliers, OFFICIAL_ROUNDING)
    names = ("stem", *(f"stage {i + 1}" for i in range(len(baseline.stages))), "head")
    widths = zip(names, baseline.widths, network.widths, strict=True)
    parts = [
        {"part": part, "asked_channels": baseline_width * multipliers.width, "channels": channels}
        for part, baseline_width, channels in widths
    ]
    for part, stage, count in zip(parts[1:-1], baseline.stages, network.repeats, strict=True):
        part |= {"asked_blocks": stage.repeats * multipliers.depth, "blocks": count}
    return {
        "name": name,
        "asked_depth": multipliers.depth,
        "depth": network.num_blocks / baseline.num_blocks,
        "parts": parts,
    }


def _twins(baseline: Architecture, coefficients: Coefficients) -> Iterator[dict[str, Any]]:
    """Each published member beside the network of the nearest whole phi."""
    for name in NUMBERED_MODELS[1:]:
        multipliers = PUBLISHED_MODELS[name].multipliers
        phi = round(implied_phi(multipliers, coefficients))
        if phi < 1:
            continue
        published, exact = (
            scale(baseline, each_multipliers, OFFICIAL_ROUNDING)
            for each_multipliers in (multipliers, coefficients.at(phi))
        )
        sizes = zip(_part_sizes(published), _part_sizes(exact), strict=True)
        yield {
            "name": name,
            "phi": phi,
            "differences": [
                {"part": part, "published": published_size, "exact": exact_size}
                for (part, published_size), (_, exact_size) in sizes
                if published_size != exact_size
            ],
        }


def _part_sizes(network: Architecture) -> Iterator[tuple[str, int]]:
    yield "resolution", network.resolution
    yield "stem width", network.stem
    for index, stage in enumerate(network.stages, start=1):
        yield f"stage {index} depth", stage.repeats
        yield f"stage {index} width", stage.width
    yield "head width", network.head


def _depth_intervals(baseline: Architecture) -> list[dict[str, Any]]:
    return [
        {
            "above": level.low,
            "up_to": level.high,
            "repeats": list(level.value),
            "blocks": sum(level.value),
            "depth": level.multiplier,
        }
        for level in depth_levels(baseline, OFFICIAL_ROUNDING, 1.0, 2 * MAX_ALPHA)
        if level.low < MAX_ALPHA
    ]


def _resolution_variants(baseline: Architecture) -> Iterator[tuple[str, Architecture]]:
    """Return the baseline, and two ways to use it on images of 32 pixels."""
    yield f"{baseline.resolution} px", baseline
    small = replace(baseline, resolution=32)
    if baseline.resolution != 32:
        yield "32 px", small
    if baseline.stem_stride > 1:
        yield "32 px, stem stride 1", replace(small, stem_stride=1)


def _cost_by_resolution(name: str, network: Architecture) -> dict[str, Any]:
    resolution = network.resolution
    sizes = range(resolution, round(resolution * MAX_RESOLUTION_FACTOR) + 1)
    macs = [cost(replace(network, resolution=size)).macs for size in sizes]
    steps = zip(sizes[1:], macs, macs[1:], strict=False)
    return {
        "name": name,
        "resolution": resolution,
        "stride": network.total_stride,
        "pixels": list(sizes),
        "factors": [network_macs / macs[0] for network_macs in macs],
        "cliffs": [
            {"pixels": size, "times": after / before}
            for size, before, after in steps
            if after >= CLIFF_RATIO * before
        ],
    }


def _mistakes(baseline: Architecture) -> list[dict[str, Any]]:
    depth_multiplier = PUBLISHED_MODELS["b1"].depth
    truncated = [max(1, int(count * depth_multiplier)) for count in baseline.repeats]
    rounded_up = list(OFFICIAL_ROUNDING.repeats(baseline.repeats, depth_multiplier))
    return [
        {
            "mistake": "int() instead of ceil for the blocks of a stage",
            "asked": depth_multiplier,
            "int_repeats": truncated,
            "ceil_repeats": rounded_up,
            "unchanged": truncated == list(baseline.repeats),
        },
        {
            "mistake": "B1 is 1.5 times as deep",
            "asked": depth_multiplier,
            "blocks": sum(rounded_up),
            "own_blocks": baseline.num_blocks,
            "realised": sum(rounded_up) / baseline.num_blocks,
        },
    ]
