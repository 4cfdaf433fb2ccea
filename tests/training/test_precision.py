"""Number formats: they decide the computation and are part of a run's identity."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from refusals import refused
from torch import Tensor

from scalesearch.config.recipe import Precision
from scalesearch.data.dataset import Dataset
from scalesearch.errors import SearchError
from scalesearch.models.cpu_kernels import DepthwiseConv2d
from scalesearch.results.run_folder import Epoch
from scalesearch.training.device import autocast, grad_scaler, resolved_precision
from scalesearch.training.inference import load_trained_model
from scalesearch.training.job import TrainingJob, identity
from scalesearch.training.loop import train

CPU = torch.device("cpu")


def precise(job: TrainingJob, precision: Precision, **changes: object) -> TrainingJob:
    recipe = replace(job.recipe, precision=precision, dropout=0, drop_connect=0, **changes)
    return replace(job, recipe=recipe)


def epochs_of(job: TrainingJob, dataset: Dataset) -> list[Epoch]:
    return list(train(job, dataset, device="cpu"))


@pytest.mark.parametrize(
    ("named", "device", "meant"),
    [
        ("auto", "cpu", "fp32"),
        ("auto", "cuda", "bf16"),
        ("auto", "cuda:1", "bf16"),
        ("fp32", "cuda", "fp32"),
        ("fp16", "cuda", "fp16"),
        ("mixed", "cpu", "mixed"),
        ("bf16", "cpu", "bf16"),
    ],
)
def test_auto_precision_depends_on_the_device(named, device, meant) -> None:
    assert resolved_precision(named, device) == meant


def test_float16_is_refused_on_a_cpu_before_anything_is_trained(
    job: TrainingJob, dataset: Dataset
) -> None:
    with refused(SearchError):
        epochs_of(precise(job, "fp16"), dataset)
    with refused(SearchError):
        identity(precise(job, "fp16"), dataset, "cpu")


def test_the_resolved_precision_identifies_the_run(job: TrainingJob, dataset: Dataset) -> None:
    on_cpu = {
        named: identity(precise(job, named), dataset, "cpu")
        for named in ("auto", "fp32", "bf16", "mixed")
    }
    assert on_cpu["auto"] == on_cpu["fp32"]
    assert len(set(on_cpu.values())) == 3
    on_cuda = {named: identity(precise(job, named), dataset, "cuda") for named in ("auto", "bf16")}
    assert len(set(on_cuda.values())) == 1


def test_auto_continues_a_checkpoint_of_the_resolved_precision(
    job: TrainingJob, dataset: Dataset, tmp_path
) -> None:
    kept = replace(precise(job, "auto"), checkpoint=tmp_path / "run", stop=1)
    epochs = epochs_of(kept, dataset)
    assert epochs_of(replace(precise(kept, "fp32"), stop=1), dataset) == epochs
    with refused(SearchError):
        epochs_of(precise(kept, "bf16"), dataset)


@pytest.mark.parametrize("precision", ["bf16", "mixed"])
def test_narrow_formats_give_close_but_not_equal_results(
    job: TrainingJob, dataset: Dataset, precision: Precision
) -> None:
    exact = epochs_of(precise(job, "fp32"), dataset)
    narrow = epochs_of(precise(job, precision), dataset)
    for ours, theirs in zip(narrow, exact, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=0.05)
        assert ours.loss == pytest.approx(theirs.loss, rel=0.1)
        assert ours.train_loss != theirs.train_loss


@pytest.mark.parametrize("precision", ["bf16", "mixed"])
def test_weights_and_their_averages_stay_in_float32(
    job: TrainingJob, dataset: Dataset, precision: Precision, tmp_path
) -> None:
    kept = replace(precise(job, precision, ema=0.9), checkpoint=tmp_path / "run", stop=1)
    epochs_of(kept, dataset)
    kinds = {
        tensor.dtype for tensor in load_trained_model(kept, dataset, "cpu").state_dict().values()
    }
    assert kinds == {torch.float32, torch.int64}


@pytest.fixture
def convolved(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, torch.dtype, torch.dtype]]:
    """Of each depthwise convolution: whether in training, and the formats of input and output."""
    seen = []
    whole: Callable[[DepthwiseConv2d, Tensor], Tensor] = DepthwiseConv2d._convolve

    def spying(layer: DepthwiseConv2d, x_BCHW: Tensor) -> Tensor:
        y_BCHW = whole(layer, x_BCHW)
        seen.append((layer.training, x_BCHW.dtype, y_BCHW.dtype))
        return y_BCHW

    monkeypatch.setattr(DepthwiseConv2d, "_convolve", spying)
    return seen


@pytest.mark.parametrize(
    ("precision", "kind"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("mixed", torch.float32)],
)
def test_mixed_keeps_depthwise_convolutions_in_float32(
    job: TrainingJob, dataset: Dataset, convolved: list, precision: Precision, kind: torch.dtype
) -> None:
    epochs_of(replace(precise(job, precision), stop=1), dataset)
    assert {training for training, _, _ in convolved} == {True, False}
    assert {formats for _, *formats in convolved for formats in formats} == {kind}


def test_other_operators_are_narrow_in_mixed() -> None:
    weights, images = torch.nn.Conv2d(4, 4, 1), torch.rand(1, 4, 2, 2)
    kinds = {}
    for precision in ("fp32", "mixed", "bf16"):
        with autocast(precision, CPU):
            kinds[precision] = weights(images).dtype
    assert kinds == {"fp32": torch.float32, "mixed": torch.bfloat16, "bf16": torch.bfloat16}


def test_only_float16_scales_its_losses() -> None:
    assert [grad_scaler(name, CPU).is_enabled() for name in ("fp32", "bf16", "mixed")] == [
        False
    ] * 3
    assert grad_scaler("fp16", torch.device("cpu")).is_enabled()
