"""The learning-rate sweep of a candidate."""

import math
from dataclasses import replace

import pytest
import torch
from refusals import refused

from scalesearch.training import lr_rules as sweep
from scalesearch.training.loop import TrainingDiverged, train
from scalesearch.training.lr_rules import LR_SWEEP_FACTORS, run_lr_sweep


@pytest.fixture
def tuned(job):
    recipe = replace(job.recipe, dropout=0, drop_connect=0, learning_rate=0.4, patience=1)
    return replace(job, recipe=recipe)


def test_the_rate_of_the_lowest_loss_is_taken(tuned, dataset):
    found = run_lr_sweep(tuned, dataset, device="cpu")
    assert found.losses.keys() == set(LR_SWEEP_FACTORS)
    best = min(found.losses, key=found.losses.get)
    assert found.learning_rate == pytest.approx(0.4 * best)
    assert len(set(found.losses.values())) == len(LR_SWEEP_FACTORS)
    assert found.seconds > 0


def test_a_sweep_is_reproducible_and_writes_no_checkpoint(tuned, dataset, tmp_path):
    kept = replace(tuned, checkpoint=tmp_path / "run.pt")
    once, again = (run_lr_sweep(kept, dataset, device="cpu") for _ in range(2))
    assert once.losses == again.losses
    assert not list(tmp_path.iterdir())


def test_every_short_run_has_a_whole_schedule_with_its_warm_up(tuned, dataset, monkeypatch):
    seen = []

    def spying(job, dataset, *, device):
        seen.append(job.recipe)
        return train(job, dataset, device=device)

    monkeypatch.setattr(sweep, "train", spying)
    run_lr_sweep(tuned, dataset, device="cpu")
    assert [recipe.learning_rate for recipe in seen] == pytest.approx(
        [0.4 * f for f in LR_SWEEP_FACTORS]
    )
    for recipe in seen:
        assert (recipe.epochs, recipe.patience) == (1, None)
        assert recipe.warmup_epochs == pytest.approx(tuned.recipe.warmup_epochs / 3)


def test_diverging_rates_are_not_chosen(tuned, dataset, monkeypatch):
    def diverging(job, dataset, *, device):
        if job.recipe.learning_rate > 0.15:
            raise TrainingDiverged("nan", ())
        return train(job, dataset, device=device)

    monkeypatch.setattr(sweep, "train", diverging)
    found = run_lr_sweep(tuned, dataset, device="cpu")
    assert found.learning_rate == pytest.approx(0.1)
    assert [math.isinf(loss) for loss in found.losses.values()] == [False, True, True, True]
    higher = replace(tuned, recipe=replace(tuned.recipe, learning_rate=4.0))
    with refused(TrainingDiverged):
        run_lr_sweep(higher, dataset, device="cpu")


def test_a_sweep_does_not_change_the_callers_generator(tuned, dataset):
    state = torch.get_rng_state()
    run_lr_sweep(tuned, dataset, device="cpu")
    assert torch.equal(torch.get_rng_state(), state)
