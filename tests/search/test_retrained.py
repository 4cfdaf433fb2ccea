"""Networks of a search with the weights that it trained."""

import pytest
import torch

from scalesearch.ablations.gradcam_figure import retrain_candidates
from scalesearch.search import worker as advance
from scalesearch.search.driver import run_search

pytestmark = pytest.mark.filterwarnings(
    "ignore::scalesearch.candidates.iso_cost.StuckAxisWarning",
    "ignore::scalesearch.search.design.OffTargetWarning",
)
POINTS = {
    "sampler": "points",
    "references": [],
    "points": [{"name": "base"}, {"name": "wide", "width": 1.5}],
}


@pytest.mark.slow
def test_kept_weights_are_read_and_gone_ones_trained_again_to_the_same_bits(tiny, tmp_path):
    experiment = tiny(**POINTS)
    run_search(experiment, tmp_path / "kept", keep=True)
    kept_weights = {
        retrained.candidate: retrained.network.state_dict()
        for retrained in retrain_candidates(tmp_path / "kept", 1)
    }
    assert len(kept_weights) == 2
    run_search(experiment, tmp_path / "gone")
    assert not list((tmp_path / "gone" / "checkpoints").iterdir())
    for retrained in retrain_candidates(tmp_path / "gone", 1):
        for name, tensor in retrained.network.state_dict().items():
            assert torch.equal(tensor, kept_weights[retrained.candidate][name])
    assert len(list((tmp_path / "gone" / "checkpoints").glob("*-1.pt"))) == 2


@pytest.mark.slow
def test_a_search_that_keeps_trains_nothing_when_it_is_called_again(tiny, tmp_path, monkeypatch):
    experiment = tiny(**POINTS)
    first = run_search(experiment, tmp_path, keep=True)

    def trains(*_, **__):
        raise AssertionError("trained again")

    monkeypatch.setattr(advance, "train_together", trains)
    second_result = run_search(experiment, tmp_path, keep=True)
    assert list(second_result["accuracy"]) == list(first["accuracy"])
    assert len(list((tmp_path / "checkpoints").glob("*.pt"))) == 4
