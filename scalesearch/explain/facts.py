"""The facts about a family as one document: its members, what rounding moved, and the cliffs."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from scalesearch.architectures import Architecture, cost, efficientnet_b0, scaled
from scalesearch.architectures.fingerprint import to_json
from scalesearch.architectures.levels import depth_levels
from scalesearch.explain.words import words
from scalesearch.family.members import Member, Mode, family
from scalesearch.published import PAPER, PUBLISHED, implied_phi
from scalesearch.rounding import ROUNDINGS
from scalesearch.scaling import Coefficients, Multipliers

SCHEMA = "scalesearch/explanation"
VERSION = 1

OFFICIAL = ROUNDINGS["official"]
NUMBERED = tuple(name for name in PUBLISHED if name in {f"b{number}" for number in range(8)})
DEEPEST = 2.0
"""Alphas up to this are sorted into the depths that they give."""

REACH = 1.5
"""Resolutions up to this multiple of a network's own are counted."""

CLIFF = 1.1
"""One pixel more that costs at least this many times as much is a cliff."""


def explain(
    coefficients: Coefficients = PAPER,
    baseline: Architecture | None = None,
    *,
    factor: float = 2.0,
    whole_phis: range = range(8),
) -> dict[str, Any]:
    """The published family beside the exact and the matched one of ``coefficients``, as JSON.

    ``families``: rows of multipliers, the phi that each axis implies, nominal and realised factor.
    ``rounding``: for each published member what was asked and what came of it, stage by stage.
    ``twins``: for each published member the whole phi nearest to it, and in what they differ.
    ``depths``: the intervals of alpha that are one network. ``resolutions``: cost against pixels.
    ``mistakes``: of tutorials, with what is true. ``words``: all of it in sentences.

    ``baseline`` is EfficientNet-B0 by default; ``factor`` is the cost of one phi in mode matched.
    """
    baseline = baseline or efficientnet_b0()
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "coefficients": asdict(coefficients),
        "nominal_factor": coefficients.factor,
        "realised_factor": _realised(baseline, coefficients.at(1.0)),
        "baseline": to_json(baseline),
        "families": _families(coefficients, baseline, factor, whole_phis),
        "rounding": [_moved(baseline, name) for name in NUMBERED[1:]],
        "twins": list(_twins(baseline, coefficients)),
        "depths": _depths(baseline),
        "resolutions": [_resolutions(name, network) for name, network in _inputs(baseline)],
        "mistakes": _mistakes(baseline),
    }
    return {**document, "words": words(document)}


def _families(
    coefficients: Coefficients, baseline: Architecture, factor: float, phis: range
) -> dict[str, list[dict[str, Any]]]:
    published = family(PAPER, baseline, mode="published", phis=range(8))
    modes: tuple[Mode, ...] = ("exact", "matched")
    others = {
        mode: family(coefficients, baseline, mode=mode, phis=phis, factor=factor) for mode in modes
    }
    families: dict[Mode, tuple[Member, ...]] = {"published": published, **others}
    return {
        mode: [_row(member, mode, coefficients, factor) for member in members]
        for mode, members in families.items()
    }


def _realised(baseline: Architecture, by: Multipliers) -> float:
    return cost(scaled(baseline, by, OFFICIAL)).macs / cost(baseline).macs


def _row(member: Member, mode: Mode, coefficients: Coefficients, factor: float) -> dict[str, Any]:
    """A member; what a matched one was asked for is its cost alone, factor^phi."""
    network = member.architecture
    assert isinstance(network, Architecture)  # as is every member of such a baseline's family
    nominal = factor**member.phi if mode == "matched" else member.multipliers.factor
    return {
        "name": member.name,
        "phi": member.phi,
        "depth": member.multipliers.depth,
        "width": member.multipliers.width,
        "resolution": network.resolution,
        "implied_phi": _implied(member.multipliers, coefficients),
        "nominal_factor": nominal,
        "realised_factor": member.factor,
        "excess": member.factor / nominal - 1,
        "macs": member.cost.macs,
        "params": member.cost.params,
        "blocks": network.blocks,
        "repeats": list(network.repeats),
        "widths": list(network.widths),
    }


def _implied(by: Multipliers, coefficients: Coefficients) -> dict[str, float | None]:
    """The phi of each axis by itself; None where the coefficients leave the axis alone."""
    axes = {"depth": coefficients.alpha, "width": coefficients.beta}
    axes["resolution"] = coefficients.gamma
    return {
        axis: None
        if base == 1
        else implied_phi(Multipliers(depth=getattr(by, axis)), Coefficients(base, 1.0, 1.0))
        for axis, base in axes.items()
    }


def _moved(baseline: Architecture, name: str) -> dict[str, Any]:
    """What the multipliers of a published member ask for, and what rounding makes of it."""
    by = PUBLISHED[name].multipliers
    network = scaled(baseline, by, OFFICIAL)
    names = ("stem", *(f"stage {i + 1}" for i in range(len(baseline.stages))), "head")
    widths = zip(names, baseline.widths, network.widths, strict=True)
    parts = [
        {"part": part, "asked_channels": own * by.width, "channels": channels}
        for part, own, channels in widths
    ]
    for part, stage, count in zip(parts[1:-1], baseline.stages, network.repeats, strict=True):
        part |= {"asked_blocks": stage.repeats * by.depth, "blocks": count}
    return {
        "name": name,
        "asked_depth": by.depth,
        "depth": network.blocks / baseline.blocks,
        "parts": parts,
    }


def _twins(baseline: Architecture, coefficients: Coefficients) -> Iterator[dict[str, Any]]:
    """Each published member beside the network of the whole phi nearest to it."""
    for name in NUMBERED[1:]:
        by = PUBLISHED[name].multipliers
        phi = round(implied_phi(by, coefficients))
        if phi < 1:
            continue
        one, other = (scaled(baseline, to, OFFICIAL) for to in (by, coefficients.at(phi)))
        settings = zip(_settings(one), _settings(other), strict=True)
        yield {
            "name": name,
            "phi": phi,
            "differences": [
                {"part": part, "published": here, "exact": there}
                for (part, here), (_, there) in settings
                if here != there
            ],
        }


def _settings(network: Architecture) -> Iterator[tuple[str, int]]:
    yield "resolution", network.resolution
    yield "stem width", network.stem
    for index, stage in enumerate(network.stages, start=1):
        yield f"stage {index} depth", stage.repeats
        yield f"stage {index} width", stage.width
    yield "head width", network.head


def _depths(baseline: Architecture) -> list[dict[str, Any]]:
    return [
        {
            "above": level.low,
            "up_to": level.high,
            "repeats": list(level.setting),
            "blocks": sum(level.setting),
            "depth": level.multiplier,
        }
        for level in depth_levels(baseline, OFFICIAL, 1.0, 2 * DEEPEST)
        if level.low < DEEPEST
    ]


def _inputs(baseline: Architecture) -> Iterator[tuple[str, Architecture]]:
    """The baseline, and two ways to use it on images of 32 pixels."""
    yield f"{baseline.resolution} px", baseline
    small = replace(baseline, resolution=32)
    if baseline.resolution != 32:
        yield "32 px", small
    if baseline.stem_stride > 1:
        yield "32 px, stem stride 1", replace(small, stem_stride=1)


def _resolutions(name: str, network: Architecture) -> dict[str, Any]:
    own = network.resolution
    sizes = range(own, round(own * REACH) + 1)
    macs = [cost(replace(network, resolution=size)).macs for size in sizes]
    steps = zip(sizes[1:], macs, macs[1:], strict=False)
    return {
        "name": name,
        "resolution": own,
        "stride": network.stride,
        "pixels": list(sizes),
        "factors": [spent / macs[0] for spent in macs],
        "cliffs": [
            {"pixels": size, "times": after / before}
            for size, before, after in steps
            if after >= CLIFF * before
        ],
    }


def _mistakes(baseline: Architecture) -> list[dict[str, Any]]:
    asked = PUBLISHED["b1"].depth
    truncated = [max(1, int(count * asked)) for count in baseline.repeats]
    ceiled = list(OFFICIAL.repeats(baseline.repeats, asked))
    return [
        {
            "mistake": "int() instead of ceil for the blocks of a stage",
            "asked": asked,
            "int_repeats": truncated,
            "ceil_repeats": ceiled,
            "unchanged": truncated == list(baseline.repeats),
        },
        {
            "mistake": "B1 is 1.5 times as deep",
            "asked": asked,
            "blocks": sum(ceiled),
            "own_blocks": baseline.blocks,
            "realised": sum(ceiled) / baseline.blocks,
        },
    ]
