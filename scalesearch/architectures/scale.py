"""From a baseline and real-valued multipliers to a network of whole blocks, channels, pixels."""

from dataclasses import replace

from scalesearch.architectures.stages import Architecture
from scalesearch.scaling import Multipliers, Rounding


def scaled(baseline: Architecture, by: Multipliers, rounding: Rounding) -> Architecture:
    """The baseline, deeper, wider and at a higher resolution (or less so), in whole numbers.

    Multipliers of one change nothing, also where the baseline's own numbers are not multiples of
    the rounding's divisor.
    """
    resolution = baseline.resolution
    if by.resolution != 1:
        resolution = rounding.pixels(resolution * by.resolution)
    network = with_parts(
        baseline,
        repeats=rounding.repeats(baseline.repeats, by.depth),
        widths=scaled_widths(baseline, by.width, rounding),
        resolution=resolution,
    )
    exact = baseline.exact_widths or baseline.widths
    return replace(network, exact_widths=tuple(channels * by.width for channels in exact))


def scaled_widths(baseline: Architecture, width: float, rounding: Rounding) -> tuple[int, ...]:
    """Channels of stem, stages and head at a width multiplier (see ``Architecture.widths``).

    They come from the baseline's exact widths, rounded once; growth takes no channel away, and
    shrinking adds none, also where the baseline was rounded by another rule.
    """
    if width == 1:
        return baseline.widths
    bound = max if width > 1 else min
    exact = baseline.exact_widths or baseline.widths
    stem, *stages, head = (
        bound(own, rounding.channels(channels * width))
        for own, channels in zip(baseline.widths, exact, strict=True)
    )
    return (
        baseline.stem if rounding.fixed_stem else stem,
        *stages,
        baseline.head if rounding.fixed_head else head,
    )


def with_parts(
    baseline: Architecture, *, repeats: tuple[int, ...], widths: tuple[int, ...], resolution: int
) -> Architecture:
    """The baseline with these blocks per stage, channels (as in ``widths``) and pixels."""
    stem, *stage_widths, head = widths
    stages = tuple(
        replace(stage, repeats=count, width=width)
        for stage, count, width in zip(baseline.stages, repeats, stage_widths, strict=True)
    )
    return replace(
        baseline, stem=stem, stages=stages, head=head, resolution=resolution, exact_widths=()
    )
