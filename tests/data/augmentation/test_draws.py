"""An epoch's draws: a row for each image, each kind by itself."""

import numpy as np
import pytest
import torch

from scalesearch.config.recipe import Augmentation
from scalesearch.data.augmentation.draws import epoch_draws

EVERYTHING = Augmentation(
    crop=0.25,
    resized_crop=0.08,
    rotation=15,
    shift=0.1,
    jitter=(0.4, 0.3, 0.2, 0.1),
    cutout=0.5,
    erasing=0.25,
    mixup=0.2,
    cutmix=1.0,
    policy="randaugment",
)
ALONE = {
    "crop": {"crop": 0.25},
    "flip": {"flip": True},
    "resized_crop": {"resized_crop": 0.08},
    "rotation": {"rotation": 15},
    "shift": {"shift": 0.1},
    "jitter": {"jitter": (0.4, 0.3, 0.2, 0.1)},
    "cutout": {"cutout": 0.5},
    "erasing": {"erasing": 0.25},
    "noise": {"erasing": 0.25},
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1.0},
    "policy": {"policy": "randaugment"},
}


def test_only_what_is_switched_on_is_drawn():
    assert set(epoch_draws(Augmentation(crop=0, flip=False), 5, 0)) == set()
    assert set(epoch_draws(Augmentation(), 5, 0)) == {"crop", "flip"}
    assert set(epoch_draws(EVERYTHING, 5, 0)) == {*ALONE, "mixing"}


@pytest.mark.parametrize("kind", ALONE)
def test_a_kind_sees_the_same_draws_whatever_else_is_switched_on(kind):
    alone = Augmentation(**{"crop": 0, "flip": False, **ALONE[kind]})
    assert torch.equal(epoch_draws(alone, 50, 7)[kind], epoch_draws(EVERYTHING, 50, 7)[kind])


def test_seeds_decide_and_kinds_have_streams_of_their_own():
    first, again, other = (epoch_draws(EVERYTHING, 200, seed) for seed in (1, 1, 2))
    for kind, rows in first.items():
        assert len(rows) == 200
        assert torch.equal(rows, again[kind])
        assert not torch.equal(rows, other[kind])
    assert not torch.equal(first["crop"], first["cutout"])


def test_drawing_leaves_the_callers_random_states_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    epoch_draws(EVERYTHING, 100, 0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_rotation_shift_and_jitter_reach_their_limits_both_ways_and_no_further():
    draws = epoch_draws(EVERYTHING, 4000, 0)
    limits = {"rotation": 15, "shift": 0.1}
    for kind, limit in limits.items():
        assert limit * 0.99 < draws[kind].max() <= limit
        assert -limit <= draws[kind].min() < -limit * 0.99
    reach = draws["jitter"] - torch.tensor([1.0, 1.0, 1.0, 0.0])
    limit = torch.tensor([0.4, 0.3, 0.2, 0.1])
    assert (reach.abs() <= limit + 1e-6).all()
    assert (reach.amax(0) > limit * 0.99).all()
    assert (reach.amin(0) < -limit * 0.99).all()


def test_windows_have_the_areas_and_aspects_of_inception_and_lie_in_the_image():
    top, left, height, width = epoch_draws(EVERYTHING, 4000, 0)["resized_crop"].unbind(1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 1 + 1e-6).all()
    assert (left + width <= 1 + 1e-6).all()
    area, aspect = height * width, width / height
    assert 0.08 - 1e-6 <= area.min() < 0.09
    assert 0.95 < area.max() <= 1
    assert 3 / 4 - 1e-5 <= aspect.min() < 0.76
    assert 1.32 < aspect.max() <= 4 / 3 + 1e-5
    # Areas are even up to 3/4; from there on the more oblong ones do not fit and are drawn again.
    assert (area < 0.4).float().mean() == pytest.approx(0.32 / (0.67 + 0.119), abs=0.025)


def test_where_no_window_fits_it_is_the_whole_image():
    rows = epoch_draws(Augmentation(resized_crop=1.0), 50, 0)["resized_crop"]
    assert torch.equal(rows, torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(50, 4))


@pytest.mark.parametrize("probability", [0.25, 1.0])
def test_erasing_happens_as_often_as_it_should_to_2_to_33_percent_of_the_area(probability):
    rows = epoch_draws(Augmentation(erasing=probability), 4000, 0)["erasing"]
    height, width = rows[:, 2], rows[:, 3]
    happens = height > 0
    assert happens.float().mean() == pytest.approx(probability, abs=0.02)
    area, aspect = (height * width)[happens], (width / height)[happens]
    assert 0.02 - 1e-6 <= area.min() < 0.03
    assert 0.31 < area.max() <= 0.33 + 1e-6
    assert 0.3 - 1e-5 <= aspect.min() < 0.32
    assert 3.1 < aspect.max() <= 1 / 0.3 + 1e-5
    assert (rows[happens, :2] + rows[happens, 2:] <= 1 + 1e-6).all()


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixtures_have_their_beta_distribution(alpha):
    draws = epoch_draws(Augmentation(mixup=alpha, cutmix=alpha), 20_000, 0)
    for own in (draws["mixup"], draws["cutmix"][:, 0]):
        assert own.isfinite().all()
        assert own.mean() == pytest.approx(0.5, abs=0.01)
        assert own.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)
