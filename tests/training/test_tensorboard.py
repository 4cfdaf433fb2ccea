import sys
from pathlib import Path

import pytest
from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.results.run_folder import Epoch
from scalesearch.training.epoch_log import tensorboard_writer


def epoch(index: int, accuracy: float) -> Epoch:
    return Epoch(
        index=index, train_loss=1.5, loss=1.25, accuracy=accuracy, top5=0.75, seconds=2.0,
        images_per_second=100.0, learning_rate=0.05, resolution=32, peak_bytes=1024,
        utilisation=0.5,
    )  # fmt: skip


def test_epochs_are_scalars_and_repeated_epochs_replace_earlier_ones(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for accuracies in ([0.1, 0.2], [0.3, 0.5, 0.75]):
        with tensorboard_writer(tmp_path) as told:
            for index, accuracy in enumerate(accuracies, start=1):
                told(epoch(index, accuracy))
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert set(events.Tags()["scalars"]) >= {
        "loss/training", "loss/validation", "accuracy/top-1", "accuracy/top-5", "learning_rate",
        "resolution", "images_per_second",
    }  # fmt: skip
    scalars = events.Scalars("accuracy/top-1")
    assert [(s.step, s.value) for s in scalars] == [(1, pytest.approx(0.3)), (2, 0.5), (3, 0.75)]


def test_if_tensorboard_is_missing_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with (
        refused(SearchError),
        tensorboard_writer(tmp_path / "events"),
    ):
        pass
    assert not (tmp_path / "events").exists()
