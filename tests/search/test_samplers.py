"""Samplers see the simplex as a square, and a proposal depends on its history alone."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalesearch.config.search_spec import SearchSpec
from scalesearch.scaling.coefficients import Shares
from scalesearch.search.samplers import (
    LEARNING_SAMPLERS,
    SAMPLERS,
    STARTUP_TRIALS,
    Observation,
    from_square,
    proposal,
    to_square,
)

unit = st.floats(0.001, 1.0)
HISTORY = [
    Observation(str(i), from_square((i + 0.5) / 12, (7 * i % 12 + 0.5) / 12), (1.0 - i / 12,))
    for i in range(12)
]


def spec(sampler):
    if sampler == "nsga2":
        return SearchSpec(sampler="nsga2", against="params", pruner="none", race=None)
    return SearchSpec(sampler=sampler)


def with_second_value(sampler, history):
    """With a cost where the sampler has two objectives."""
    if sampler != "nsga2":
        return history
    return [
        replace(observation, values=(*observation.values, float(number)))
        for number, observation in enumerate(history)
    ]


@given(unit, unit)
def test_the_square_maps_one_to_one_onto_the_simplex(u, v):
    shares = from_square(u, v)
    assert all(share >= 0 for share in shares.as_tuple())
    assert to_square(shares) == pytest.approx((u, v), abs=1e-6)


@pytest.mark.parametrize("corner", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_corners_come_back_as_themselves(corner):
    assert from_square(*to_square(Shares(*corner))).distance(Shares(*corner)) < 1e-9


def test_equal_areas_of_the_square_are_equal_areas_of_the_simplex():
    mesh = [from_square((i + 0.5) / 60, (j + 0.5) / 60) for i in range(60) for j in range(60)]
    for axis in ("depth", "width", "resolution"):
        # Of a triangle, a quarter lies where one share exceeds a half.
        assert sum(getattr(shares, axis) > 0.5 for shares in mesh) / len(mesh) == pytest.approx(
            0.25, abs=0.02
        )


def test_sobol_is_one_sequence_whatever_the_history():
    assert proposal(spec("sobol"), 0, 3, HISTORY) == proposal(spec("sobol"), 0, 3, [])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_proposal_follows_from_seed_number_and_history(sampler):
    first = with_second_value(
        sampler, HISTORY[:3]
    )  # few enough that every sampler still draws by chance
    settings = spec(sampler)
    assert proposal(settings, 3, 9, first) == proposal(settings, 3, 9, first)
    assert proposal(settings, 4, 9, first) != proposal(settings, 3, 9, first)
    assert proposal(settings, 3, 10, first) != proposal(settings, 3, 9, first)


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_model_learns_from_its_history(sampler):
    assert len(HISTORY) > STARTUP_TRIALS
    mirrored = [
        replace(observation, values=(1 - observation.values[0],)) for observation in HISTORY
    ]
    assert proposal(spec(sampler), 3, 9, HISTORY) != proposal(spec(sampler), 3, 9, mirrored)


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_a_model_knows_what_is_being_trained(sampler):
    """What was proposed and has not ended is not proposed again at once."""
    settings, top = spec(sampler), Shares(0.3, 0.4, 0.3)  # a corner may be met in many ways
    observations = [
        replace(observation, values=(1 - observation.shares.distance(top),))
        for observation in HISTORY
    ]
    first = proposal(settings, 0, 20, observations)
    in_flight = [*observations, Observation("first", first, None)]
    assert proposal(settings, 0, 20, in_flight) != first


def test_samplers_that_learn_are_known():
    assert set(LEARNING_SAMPLERS) < set(SAMPLERS)
    for sampler in set(SAMPLERS) - set(LEARNING_SAMPLERS):
        settings = spec(sampler)
        assert proposal(settings, 0, 3, HISTORY) == proposal(settings, 0, 3, [])


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_a_model_goes_where_accuracy_is(sampler):
    def accuracy(shares):
        return 0.8 - shares.distance(Shares(0.2, 0.6, 0.2)) ** 2

    def regret(sampler):
        observations = [
            replace(observation, values=(accuracy(observation.shares),)) for observation in HISTORY
        ]
        for number in range(12):
            shares = proposal(spec(sampler), 0, number, observations)
            observations.append(Observation(f"proposal {number}", shares, (accuracy(shares),)))
        return 0.8 - max(observation.values[0] for observation in observations[len(HISTORY) :])

    assert regret(sampler) < 0.01


def test_sobol_fills_the_square_more_evenly_than_chance():
    points = [to_square(proposal(spec("sobol"), 0, number, HISTORY)) for number in range(16)]
    cells = {(int(4 * u), int(4 * v)) for u, v in points}
    assert len(cells) >= 14
