"""SIGKILL of the driver at each transition, with a fake trainer that keeps account."""

import pytest
from fault_checks import killed_until_done, require_whole
from fault_stage import document

POINTS = {
    "claim": 1,
    "enter": 2,
    "submit": 5,
    "epoch": 9,
    "outcome": 7,
    "record": 6,
    "report": 7,
    "complete": 1,
    "stopped": 1,
    "forget": 2,
    "log": 8,
    "records": 1,
    "progress": 5,
    "attribute": 9,
    "state": 2,
}
"""At which crossing a life ends: often enough for several kills, and for an end."""


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_driver_killed_at_a_transition_skips_and_repeats_nothing(
    stage, undisturbed, tmp_path, point
):
    asked = document("lattice")
    kills = killed_until_done(stage, tmp_path / "r", asked, point, POINTS[point])
    assert kills >= 1
    require_whole(tmp_path / "r", undisturbed(asked))


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
@pytest.mark.parametrize("point", ["ask", "enter", "record"])
def test_a_sampler_proposes_the_same_after_a_kill(stage, undisturbed, tmp_path, sampler, point):
    asked = document(sampler)
    kills = killed_until_done(stage, tmp_path / "r", asked, point, 3)
    assert kills >= 2
    require_whole(tmp_path / "r", undisturbed(asked))
