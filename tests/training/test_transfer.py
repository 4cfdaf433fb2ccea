"""Transfer: frozen parts, rates, identity and benefit."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from refusals import refused
from trained_runs import EVERYTHING, assert_same_bits, epochs_of, numbers
from transfers import EPOCHS, after, going_on, moved, part_of, some_network

from scalesearch.architectures.baselines import baseline
from scalesearch.architectures.cost import cost
from scalesearch.architectures.fingerprint import fingerprint
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import DataSpec
from scalesearch.config.reading import preset
from scalesearch.config.recipe import Augmentation, Recipe
from scalesearch.config.transfer_spec import Transfer, UnfreezeStep, part_names
from scalesearch.data.dataset import Dataset, Split, channel_statistics
from scalesearch.data.sources.by_name import load_dataset
from scalesearch.errors import SearchError
from scalesearch.models.network import build_model
from scalesearch.training import transfer
from scalesearch.training.inference import load_trained_model
from scalesearch.training.job import InitialWeights, TrainingJob, identity
from scalesearch.training.job_network import build_initial_model
from scalesearch.training.lr_rules import run_lr_sweep
from scalesearch.training.network_file import weights_hash, write_network
from scalesearch.training.optimisers import make_optimizer, set_learning_rate
from scalesearch.training.profiling import training_macs

# What moves


@pytest.mark.parametrize(
    "how",
    [
        {"optimizer": "sgd", "ema": 0.9, "clip_norm": 0.5, "micro_batch": 8},
        {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
        {"optimizer": "rmsprop", "learning_rate": 0.01, "ema": 0.9, "schedule": "plateau"},
    ],
    ids=lambda how: how["optimizer"],
)
def test_frozen_parts_keep_every_bit_and_the_others_change(
    how: dict[str, Any], job: TrainingJob, dataset: Dataset, pretrained: Path, tmp_path: Path
) -> None:
    asked = going_on(job, pretrained, Transfer(freeze=("stem", "stage1")), **how)
    before = after(asked, dataset, 0, tmp_path)
    now = after(asked, dataset, EPOCHS, tmp_path)
    assert moved(before, now) == {"stage2", "head", "classifier"}
    counts = {name: int(now[name]) for name in now if name.endswith("num_batches_tracked")}
    steps = EPOCHS * 4 * (2 if how.get("micro_batch") else 1)
    assert {part_of(name) for name, count in counts.items() if count == steps} == {"stage2", "head"}


def test_a_middle_part_can_be_frozen(
    job: TrainingJob, dataset: Dataset, pretrained: Path, tmp_path: Path
) -> None:
    asked = going_on(job, pretrained, Transfer(freeze=("stage1", "head")))
    before = after(asked, dataset, 0, tmp_path)
    assert moved(before, after(asked, dataset, 2, tmp_path)) == {"stem", "stage2", "classifier"}


def test_parts_train_from_the_epoch_at_which_they_are_unfrozen(
    job: TrainingJob, dataset: Dataset, pretrained: Path, tmp_path: Path
) -> None:
    staged = Transfer(
        freeze=("all-but-head",),
        unfreeze=(
            UnfreezeStep(epoch=2, parts=("head",)),
            UnfreezeStep(epoch=4, parts=("stage2", "stem")),
        ),
    )
    asked = going_on(job, pretrained, staged, ema=None)
    states = [after(asked, dataset, epoch, tmp_path) for epoch in range(EPOCHS + 1)]
    assert [moved(one, next_one) for one, next_one in pairwise(states)] == [
        {"classifier"},
        {"classifier", "head"},
        {"classifier", "head"},
        {"classifier", "head", "stem", "stage2"},
    ]


def test_frozen_norms_normalise_as_in_evaluation(job: TrainingJob, pretrained: Path) -> None:
    network = build_initial_model(going_on(job, pretrained), torch.device("cpu")).train()
    transfer.freeze_parts(network, frozenset({"stem", "stage2"}))
    training = {
        name: all(module.training for module in modules)
        for name, modules in transfer.part_modules(network).items()
    }
    assert training == {
        "stem": False, "stage1": True, "stage2": False, "head": True, "classifier": True
    }  # fmt: skip
    assert not any(module.training for module in network.stages[1].modules())
    network.train()
    transfer.freeze_parts(network, frozenset())
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_body_uses_its_fraction_of_every_rate(job: TrainingJob, pretrained: Path) -> None:
    asked = going_on(job, pretrained, Transfer(body_rate=0.1))
    network = build_initial_model(asked, torch.device("cpu"))
    steps = make_optimizer(network, asked.recipe)
    set_learning_rate(steps, 0.5)
    rates = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in steps.param_groups
        for parameter in group["params"]
    }
    assert len(rates) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        rate, decay = rates[id(parameter)]
        assert rate == pytest.approx(0.5 if name.startswith("classifier") else 0.05), name
        assert decay == (asked.recipe.weight_decay if parameter.ndim > 1 else 0.0), name


def test_a_slower_body_changes_less(
    job: TrainingJob, dataset: Dataset, pretrained: Path, tmp_path: Path
) -> None:
    """And not at all by a rule of its own: a body's part of 1 is the run without one."""
    distances = []
    for part in (1.0, 0.1):
        asked = going_on(job, pretrained, Transfer(body_rate=part), momentum=0.0, weight_decay=0.0)
        folder = tmp_path / str(part)
        before, now = (after(asked, dataset, epoch, folder) for epoch in (0, 1))
        stem = "stem.conv.weight"
        distances.append(float((now[stem] - before[stem]).norm()))
    assert 0 < distances[1] < 0.3 * distances[0]


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v3_large", "densenet121"])
def test_every_parameter_belongs_to_a_part(name: str) -> None:
    with torch.device("meta"):
        network = build_model(baseline(name))
    transfer.freeze_parts(network, frozenset(part_names(len(network.stages))))
    assert not any(parameter.requires_grad for parameter in network.parameters())


# Identity and resuming


def test_runs_without_transfer_keep_their_identity() -> None:
    """By versions in which no run had started from weights; their checkpoints go on."""
    split = Split(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1]))
    dataset = Dataset(
        train=split,
        validation=split,
        class_names=("a", "b"),
        fingerprint="two",
        allows_flip=True,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
    )
    network = baseline("efficientnet_b0", num_classes=2)
    for name, known in (
        ("fast", "a3a412c50abb5e18cd452bb0c3795cc0"),
        ("paper", "a0fdf919b7498e5a941cce9ca7f4e600"),
    ):
        job = TrainingJob(
            architecture=network, recipe=preset(name), seed=7, fingerprint=fingerprint(network)
        )
        assert identity(job, dataset, "cpu") == known


def test_identity_depends_on_the_weights_and_the_transfer(
    job: TrainingJob, dataset: Dataset, pretrained: Path
) -> None:
    asked = going_on(job, pretrained)
    others = [
        identity(replace(job, recipe=replace(job.recipe, epochs=EPOCHS)), dataset, "cpu"),
        identity(
            replace(asked, weights=InitialWeights(path=pretrained, weights_hash="other")),
            dataset,
            "cpu",
        ),
        identity(going_on(job, pretrained, Transfer(freeze=("1",))), dataset, "cpu"),
        identity(going_on(job, pretrained, Transfer(body_rate=0.5)), dataset, "cpu"),
        identity(asked, replace(dataset, mean=(0.5,) * 3), "cpu"),
    ]
    assert len({identity(asked, dataset, "cpu"), *others}) == 1 + len(others)
    elsewhere = replace(asked.weights, path=Path("elsewhere"))
    assert identity(replace(asked, weights=elsewhere), dataset, "cpu") == identity(
        asked, dataset, "cpu"
    )


def test_weights_are_identified_by_their_content(architecture: Architecture) -> None:
    known = weights_hash(some_network(architecture))
    assert weights_hash(some_network(architecture, dropout=0.3)) == known
    others = [
        some_network(architecture, seed=1),
        some_network(architecture, padding="same"),
        some_network(architecture, norm_eps=1e-5),
    ]
    assert len({known, *map(weights_hash, others)}) == 4


def test_a_transfer_needs_weights_and_weights_a_transfer(job: TrainingJob) -> None:
    with refused(ValueError):
        replace(job, recipe=replace(job.recipe, transfer=Transfer()))
    with refused(ValueError):
        replace(job, weights=InitialWeights(path=Path("there"), weights_hash="0"))


@pytest.mark.parametrize("stops", [(1, 2, 3), (2,)])
def test_a_resumed_run_equals_an_uninterrupted_one(
    stops: tuple[int, ...], job: TrainingJob, dataset: Dataset, pretrained: Path, tmp_path: Path
) -> None:
    staged = Transfer(
        freeze=("all-but-head",),
        unfreeze=(UnfreezeStep(epoch=2, parts=("head",)), UnfreezeStep(epoch=3, parts=("all",))),
        body_rate=0.3,
    )
    everything = {name: value for name, value in EVERYTHING.items() if name != "epochs"}
    asked = going_on(job, pretrained, staged, **everything)
    straight = replace(asked, checkpoint=tmp_path / "straight")
    whole = numbers(epochs_of(straight, dataset))
    parted = replace(asked, checkpoint=tmp_path / "parted")
    found = []
    for start, stop in pairwise((0, *stops, EPOCHS)):
        found += numbers(epochs_of(replace(parted, start=start, stop=stop), dataset))
    assert found == whole
    assert_same_bits(tmp_path / "straight", tmp_path / "parted")


def test_a_checkpoint_that_began_with_other_weights_is_refused(
    job: TrainingJob, dataset: Dataset, architecture: Architecture, pretrained: Path, tmp_path: Path
) -> None:
    asked = replace(going_on(job, pretrained), stop=1, checkpoint=tmp_path / "run")
    epochs_of(asked, dataset)
    other = some_network(replace(architecture, num_classes=3), seed=1)
    path = write_network(tmp_path / "other.safetensors", other)
    with refused(SearchError):
        epochs_of(replace(asked, weights=going_on(job, path).weights), dataset)


def test_a_sweep_of_rates_begins_with_the_same_weights(
    job: TrainingJob, dataset: Dataset, pretrained: Path
) -> None:
    staged = Transfer(freeze=("1",), unfreeze=(UnfreezeStep(epoch=3, parts=("all",)),))
    assert run_lr_sweep(going_on(job, pretrained, staged), dataset, device="cpu").learning_rate > 0


# What a step costs


def test_the_backward_pass_of_leading_frozen_parts_is_not_counted(
    architecture: Architecture,
) -> None:
    whole = cost(replace(architecture, resolution=12)).macs
    assert training_macs(architecture, 12) == whole
    assert training_macs(architecture, 12, frozenset({"stage1"})) == whole
    every = frozenset({"stem", "stage1", "stage2", "head"})
    left = architecture.head * architecture.num_classes
    assert training_macs(architecture, 12, every) == pytest.approx((whole - left) / 3 + left)
    stem = 27 * architecture.stem * 12**2
    assert training_macs(architecture, 12, frozenset({"stem"})) == pytest.approx(
        whole - stem * 2 / 3
    )


# What it is for


def digits(classes: range, count: int) -> Dataset:
    """Digits of some classes alone, so many to train on."""
    whole = load_dataset(DataSpec(source="digits"), seed=0)

    def of(split: Split, count: int | None = None) -> Split:
        rows = torch.isin(split.labels, torch.tensor(list(classes))).nonzero()[:count, 0]
        return Split(split.images[rows], split.labels[rows] - classes.start)

    train_part = of(whole.train, count)
    mean, std = channel_statistics(train_part.images)
    return Dataset(
        train=train_part,
        validation=of(whole.validation),
        class_names=tuple(map(str, classes)),
        fingerprint=f"digits {classes}",
        allows_flip=False,
        mean=mean,
        std=std,
    )


@pytest.mark.slow
def test_weights_from_half_the_digits_help_with_the_others(tmp_path: Path) -> None:
    """Seen: 0.74 against 0.50, and 0.48 with twice the rate, which suits that better."""
    network = baseline("efficientnet_b0", width=0.25, depth=0.3, resolution=12, stem_stride=1)
    network = replace(network, in_channels=1, num_classes=5)
    known, others = digits(range(5), 10_000), digits(range(5, 10), 250)
    recipe = Recipe(
        epochs=8, batch_size=16, learning_rate=0.05, augmentation=Augmentation(crop=0.1)
    )
    first = TrainingJob(
        architecture=network,
        recipe=recipe,
        seed=0,
        fingerprint=fingerprint(network),
        checkpoint=tmp_path / "known",
    )
    epochs_of(first, known)
    path = write_network(tmp_path / "known.safetensors", load_trained_model(first, known, "cpu"))
    few = replace(first, recipe=replace(recipe, epochs=6), checkpoint=None)
    taught = going_on(few, path, Transfer(body_rate=0.3), epochs=6)

    def accuracy(job: TrainingJob) -> float:
        ends = [epochs_of(replace(job, seed=seed), others)[-1] for seed in (1, 2)]
        return sum(end.accuracy for end in ends) / len(ends)

    assert accuracy(taught) > accuracy(few) + 0.1
