"""Learning rates by step, and the states of plateau and early stopping."""

import json
import math
from dataclasses import asdict, replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from scalesearch.config.reading import preset
from scalesearch.config.recipe import Recipe
from scalesearch.training.schedules import EarlyStoppingState, PlateauState, learning_rate

STEPS = 10
RECIPE = Recipe(epochs=4, learning_rate=0.2, warmup_epochs=1)
COLD = replace(RECIPE, warmup_epochs=0, decay_rate=0.5, decay_epochs=2)
PLATEAU = replace(RECIPE, schedule="plateau", decay_rate=0.5, plateau_patience=2)


def rates(recipe: Recipe) -> list[float]:
    return [learning_rate(recipe, step, STEPS) for step in range(recipe.epochs * STEPS)]


def test_the_warm_up_rises_in_equal_parts_to_the_full_rate() -> None:
    assert rates(RECIPE)[:STEPS] == pytest.approx([0.02 * step for step in range(1, 11)])


def test_the_cosine_is_half_at_half_time_and_ends_at_zero() -> None:
    assert learning_rate(RECIPE, 10, STEPS) == pytest.approx(0.2)
    assert learning_rate(RECIPE, 25, STEPS) == pytest.approx(0.1)
    assert learning_rate(RECIPE, 40, STEPS) == pytest.approx(0, abs=1e-12)
    assert rates(RECIPE)[STEPS:] == sorted(rates(RECIPE)[STEPS:], reverse=True)


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_a_constant_rate_stays_after_its_warm_up(schedule: str) -> None:
    assert set(rates(replace(RECIPE, schedule=schedule))[STEPS - 1 :]) == {0.2}


@pytest.mark.parametrize("schedule", ["cosine", "constant", "exponential", "step", "plateau"])
def test_without_a_warm_up_the_first_step_has_the_full_rate(schedule: str) -> None:
    assert rates(replace(RECIPE, warmup_epochs=0, schedule=schedule))[0] == 0.2


def test_a_warm_up_may_take_a_fraction_of_an_epoch_or_all_of_them() -> None:
    fraction = rates(replace(RECIPE, warmup_epochs=0.25))
    assert fraction[:3] == pytest.approx([0.08, 0.16, 0.2])
    assert max(fraction) <= 0.2
    assert rates(replace(RECIPE, warmup_epochs=4))[-1] == pytest.approx(0.2)


def test_an_exponential_decays_evenly_over_the_steps() -> None:
    decaying = rates(replace(COLD, schedule="exponential"))
    assert decaying[20] == pytest.approx(0.1)
    assert decaying[30] == pytest.approx(0.2 * 0.5**1.5)
    ratios = [after / before for before, after in pairwise(decaying)]
    assert ratios == pytest.approx([0.5 ** (1 / 20)] * len(ratios))


def test_an_exponential_by_epochs_is_the_same_where_an_epoch_begins() -> None:
    by_step = replace(COLD, schedule="exponential")
    by_epoch = rates(replace(by_step, decay_per="epoch"))
    assert by_epoch[::STEPS] == pytest.approx(rates(by_step)[::STEPS])
    assert all(len(set(by_epoch[start : start + STEPS])) == 1 for start in range(0, 40, STEPS))


def test_a_step_schedule_changes_after_whole_periods() -> None:
    assert rates(replace(COLD, schedule="step")) == pytest.approx([0.2] * 20 + [0.1] * 20)


@given(st.integers(1, 60), st.integers(1, 40), st.integers(1, 30))
def test_a_period_that_ends_with_a_step_is_over_with_it(
    tenths: int, tens_of_steps: int, periods: int
) -> None:
    """Also where the tenth of an epoch is no binary number."""
    recipe = replace(COLD, schedule="step", decay_epochs=tenths / 10)
    first_of_the_next = periods * tenths * tens_of_steps
    before, after = (
        learning_rate(recipe, step, 10 * tens_of_steps)
        for step in (first_of_the_next - 1, first_of_the_next)
    )
    assert (before, after) == (0.2 * 0.5 ** (periods - 1), 0.2 * 0.5**periods)


def test_a_decay_is_counted_from_the_first_step_and_not_from_the_end_of_the_warm_up() -> None:
    """As ``tf.train.exponential_decay`` of the global step, under a warm-up that replaces it."""
    exponential = replace(COLD, schedule="exponential", warmup_epochs=1)
    assert learning_rate(exponential, 20, STEPS) == pytest.approx(0.1)
    paper, steps = preset("paper"), 5
    assert learning_rate(paper, 5 * steps - 1, steps) == pytest.approx(0.016)
    assert learning_rate(paper, 5 * steps, steps) == pytest.approx(0.016 * 0.97**2)
    assert learning_rate(paper, 349 * steps, steps) == pytest.approx(0.016 * 0.97**145)


@pytest.mark.parametrize("schedule", ["cosine", "exponential", "step"])
def test_the_rate_is_in_proportion_to_the_batch(schedule: str) -> None:
    recipe = replace(RECIPE, schedule=schedule, learning_rate_batch=256, batch_size=256)
    small = replace(recipe, batch_size=64)
    assert rates(small) == pytest.approx([rate / 4 for rate in rates(recipe)])
    assert rates(recipe) == rates(replace(recipe, learning_rate_batch=None))


def test_the_papers_rate_at_4096_images_is_a_quarter() -> None:
    paper = replace(preset("paper"), batch_size=4096)
    assert max(learning_rate(paper, step, 10) for step in range(100)) == pytest.approx(0.256)


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(0, 3))
def test_a_plateau_cuts_where_pytorchs_does(losses: list[int], patience: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience, threshold=0.0, eps=0.0
    )
    recipe, state = replace(PLATEAU, plateau_patience=patience), PlateauState()
    for loss in losses:
        peer.step(float(loss))
        state = state.updated(recipe, float(loss))
        assert state.factor == optimizer.param_groups[0]["lr"]


def test_a_nan_loss_counts_as_not_fallen() -> None:
    assert PlateauState(0.5).updated(PLATEAU, math.nan) == PlateauState(0.5, bad_epochs=1)


def test_other_schedules_ignore_the_plateau_state() -> None:
    state = PlateauState()
    for _ in range(10):
        state = state.updated(RECIPE, 1.0)
    assert state == PlateauState()


def test_patience_waits_since_the_best_epoch_and_then_stops() -> None:
    recipe = replace(RECIPE, patience=2)
    state, states = EarlyStoppingState(), []
    for epoch, accuracy in enumerate([0.1, 0.3, 0.3, 0.4, 0.2, 0.4], start=1):
        state = state.updated(accuracy, epoch)
        states.append((state.epoch, state.waited, state.should_stop(recipe)))
    assert states == [
        (1, 0, False),
        (2, 0, False),
        (2, 1, False),  # as good is not better
        (4, 0, False),
        (4, 1, False),
        (4, 2, True),
    ]
    assert not state.should_stop(RECIPE)


@pytest.mark.parametrize(
    "state",
    [PlateauState(), PlateauState(0.3, 1, 0.25), EarlyStoppingState(), EarlyStoppingState(0.9, 4)],
)
def test_states_are_plain_data(state: PlateauState | EarlyStoppingState) -> None:
    assert type(state)(**json.loads(json.dumps(asdict(state)))) == state
