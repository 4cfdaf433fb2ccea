"""One multiplier's level is the level of the whole list that holds it."""

import random

import pytest

from scalesearch.architectures.baselines.efficientnet import efficientnet_b0
from scalesearch.candidates.grid import width_level, width_levels
from scalesearch.scaling.rounding import ROUNDINGS

PROXY = efficientnet_b0(width=0.25, resolution=32, stem_stride=1)


@pytest.mark.parametrize("baseline", [efficientnet_b0(), PROXY], ids=["B0", "proxy"])
@pytest.mark.parametrize("rounding", ROUNDINGS.values(), ids=ROUNDINGS)
def test_a_width_falls_into_the_level_whose_interval_holds_it(baseline, rounding):
    chance = random.Random(0)
    levels = width_levels(baseline, rounding, 0.0, 3.0)
    for _ in range(100):
        level = width_level(baseline, rounding, width := chance.uniform(0.3, 2.5))
        assert level in levels
        assert level.multiplier == 1 or level.low <= width <= level.high
