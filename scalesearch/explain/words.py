"""The facts in sentences, each with its numbers, for a terminal or a report."""

from collections.abc import Iterator
from typing import Any

Facts = dict[str, Any]

NAMES = {"head width": "the head's width"}


def words(facts: Facts) -> list[str]:
    """One sentence or two for each thing that the document shows."""
    return [
        *_factor(facts),
        *_families(facts["families"]),
        *_twins(facts["twins"]),
        *_axes(facts["families"]["published"]),
        *_depths(facts["depths"]),
        *_moved(facts["rounding"]),
        *_cliffs(facts["resolutions"]),
        *_mistakes(facts["mistakes"]),
    ]


def _factor(facts: Facts) -> Iterator[str]:
    triple = ", ".join(f"{value:.4g}" for value in facts["coefficients"].values())
    yield (
        f"The coefficients ({triple}) ask for {facts['nominal_factor']:.2f}x the baseline's cost "
        f"and, rounded to a whole network, realise {facts['realised_factor']:.2f}x."
    )


def _families(families: dict[str, list[Facts]]) -> Iterator[str]:
    for mode, rows in families.items():
        excesses = [row["excess"] for row in rows if row["nominal_factor"] != 1]
        if excesses:
            yield (
                f"{mode.capitalize()} members cost {min(excesses):+.0%} to {max(excesses):+.0%} "
                "relative to what was asked of them."
            )


def _twins(twins: list[Facts]) -> Iterator[str]:
    for twin in twins:
        differences = twin["differences"]
        if len(differences) > 2:
            continue  # not the same network in any useful sense
        said = [
            f"{NAMES.get(d['part'], d['part'])} ({d['published']}, not {d['exact']})"
            for d in differences
        ]
        but = f" except for {' and '.join(said)}" if said else ""
        yield f"{twin['name'].upper()} is phi = {twin['phi']}{but}."


def _axes(published: list[Facts]) -> Iterator[str]:
    """The members at the ends, whose axes disagree the most in phi."""
    for row in (published[1], published[-1]):
        implied = [
            f"{phi:.2f} in {axis}" for axis, phi in row["implied_phi"].items() if phi is not None
        ]
        yield f"{row['name'].upper()} has no single phi: it is {', '.join(implied)}."


def _depths(depths: list[Facts]) -> Iterator[str]:
    first = next((level for level in depths if level["above"] >= 1), None)
    if first:
        yield (
            f"Every alpha in ({first['above']:.4g}, {first['up_to']:.4g}] is one depth: "
            f"{first['blocks']} blocks, {first['depth']:.2f}x. Up to 2 there are "
            f"{sum(level['above'] >= 1 for level in depths)} depths in all."
        )


def _moved(members: list[Facts]) -> Iterator[str]:
    member = max(members, key=lambda each: each["depth"] / each["asked_depth"])
    yield (
        f"Rounding moves depth the most in {member['name'].upper()}: {member['asked_depth']:g} "
        f"asked, {member['depth']:.2f} realised."
    )
    moves = [
        (part["channels"] / part["asked_channels"] - 1, member["name"], part)
        for member in members
        for part in member["parts"]
        if part["asked_channels"]
    ]
    off, name, part = max(moves, key=lambda move: abs(move[0]))
    yield (
        f"It moves width the most in {name.upper()}, {part['part']}: {part['asked_channels']:.4g} "
        f"channels asked, {part['channels']} realised ({off:+.0%})."
    )


def _cliffs(resolutions: list[Facts]) -> Iterator[str]:
    for curve in resolutions:
        if not curve["cliffs"]:
            yield f"At {curve['name']} one pixel more never costs 10% more."
            continue
        steepest = max(curve["cliffs"], key=lambda cliff: cliff["times"])
        yield (
            f"At {curve['name']} (stride {curve['stride']}) cost is a stair: pixel "
            f"{steepest['pixels']} alone costs {steepest['times'] - 1:.0%} more; cliffs at "
            f"{', '.join(str(cliff['pixels']) for cliff in curve['cliffs'])} px."
        )


def _mistakes(mistakes: list[Facts]) -> Iterator[str]:
    truncation, depth = mistakes
    if truncation["unchanged"]:
        yield (
            f"With int() in place of ceil, a depth of {truncation['asked']:g} leaves every stage "
            "as it is: such a B1 is exactly as deep as B0."
        )
    yield (
        f'"B1 is 1.5 times as deep" is not so: {depth["asked"]:g} is asked, and {depth["blocks"]} '
        f"blocks for {depth['own_blocks']} are {depth['realised']:.2f} times as deep."
    )
