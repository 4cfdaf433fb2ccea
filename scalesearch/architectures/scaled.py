"""Scaled networks: a baseline times real multipliers, rounded."""

from dataclasses import replace
from typing import overload

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.scaling.coefficients import Multipliers
from scalesearch.scaling.rounding import Rounding


@overload
def scale(baseline: Architecture, by: Multipliers, rounding: Rounding) -> Architecture: ...
@overload
def scale(baseline: CustomModel, by: Multipliers, rounding: Rounding) -> CustomModel: ...
def scale(
    baseline: Architecture | CustomModel, by: Multipliers, rounding: Rounding
) -> Architecture | CustomModel:
    """Scale the baseline's depth, width and resolution, rounded to whole numbers.

    Multipliers of one change nothing, even if the baseline's own numbers are not multiples of the
    rounding's divisor. Parts that the baseline or the rounding keeps fixed do not scale. For a
    custom model only the pixels are rounded here; its code rounds depth and width.
    """
    if isinstance(baseline, CustomModel):
        return replace(
            baseline,
            depth=round(baseline.depth * by.depth, 9),  # the code's ceil must not see float noise
            width=round(baseline.width * by.width, 9),
            resolution=_scaled_resolution(baseline.resolution, by.resolution, rounding),
        )
    network = with_parts(
        baseline,
        repeats=rounding_with_fixed_stages(baseline, rounding).repeats(baseline.repeats, by.depth),
        widths=scaled_widths(baseline, by.width, rounding),
        resolution=_scaled_resolution(baseline.resolution, by.resolution, rounding),
    )
    return replace(
        network, exact_widths=tuple(width * by.width for width in baseline.unrounded_widths)
    )


def scaled_widths(baseline: Architecture, width: float, rounding: Rounding) -> tuple[int, ...]:
    """Channels of stem, stages and head at a width multiplier.

    They come from the baseline's exact widths, rounded once. Growth takes no channel away, and
    shrinking adds none, even if the baseline was rounded by another rule.
    """
    if width == 1:
        return baseline.widths
    bound = max if width > 1 else min
    *exact, exact_head = baseline.unrounded_widths
    stem, *stages = (
        bound(unscaled, rounding.channels(channels * width))
        for unscaled, channels in zip(baseline.widths, exact, strict=False)
    )
    head = baseline.head
    if head and not (baseline.fixed_head or rounding.fixed_head):
        scaled_head = rounding.head(exact_head * width, stages[-1])
        head = bound(head, max(baseline.least_head, scaled_head))
    if baseline.fixed_stem or rounding.fixed_stem:
        stem = baseline.stem
    return (stem, *stages, head)


def rounding_with_fixed_stages(baseline: Architecture, rounding: Rounding) -> Rounding:
    """Return rounding with the stages whose depth the baseline itself keeps fixed."""
    baseline_fixed = {index for index, stage in enumerate(baseline.stages) if stage.fixed_depth}
    if not baseline_fixed:
        return rounding
    count = len(baseline.stages)
    fixed = baseline_fixed | {index % count for index in rounding.fixed_stages}
    return replace(rounding, fixed_stages=tuple(sorted(fixed)))


def _scaled_resolution(pixels: int, by: float, rounding: Rounding) -> int:
    """Scaled pixels; growth takes none away, even if the baseline exceeds the rounding's cap."""
    if by == 1:
        return pixels
    return (max if by > 1 else min)(pixels, rounding.pixels(pixels * by))


def with_parts(
    baseline: Architecture, *, repeats: tuple[int, ...], widths: tuple[int, ...], resolution: int
) -> Architecture:
    """Baseline with these blocks per stage, channels (as in ``widths``) and pixels."""
    stem, *stage_widths, head = widths
    stages = tuple(
        replace(stage, repeats=count, width=width)
        for stage, count, width in zip(baseline.stages, repeats, stage_widths, strict=True)
    )
    return replace(
        baseline, stem=stem, stages=stages, head=head, resolution=resolution, exact_widths=()
    )
