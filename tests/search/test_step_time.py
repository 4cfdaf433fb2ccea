"""Seconds of an epoch, interpolated between the two networks that were measured."""

from types import SimpleNamespace

import pytest

from scalesearch.search.step_time import StepTime, epoch_seconds_model

LIGHT = SimpleNamespace(cost=SimpleNamespace(macs=1000, activations=100))
HEAVY = SimpleNamespace(cost=SimpleNamespace(macs=2000, activations=600))
MIDDLE = SimpleNamespace(cost=SimpleNamespace(macs=1000, activations=200))
"""Activations per multiply-add halfway between the other two."""
STEP_TIMES = (
    StepTime(training_seconds=0.01, validation_seconds=0.002, peak_bytes=0),
    StepTime(training_seconds=0.06, validation_seconds=0.008, peak_bytes=0),
)
TRAINING_IMAGES, VALIDATION_IMAGES = 100, 50


@pytest.mark.parametrize(
    ("candidate", "seconds"),
    [
        (LIGHT, 100 * 0.01 + 50 * 0.002),
        (HEAVY, 100 * 0.06 + 50 * 0.008),
        # The means of 10 and 30 microseconds, and of 2 and 4, for each multiply-add.
        (MIDDLE, 1000 * (100 * 20e-6 + 50 * 3e-6)),
    ],
)
def test_measured_networks_keep_their_time_and_others_lie_between(candidate, seconds):
    seconds_of = epoch_seconds_model((LIGHT, HEAVY), STEP_TIMES, TRAINING_IMAGES, VALIDATION_IMAGES)
    assert seconds_of(candidate) == pytest.approx(seconds)


def test_networks_beyond_the_measured_ones_are_not_extrapolated():
    seconds_of = epoch_seconds_model((LIGHT, HEAVY), STEP_TIMES, TRAINING_IMAGES, VALIDATION_IMAGES)
    beyond = SimpleNamespace(cost=SimpleNamespace(macs=2000, activations=6000))
    assert seconds_of(beyond) == pytest.approx(seconds_of(HEAVY))


def test_networks_of_equal_ratio_take_the_time_of_the_first():
    seconds_of = epoch_seconds_model(
        (LIGHT, LIGHT), (STEP_TIMES[0], STEP_TIMES[0]), TRAINING_IMAGES, VALIDATION_IMAGES
    )
    assert seconds_of(LIGHT) == pytest.approx(100 * 0.01 + 50 * 0.002)
