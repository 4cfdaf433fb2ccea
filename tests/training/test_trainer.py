"""A run over its epochs: averages, early stopping, plateaus, growing images, resuming."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused
from torch import Tensor, nn
from trained_runs import EVERYTHING, assert_same_bits, document, epochs_of, flat, numbers

from scalesearch.config.recipe import Augmentation, ProgressiveResizing, Recipe
from scalesearch.data.augmentation.geometry import input_transform
from scalesearch.data.batches import evaluation_batches
from scalesearch.data.dataset import Dataset
from scalesearch.errors import SearchError
from scalesearch.models.layers import DropConnect
from scalesearch.training import trainer as run
from scalesearch.training.ema import EMA
from scalesearch.training.inference import load_trained_model
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train

STEPS = 4  # 70 images in full batches of 16


def changed(job: TrainingJob, **changes: Any) -> TrainingJob:
    return replace(job, recipe=replace(job.recipe, **changes))


def validated(network: nn.Module, job: TrainingJob, dataset: Dataset) -> tuple[float, float, float]:
    seen = input_transform(dataset, job.recipe, job.architecture.resolution)
    return run.evaluate(
        network,
        evaluation_batches(
            dataset.validation,
            seen,
            batch_size=run.EVALUATION_BATCH_SIZE,
            resolution=job.architecture.resolution,
            device="cpu",
        ),
    )


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> list[nn.Module]:
    """The networks that are trained, as they are made."""
    made: list[nn.Module] = []
    whole = run.build_initial_model

    def spying(*args: Any) -> nn.Module:
        made.append(whole(*args))
        return made[-1]

    monkeypatch.setattr(run, "build_initial_model", spying)
    return made


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The rate that each step of the optimiser takes."""
    taken: list[float] = []
    whole = run.make_optimizer

    def spying(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
        made = whole(network, recipe)
        made.register_step_pre_hook(
            lambda optimizer, *_: taken.append(optimizer.param_groups[0]["lr"])
        )
        return made

    monkeypatch.setattr(run, "make_optimizer", spying)
    return taken


# Averages


def test_averages_are_validated_and_do_not_affect_training(
    job: TrainingJob, dataset: Dataset, tmp_path: Path
) -> None:
    plain = replace(job, checkpoint=tmp_path / "plain")
    averaged = replace(changed(job, ema=0.9), checkpoint=tmp_path / "averaged")
    without, with_them = epochs_of(plain, dataset), epochs_of(averaged, dataset)
    assert [e.train_loss for e in without] == [e.train_loss for e in with_them]
    assert all(a.loss != b.loss for a, b in zip(without, with_them, strict=True))
    theirs, ours = document(plain.checkpoint), document(averaged.checkpoint)
    for part in ("network", "optimizer"):
        own, same = dict(flat(ours[part])), dict(flat(theirs[part]))
        tensors = [name for name, value in own.items() if isinstance(value, Tensor)]
        assert tensors
        assert all(torch.equal(own[name], same[name]) for name in tensors)
    assert not torch.equal(
        ours["averages"]["classifier.weight"], ours["network"]["classifier.weight"]
    )


def test_the_averages_decay_rises_over_the_whole_run(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    whole = run.EMA.ema_weight

    def spying(averages: EMA, step: int) -> float:
        asked.append(step)
        return whole(averages, step)

    monkeypatch.setattr(run.EMA, "ema_weight", spying)
    epochs_of(changed(job, ema=0.99), dataset)
    assert asked == list(range(3 * STEPS))


def test_a_trained_network_has_the_averages_that_were_validated(
    job: TrainingJob, dataset: Dataset, tmp_path: Path
) -> None:
    kept = replace(changed(job, ema=0.9), checkpoint=tmp_path / "run")
    last = epochs_of(kept, dataset)[-1]
    network = load_trained_model(kept, dataset, "cpu")
    assert not network.training
    assert validated(network, kept, dataset) == (last.loss, last.accuracy, last.top5)
    for name, average in document(kept.checkpoint)["averages"].items():
        assert torch.equal(network.state_dict()[name], average)


def test_a_trained_network_has_its_last_weights_by_default(
    job: TrainingJob, dataset: Dataset, tmp_path: Path
) -> None:
    kept = replace(job, checkpoint=tmp_path / "run")
    last = epochs_of(kept, dataset)[-1]
    assert validated(load_trained_model(kept, dataset, "cpu"), kept, dataset) == (
        last.loss,
        last.accuracy,
        last.top5,
    )


def test_a_missing_or_damaged_checkpoint_gives_no_trained_network(
    job: TrainingJob, dataset: Dataset, tmp_path: Path
) -> None:
    with refused(SearchError):
        load_trained_model(job, dataset, "cpu")
    kept = replace(job, checkpoint=tmp_path / "run")
    with refused(SearchError):
        load_trained_model(kept, dataset, "cpu")
    kept.checkpoint.write_bytes(b"damaged")
    with (
        pytest.warns(UserWarning, match="the checkpoint is damaged"),
        refused(SearchError),
    ):
        load_trained_model(kept, dataset, "cpu")


# Resuming


@pytest.fixture
def worsening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that seem to get worse as they learn, so that plateaus and patience act."""
    whole = run.evaluate

    def reversing(*args: Any) -> tuple[float, float, float]:
        loss, accuracy, top5 = whole(*args)
        return 10 - loss, 1 - accuracy, top5

    monkeypatch.setattr(run, "evaluate", reversing)


@pytest.mark.usefixtures("worsening")
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
def test_a_run_with_all_options_resumes_after_a_crash_without_a_changed_bit(
    job: TrainingJob,
    dataset: Dataset,
    optimizer: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rate = {"sgd": 0.1, "rmsprop": 0.1}.get(optimizer, 0.02)
    job = changed(job, **EVERYTHING, optimizer=optimizer, learning_rate=rate)
    straight = replace(job, checkpoint=tmp_path / "straight")
    broken = replace(job, checkpoint=tmp_path / "broken")
    expected = epochs_of(straight, dataset)

    whole, crash_at = run.learning_rate, 2 * STEPS + 2  # the third step of the third epoch

    def crashing(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
        if step == crash_at:
            raise KeyboardInterrupt
        return whole(recipe, step, steps_per_epoch)

    epochs_of(replace(broken, stop=1), dataset)
    with monkeypatch.context() as crash:
        crash.setattr(run, "learning_rate", crashing)
        with pytest.raises(KeyboardInterrupt):
            epochs_of(broken, dataset)
    torch.manual_seed(99)
    kept = document(broken.checkpoint)
    assert len(kept["history"]) == 2
    assert kept["plateau"]["factor"] == 0.5
    assert kept["patience"] == {"accuracy": expected[0].accuracy, "epoch": 1, "waited": 1}
    assert numbers(epochs_of(broken, dataset)) == numbers(expected)
    assert_same_bits(broken.checkpoint, straight.checkpoint)


@pytest.mark.usefixtures("worsening")
def test_that_run_really_uses_all_options(job: TrainingJob, dataset: Dataset) -> None:
    job = changed(job, **EVERYTHING, learning_rate=0.1)
    together = numbers(epochs_of(job, dataset))
    without = {
        "ema": None,
        "schedule": "constant",
        "patience": None,
        "clip_norm": None,
        "micro_batch": None,
        "augmentation": Augmentation(),
        "progressive": ProgressiveResizing(),
        "dropout": 0.0,
        "drop_connect": 0.0,
    }
    for name, value in without.items():
        assert numbers(epochs_of(changed(job, **{name: value}), dataset)) != together, name


# Patience


@pytest.fixture
def falling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that get better for three epochs, and are then torn apart by their rate."""
    monkeypatch.setattr(run, "learning_rate", lambda _, step, per: 0.05 if step < 3 * per else 3.0)


@pytest.mark.usefixtures("falling")
@pytest.mark.parametrize("ema", [None, 0.5])
def test_early_stopping_returns_to_the_best_epoch(
    job: TrainingJob,
    dataset: Dataset,
    ema: float | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = replace(
        changed(job, epochs=12, patience=2, ema=ema, dropout=0, drop_connect=0),
        checkpoint=tmp_path / "run",
    )
    epochs = epochs_of(kept, dataset)
    best = max(epochs, key=lambda epoch: (epoch.accuracy, -epoch.index))
    assert len(epochs) == best.index + 2 < 12
    assert best.accuracy > epochs[-1].accuracy
    network = load_trained_model(kept, dataset, "cpu")
    assert validated(network, kept, dataset) == (best.loss, best.accuracy, best.top5)

    monkeypatch.setattr(run, "training_batches", None)  # nothing is trained any more
    assert epochs_of(kept, dataset) == epochs
    again = load_trained_model(kept, dataset, "cpu").state_dict()
    assert all(torch.equal(again[name], weight) for name, weight in network.state_dict().items())


@pytest.mark.usefixtures("falling")
def test_early_stopping_survives_an_interruption(
    job: TrainingJob, dataset: Dataset, tmp_path: Path
) -> None:
    job = changed(job, epochs=12, patience=2, dropout=0, drop_connect=0)
    straight = replace(job, checkpoint=tmp_path / "straight")
    parts = replace(job, checkpoint=tmp_path / "parts")
    expected = epochs_of(straight, dataset)
    told = [
        epoch
        for stop in range(1, 9)
        for epoch in train(replace(parts, start=min(stop - 1, 8), stop=stop), dataset, device="cpu")
    ]
    assert numbers(told) == numbers(expected)
    assert_same_bits(parts.checkpoint, straight.checkpoint)


def test_a_run_without_patience_goes_on(job: TrainingJob, dataset: Dataset) -> None:
    assert len(epochs_of(changed(job, epochs=3, learning_rate=1e-9), dataset)) == 3
    assert len(epochs_of(changed(job, epochs=9, learning_rate=1e-9, patience=1), dataset)) < 9


# Images that grow


def test_resolution_and_regularisation_grow_to_their_full_values(
    job: TrainingJob, dataset: Dataset, networks: list[nn.Module]
) -> None:
    progressive = ProgressiveResizing(start=0.5, regularisation=0.2)
    running = train(changed(job, epochs=3, progressive=progressive), dataset, device="cpu")
    seen: dict[str, list[Any]] = {"training": [], "validation": [], "dropout": [], "drop": []}

    def look(network: Any, images: tuple[Tensor]) -> None:
        if not network.training:
            seen["validation"].append(images[0].shape[2:])
            return
        seen["training"].append(images[0].shape[2:])
        drops = [m for m in network.modules() if isinstance(m, DropConnect)]
        seen["dropout"].append(network.dropout.p)
        seen["drop"].append([drop.rate * drop.strength for drop in drops])

    hook = nn.modules.module.register_module_forward_pre_hook(
        lambda module, images: look(module, images) if module in networks else None
    )
    try:
        epochs = list(running)
    finally:
        hook.remove()
    assert [epoch.resolution for epoch in epochs] == [4, 7, 9]
    assert seen["training"] == [(side, side) for side in (4, 7, 9) for _ in range(STEPS)]
    assert set(seen["validation"]) == {(9, 9)}
    strengths = [strength for strength in (0.2, 0.6, 1.0) for _ in range(STEPS)]
    assert seen["dropout"] == pytest.approx([0.2 * strength for strength in strengths])
    full = [m.rate for m in networks[0].modules() if isinstance(m, DropConnect)]
    assert max(full) > 0
    for strength, rates in zip(strengths, seen["drop"], strict=True):
        assert rates == pytest.approx([strength * rate for rate in full])


def test_validation_may_use_another_resolution(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    whole = run.evaluation_batches

    def spying(*args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["resolution"])
        return whole(*args, **kwargs)

    monkeypatch.setattr(run, "evaluation_batches", spying)
    epochs = epochs_of(changed(job, epochs=1, warmup_epochs=0.5, evaluation_scale=4 / 3), dataset)
    assert asked == [12]
    assert epochs[0].resolution == 9


# Rates


@pytest.mark.parametrize(("micro_batch", "size"), [(None, 256), (4, 4)])
def test_micro_batches_limit_the_evaluation_batch(
    job: TrainingJob, micro_batch: int | None, size: int
) -> None:
    assert run.evaluation_batch_size(changed(job, micro_batch=micro_batch).recipe) == size


def test_a_loss_that_does_not_fall_cuts_the_rate_that_the_optimiser_takes(
    job: TrainingJob, dataset: Dataset, rates: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([2.0, 1.0, 1.0, 0.9, 1.0, 1.0])
    monkeypatch.setattr(run, "evaluate", lambda *_: (next(losses), 0.5, 1.0))
    cutting = changed(
        job, epochs=6, warmup_epochs=0, schedule="plateau", plateau_patience=0, decay_rate=0.5
    )
    epochs = epochs_of(cutting, dataset)
    factors = [1, 1, 1, 0.5, 0.5, 0.25]
    assert [epoch.learning_rate for epoch in epochs] == [0.05 * factor for factor in factors]
    assert rates == [0.05 * factor for factor in factors for _ in range(STEPS)]


def test_warm_up_and_the_batchs_size_reach_the_optimiser(
    job: TrainingJob, dataset: Dataset, rates: list[float]
) -> None:
    recipe = {"learning_rate": 0.2, "learning_rate_batch": 64, "schedule": "constant"}
    epochs = epochs_of(changed(job, epochs=2, warmup_epochs=1, **recipe), dataset)
    full = 0.2 * 16 / 64
    assert rates == pytest.approx([full * part for part in (0.25, 0.5, 0.75, 1, 1, 1, 1, 1)])
    assert [epoch.learning_rate for epoch in epochs] == [rates[3], rates[7]]


# Chance


def test_every_step_has_a_dropout_stream_of_its_own(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []
    whole = run.random_stream

    def spying(seed: int, *others: Any) -> Any:
        seeds.append(seed)
        return whole(seed, *others)

    monkeypatch.setattr(run, "random_stream", spying)
    epochs_of(job, dataset)
    epochs_of(replace(job, seed=8), dataset)
    assert len(seeds) == len(set(seeds)) == 2 * 3 * STEPS


# What is measured


def test_top5_counts_five_of_ten_classes() -> None:
    logits_BK = torch.arange(10).float().expand(4, 10)  # the highest are 9, 8, 7, 6, 5
    labels_B = torch.tensor([9, 5, 4, 0])
    _, accuracy, top5 = run.evaluate(nn.Identity(), iter([(logits_BK, labels_B)]))
    assert (accuracy, top5) == (0.25, 0.5)


def test_accuracies_are_of_images_and_not_of_batches() -> None:
    right, wrong = torch.eye(10)[:3], torch.eye(10)[3:4]
    batches = [(right, torch.arange(3)), (wrong, torch.tensor([9]))]
    _, accuracy, top5 = run.evaluate(nn.Identity(), iter(batches))
    assert accuracy == 0.75
    assert top5 == 0.75


def test_an_epoch_has_every_measurement(job: TrainingJob, dataset: Dataset) -> None:
    for epoch in epochs_of(job, dataset):
        assert epoch.top5 == 1  # of two classes
        assert epoch.accuracy <= epoch.top5
        assert epoch.peak_bytes > 10_000_000  # Python and PyTorch alone are more
        assert 0 < epoch.utilisation < 1.5
        assert epoch.resolution == 9


def test_utilisation_counts_the_epochs_resolution(
    job: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def spying(macs: float, *_: Any) -> float:
        asked.append(macs)
        return 0.5

    monkeypatch.setattr(run, "utilisation", spying)
    epochs_of(changed(job, progressive=ProgressiveResizing(start=0.5)), dataset)
    assert asked[0] < asked[1] < asked[2]
