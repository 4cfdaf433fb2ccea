"""Checkpoints: an interrupted run ends with the same bits as an uninterrupted one."""

import io
import warnings
from dataclasses import astuple, replace
from pathlib import Path

import pytest
import torch
from refusals import refused

from scalesearch.data.dataset import Dataset
from scalesearch.errors import SearchError
from scalesearch.results.run_folder import Epoch
from scalesearch.training import trainer as run
from scalesearch.training.checkpoint import HASH_BYTES
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import train


@pytest.fixture
def kept(job: TrainingJob, tmp_path: Path) -> TrainingJob:
    return replace(job, checkpoint=tmp_path / "checkpoints" / "run.ckpt")


@pytest.fixture(scope="module")
def reference(
    job: TrainingJob, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Epoch], dict]:
    path = tmp_path_factory.mktemp("reference") / "run.ckpt"
    return list(train(replace(job, checkpoint=path), dataset, device="cpu")), weights(path)


def weights(path: Path) -> dict[str, torch.Tensor]:
    saved = io.BytesIO(path.read_bytes()[HASH_BYTES:])
    document = torch.load(saved, weights_only=True)
    momenta = document["optimizer"]["state"]
    return document["network"] | {
        f"momentum {index}": momentum["momentum_buffer"] for index, momentum in momenta.items()
    }


def numbers(epochs: list[Epoch]) -> list[tuple[float, ...]]:
    return [astuple(epoch)[:4] for epoch in epochs]


def assert_ends_like(reference: tuple[list[Epoch], dict], epochs: list[Epoch], path: Path) -> None:
    assert numbers(epochs) == numbers(reference[0])
    now = weights(path)
    assert now.keys() == reference[1].keys()
    assert all(torch.equal(now[name], then) for name, then in reference[1].items())


def test_resuming_after_every_epoch_changes_no_bit(
    kept: TrainingJob, dataset: Dataset, reference
) -> None:
    epochs: list[Epoch] = []
    for start in range(3):
        part = replace(kept, start=start, stop=start + 1)
        epochs += train(part, dataset, device="cpu")
    assert_ends_like(reference, epochs, kept.checkpoint)


def test_an_abandoned_run_continues_from_its_checkpoint(
    kept: TrainingJob, dataset: Dataset, reference
) -> None:
    abandoned = train(kept, dataset, device="cpu")
    first = next(abandoned)
    abandoned.close()
    epochs = list(train(kept, dataset, device="cpu"))
    assert epochs[0] == first  # from the history, with the time it took then
    assert_ends_like(reference, epochs, kept.checkpoint)


def test_a_crash_within_an_epoch_loses_only_that_epoch(
    kept: TrainingJob, dataset: Dataset, reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run.learning_rate

    def crashing(recipe, step: int, steps_per_epoch: int) -> float:
        if step == 6:  # the third step of the second epoch
            raise KeyboardInterrupt
        return whole(recipe, step, steps_per_epoch)

    monkeypatch.setattr(run, "learning_rate", crashing)
    with pytest.raises(KeyboardInterrupt):
        list(train(kept, dataset, device="cpu"))
    monkeypatch.undo()
    assert_ends_like(reference, list(train(kept, dataset, device="cpu")), kept.checkpoint)


def test_a_finished_run_yields_its_epochs_without_training(
    kept: TrainingJob, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs = list(train(kept, dataset, device="cpu"))
    monkeypatch.setattr(run, "training_batches", None)
    assert list(train(kept, dataset, device="cpu")) == epochs
    assert list(train(replace(kept, start=1, stop=2), dataset, device="cpu")) == epochs[1:2]


def test_without_a_checkpoint_recorded_epochs_are_trained_again_but_not_yielded(
    kept: TrainingJob, dataset: Dataset, reference
) -> None:
    epochs = list(train(replace(kept, start=2), dataset, device="cpu"))
    assert numbers(epochs) == numbers(reference[0][2:])


@pytest.mark.parametrize("damage", ["empty", "cut", "changed", "foreign"])
def test_a_damaged_checkpoint_warns_and_the_run_starts_again(
    kept: TrainingJob, dataset: Dataset, reference, damage: str
) -> None:
    list(train(replace(kept, stop=2), dataset, device="cpu"))
    path = kept.checkpoint
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = bytes([content[middle] ^ 1])
    path.write_bytes(
        {
            "empty": b"",
            "cut": content[:middle],
            "changed": content[:middle] + flipped + content[middle + 1 :],
            "foreign": b"no checkpoint at all\n",
        }[damage]
    )
    with pytest.warns(UserWarning, match=r"run\.ckpt: the checkpoint is damaged"):
        epochs = list(train(kept, dataset, device="cpu"))
    assert_ends_like(reference, epochs, path)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"fingerprint": "other"},
        {"recipe": "slower"},
    ],
)
def test_the_checkpoint_of_another_run_is_refused_and_kept(
    kept: TrainingJob, dataset: Dataset, change: dict
) -> None:
    list(train(replace(kept, stop=1), dataset, device="cpu"))
    before = kept.checkpoint.read_bytes()
    if "recipe" in change:
        change = {"recipe": replace(kept.recipe, learning_rate=0.01)}
    with refused(SearchError):
        list(train(replace(kept, **change), dataset, device="cpu"))
    assert kept.checkpoint.read_bytes() == before


def test_the_checkpoint_of_other_data_is_refused(kept: TrainingJob, dataset: Dataset) -> None:
    list(train(replace(kept, stop=1), dataset, device="cpu"))
    with refused(SearchError):
        list(train(kept, replace(dataset, fingerprint="others"), device="cpu"))


def test_a_full_disk_leaves_the_old_checkpoint(
    kept: TrainingJob, dataset: Dataset, reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(train(replace(kept, stop=1), dataset, device="cpu"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        list(train(kept, dataset, device="cpu"))
    monkeypatch.undo()
    assert_ends_like(reference, list(train(kept, dataset, device="cpu")), kept.checkpoint)
    assert [path.name for path in kept.checkpoint.parent.iterdir()] == ["run.ckpt"]


def test_a_run_without_checkpoint_leaves_nothing(
    job: TrainingJob, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(train(replace(job, stop=1), dataset, device="cpu"))
    assert list(tmp_path.iterdir()) == []
