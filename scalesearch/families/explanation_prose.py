"""Sentences about a family's facts, for a terminal or a report."""

from collections.abc import Iterator
from typing import Any

JsonObject = dict[str, Any]

PART_NAMES = {"head width": "the head's width"}


def explanation_sentences(explanation: JsonObject) -> list[str]:
    """One or two sentences for each fact of the document."""
    return [
        *_factor_sentence(explanation),
        *_family_sentences(explanation["families"]),
        *_twin_sentences(explanation["twins"]),
        *_axis_sentences(explanation["families"]["published"]),
        *_depth_sentence(explanation["depths"]),
        *_rounding_sentences(explanation["rounding"]),
        *_cliff_sentences(explanation["resolutions"]),
        *_mistake_sentences(explanation["mistakes"]),
    ]


def _factor_sentence(explanation: JsonObject) -> Iterator[str]:
    triple = ", ".join(f"{value:.4g}" for value in explanation["coefficients"].values())
    yield (
        f"The coefficients ({triple}) ask for {explanation['nominal_factor']:.2f}x the baseline's "
        "cost "
        f"and, rounded to a whole network, realise {explanation['realised_factor']:.2f}x."
    )


def _family_sentences(families: dict[str, list[JsonObject]]) -> Iterator[str]:
    for mode, rows in families.items():
        excesses = [row["excess"] for row in rows if row["nominal_factor"] != 1]
        if excesses:
            yield (
                f"{mode.capitalize()} members cost {min(excesses):+.0%} to {max(excesses):+.0%} "
                "relative to what was asked of them."
            )


def _twin_sentences(twins: list[JsonObject]) -> Iterator[str]:
    for twin in twins:
        differences = twin["differences"]
        if len(differences) > 2:
            continue  # not the same network in any useful sense
        exceptions = [
            f"{PART_NAMES.get(difference['part'], difference['part'])} "
            f"({difference['published']}, not {difference['exact']})"
            for difference in differences
        ]
        exception_text = f" except for {' and '.join(exceptions)}" if exceptions else ""
        yield f"{twin['name'].upper()} is phi = {twin['phi']}{exception_text}."


def _axis_sentences(published: list[JsonObject]) -> Iterator[str]:
    """Sentences about the first and last member, whose axes imply the most different phi."""
    for row in (published[1], published[-1]):
        implied = [
            f"{phi:.2f} in {axis}" for axis, phi in row["implied_phi"].items() if phi is not None
        ]
        yield f"{row['name'].upper()} has no single phi: it is {', '.join(implied)}."


def _depth_sentence(depths: list[JsonObject]) -> Iterator[str]:
    interval = next((level for level in depths if level["above"] >= 1), None)
    if interval:
        yield (
            f"Every alpha in ({interval['above']:.4g}, {interval['up_to']:.4g}] is one depth: "
            f"{interval['blocks']} blocks, {interval['depth']:.2f}x. Up to 2 there are "
            f"{sum(level['above'] >= 1 for level in depths)} depths in all."
        )


def _rounding_sentences(members: list[JsonObject]) -> Iterator[str]:
    member = max(
        members,
        key=lambda candidate_member: candidate_member["depth"] / candidate_member["asked_depth"],
    )
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
    relative_shift, name, part = max(moves, key=lambda move: abs(move[0]))
    yield (
        f"It moves width the most in {name.upper()}, {part['part']}: {part['asked_channels']:.4g} "
        f"channels asked, {part['channels']} realised ({relative_shift:+.0%})."
    )


def _cliff_sentences(resolutions: list[JsonObject]) -> Iterator[str]:
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


def _mistake_sentences(mistakes: list[JsonObject]) -> Iterator[str]:
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
