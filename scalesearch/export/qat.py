"""Quantisation-aware training: the network learns to answer as before with eight-bit numbers.

torchao's PT2E flow: the exported graph gets fake quantisation, is trained, and converted to one
with real quantisation, which goes to ONNX. The norms are folded before, so that training sees the
weights that will be rounded. The teacher is the network itself: the loss is the divergence of its
answers' probabilities (arXiv:1503.02531), hence nothing new is learnt from the labels.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalesearch.data import drawn, epoch_order, prepared, training_batches
from scalesearch.export.agreement import (
    Agreement,
    agreement,
    random_batches,
    require_faithful,
    require_similar,
)
from scalesearch.export.extras import extra, quiet
from scalesearch.export.folded import folded
from scalesearch.export.onnx_files import answers, model
from scalesearch.export.pictures import Pictures, torch_answers
from scalesearch.export.programs import input_size, program
from scalesearch.export.quantizer import ACTIVATIONS, FORM, quantizer
from scalesearch.files import write_bytes
from scalesearch.streams import stream
from scalesearch.weights import Saved

OnStep: TypeAlias = Callable[[int], None]

CLIP = 1.0
"""The greatest norm of a step's gradient: without norms in the graph a step may be violent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How the rounded network is trained: Adam at ``rate``, falling to zero by a cosine."""

    epochs: int = 2
    rate: float = 1e-4
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"need {name} >= 1, got {name}={getattr(self, name)}")
        if not self.rate > 0:
            raise ValueError(f"need rate > 0, got rate={self.rate}")

    def steps(self, images: int) -> int:
        """Steps in all, with so many images to train on."""
        return self.epochs * len(epoch_order(images, self.batch_size, 0))


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of quantisation-aware training.

    ``file``: how ONNX Runtime's answers, each operator computed as it stands in the file, agree
    with those of the converted program in PyTorch, on real images. ``network``: how its answers
    with fused operators, which sum whole numbers, agree with the float network's. ``slowdown``: how
    many times the float network's time the converted program takes in PyTorch's eager mode.
    """

    file: Agreement
    network: Agreement
    slowdown: float


def write_int8_qat(
    path: Path,
    saved: Saved,
    pictures: Pictures,
    tuning: Tuning | None = None,
    on_step: OnStep | None = None,
) -> Tuned:
    """Train the network with quantisation and write it as ONNX, with the types of ``write_int8``,
    whole or not at all.

    ``on_step``: called with how many steps are done, of ``tuning.steps``.
    Raises ExportError where the file does not answer as the trained network, or that not as the
    float one; see ``require_similar``.
    """
    plain = folded(saved.network)
    converted = quantised(saved, plain, pictures, tuning or Tuning(), on_step)
    content = model(saved, converted, FORM).SerializeToString()
    real, own = pictures.compared(), partial(torch_answers, saved.network)
    as_written = answers(content, optimised=False)
    found = Tuned(
        file=agreement(partial(torch_answers, converted), as_written, real),
        network=agreement(own, answers(content), real),
        slowdown=_seconds(converted, real[0]) / _seconds(plain, real[0]),
    )
    require_faithful(str(path), found.file)
    require_similar(str(path), found.network)
    write_bytes(path, content)
    return found


def quantised(
    saved: Saved,
    plain: nn.Module,
    pictures: Pictures,
    tuning: Tuning,
    on_step: OnStep | None = None,
) -> nn.Module:
    """The converted program of a folded network that was trained with quantisation.

    Eight-bit numbers are what it computes *with*; its arithmetic, in PyTorch, is float between
    roundings, and slow.
    """
    pt2e = extra("torchao.quantization.pt2e", FORM)
    prepare = extra("torchao.quantization.pt2e.quantize_pt2e", FORM)
    example = random_batches(*input_size(saved), [2])[0]
    student = _spelled_out(folded(plain)).requires_grad_(True)
    with quiet():
        graph = program(student, example, f"--format {FORM}").module()
        graph = prepare.prepare_qat_pt2e(graph, quantizer())
        _measure_ranges(graph, pictures, pt2e)
        for step in _steps(graph, plain, pictures, tuning):
            if on_step is not None:
                on_step(step)
        graph.apply(pt2e.disable_observer)
        converted: nn.Module = prepare.convert_pt2e(graph)
    for module in converted.modules():
        module.training = False  # torchao forbids eval(), which graphs do not heed
    return converted.requires_grad_(False)


class SpelledOutSiLU(nn.Module):
    """SiLU as the product that ONNX makes of it, so that both of its parts are rounded."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(x)


def _spelled_out(network: nn.Module) -> nn.Module:
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.SiLU):
                setattr(parent, name, SpelledOutSiLU())
    return network


def _measure_ranges(graph: nn.Module, pictures: Pictures, pt2e: Any) -> None:
    """Give activations the ranges that ``int8.write_int8`` would, and let them stand; those of the
    weights go on following the weights."""
    rounders = [
        module
        for module in graph.modules()
        if isinstance(module, pt2e.FusedMovingAvgObsFakeQuantize) and module.dtype == ACTIVATIONS
    ]
    graph.apply(pt2e.disable_fake_quant)
    for number, images in enumerate(pictures.calibration(), 1):
        for rounder in rounders:
            rounder.activation_post_process.averaging_constant = 1 / number  # the mean so far
        with torch.no_grad():
            graph(images)
    for rounder in rounders:
        rounder.disable_observer()
    graph.apply(pt2e.enable_fake_quant)


def _steps(
    graph: nn.Module, teacher: nn.Module, pictures: Pictures, tuning: Tuning
) -> Iterator[int]:
    """Train the graph, step by step; how many are done."""
    optimizer = torch.optim.Adam(graph.parameters(), tuning.rate)
    steps = tuning.steps(len(pictures.dataset.train))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for number, images in enumerate(_images(pictures, tuning), 1):
        loss = _divergence(graph(images), torch_answers(teacher, images))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(graph.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        yield number
    with torch.no_grad():
        graph(images)  # the weights' ranges follow the last step, too


def _images(pictures: Pictures, tuning: Tuning) -> Iterator[Tensor]:
    """Training images of all epochs, cropped and mirrored as they customarily are."""
    view = replace(pictures.view, mirrors=pictures.dataset.mirrors)
    train = pictures.dataset.train
    for epoch in range(tuning.epochs):
        seed = stream(tuning.seed, "qat", epoch)
        draws = drawn(view.augmentation, len(train), seed)
        order = epoch_order(len(train), tuning.batch_size, seed)
        for images, labels, rows in training_batches(train, order, draws, "cpu"):
            yield prepared(images, labels, rows, view, pictures.resolution)[0]


def _divergence(logits_BK: Tensor, wanted_BK: Tensor) -> Tensor:
    return F.kl_div(
        F.log_softmax(logits_BK, 1),
        F.log_softmax(wanted_BK.clone(), 1),  # inference tensors cannot be kept for backward
        reduction="batchmean",
        log_target=True,
    )


def _seconds(network: nn.Module, images_BCHW: Tensor, passes: int = 3) -> float:
    """The median of a few passes, after one that does not count."""
    torch_answers(network, images_BCHW)
    taken = []
    for _ in range(passes):
        begun = time.perf_counter()
        torch_answers(network, images_BCHW)
        taken.append(time.perf_counter() - begun)
    return median(taken)
