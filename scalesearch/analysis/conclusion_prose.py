"""The sentence of a conclusion, in parts."""

from collections.abc import Sequence

from scalesearch.analysis.optimum import Interval, Optimum
from scalesearch.analysis.summary import CandidateResult


def undetermined_text(candidates: int, settings: str) -> str:
    """Return the main clause if the candidates do not determine an optimum."""
    verb = "does" if candidates == 1 else "do"
    return (
        f"No conclusion yet: {count_text(candidates, 'network')} with {settings} {verb} not "
        "determine the shares with the highest accuracy"
    )


def flat_surface_text(
    p_flat: float,
    factor: float,
    settings: str,
    networks: int,
    clearly_worse: Sequence[str],
    recommended: CandidateResult,
) -> str:
    """Return the main clause if the shares make no significant difference."""
    exception = f"; only {' and '.join(clearly_worse)} is clearly worse" if clearly_worse else ""
    return (
        f"Shares make no significant difference (p = {p_flat:.2f}) among {networks} networks of "
        f"about {factor:g}x the cost with {settings}{exception}; take the cheapest to run, "
        f"{network_text(recommended)}"
    )


def optimum_text(
    optimum: Optimum,
    factor: float,
    settings: str,
    networks: int,
    recommended: CandidateResult,
    reason: str,
) -> str:
    """Return the main clause if there is an optimum."""
    coefficients = ", ".join(
        f"{name} {interval_text(interval)}"
        for name, interval in optimum.coefficient_intervals.items()
    )
    count = len(optimum.equivalent_candidates)
    if count > 1:
        advice = (
            f"{count} of {networks} networks are within noise of the best; take "
            f"{network_text(recommended)}, {reason}"
        )
    else:
        advice = f"of {networks} networks, take {network_text(recommended)}"
    return (
        f"At {factor:g}x the cost {coefficients} ({100 - 100 * optimum.level:g}% intervals from "
        f"{settings}); {advice}"
    )


def caveats_text(
    *, is_single_seed: bool, unequal_costs: tuple[float, float] | None
) -> tuple[str, ...]:
    """Return the caveats: a single seed, and the range of costs if these are unequal."""
    caveats = []
    if is_single_seed:
        caveats.append("with one seed, noise is estimated from the residuals of the surface alone")
    if unequal_costs is not None:
        low, high = unequal_costs
        caveats.append(
            f"the networks cost {low:.2f}x to {high:.2f}x, so this is not a comparison at equal "
            "cost"
        )
    return tuple(caveats)


def network_text(result: CandidateResult) -> str:
    """Return a network as the start of its fingerprint and its multipliers."""
    scaled = result.multipliers
    return (
        f"{result.candidate[:8]} (depth x{scaled.depth:.2f}, width x{scaled.width:.2f}, "
        f"resolution x{scaled.resolution:.2f})"
    )


def interval_text(interval: Interval) -> str:
    """Return a value with its interval as text."""
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def count_text(count: int, unit: str) -> str:
    """Return a count with its unit, in the plural unless it is 1."""
    return f"{count} {unit}{'' if count == 1 else 's'}"
