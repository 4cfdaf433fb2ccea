"""Quantisation-aware training: the network learns to predict as before in int8.

torchao's PT2E flow: the exported graph gets fake quantisation, is trained, and converted to one
with real quantisation, which goes to ONNX. The norms are folded before, so training sees the
weights that will be rounded. The teacher is the network itself: the loss is the divergence of the
probabilities (arXiv:1503.02531), so nothing new is learnt from the labels.

Quantised are the tensors that ONNX Runtime computes with integers: inputs, weights and outputs of
convolutions and linear layers, and both ends of sums, products, sigmoids, means and poolings.
torchao's own quantisers target other back ends, which keep the sigmoid, half of every SiLU, in
float.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.nn import functional as F

from scalesearch.data.augmentation.draws import epoch_draws
from scalesearch.data.augmentation.pipeline import training_inputs
from scalesearch.data.batches import epoch_order, training_batches
from scalesearch.deploy.export.fold_bn import fold_batch_norms
from scalesearch.deploy.export.onnx_files import onnx_logits_function, onnx_model
from scalesearch.deploy.export.parity import (
    Parity,
    import_extra,
    parity,
    random_batches,
    require_faithful_predictions,
    require_similar_predictions,
    silence_exporters,
)
from scalesearch.deploy.export.sample_images import ImageSet, torch_logits
from scalesearch.deploy.export.torch_export import export_program, input_size
from scalesearch.io import write_bytes
from scalesearch.models.stopwatch import time_rounds
from scalesearch.seeding import stream_seed
from scalesearch.training.network_file import SavedNetwork

INT8_QAT_FORMAT = "int8-qat"
ATEN = torch.ops.aten
ACTIVATION_DTYPE, WEIGHT_DTYPE = torch.uint8, torch.int8
WEIGHTED_OPS = {ATEN.conv2d.default, ATEN.linear.default}
CLIPPING_OPS = {ATEN.relu.default, ATEN.hardtanh.default}
"""Operators fused with the one before, whose own output is never a tensor."""

INTEGER_OPS = {ATEN.add.Tensor, ATEN.mul.Tensor, ATEN.sigmoid.default, ATEN.mean.dim}


def onnx_runtime_quantizer() -> Any:
    """Return a torchao quantizer with the types of ``write_int8``."""
    quantizer_module = import_extra("torchao.quantization.pt2e.quantizer", INT8_QAT_FORMAT)
    base: Any = quantizer_module.Quantizer
    activations, weights = _quantization_specs()

    class OnnxRuntimeQuantizer(base):  # type: ignore[misc]
        def annotate(self, model: GraphModule) -> GraphModule:
            """Mark the operations of the graph that are to be quantised."""
            for node in model.graph.nodes:
                if node.target in WEIGHTED_OPS | INTEGER_OPS | CLIPPING_OPS:
                    inputs = {arg: activations for arg in node.args if isinstance(arg, Node)}
                    if node.target in WEIGHTED_OPS:
                        inputs = {node.args[0]: activations, node.args[1]: weights}
                    node.meta["quantization_annotation"] = quantizer_module.QuantizationAnnotation(
                        input_qspec_map={} if node.target in CLIPPING_OPS else inputs,
                        output_qspec=activations if _is_output_quantized(node) else None,
                        _annotated=True,
                    )
            return model

        def validate(self, model: GraphModule) -> None:
            """Accept the model: every annotation fits its node by construction."""

    return OnnxRuntimeQuantizer()


def _is_output_quantized(node: Node) -> bool:
    """Whether a node's output is quantised: not the classifier's, nor one that is clipped."""
    return not any(user.op == "output" or user.target in CLIPPING_OPS for user in node.users)


def _quantization_specs() -> tuple[Any, Any]:
    """Specifications of activations and weights; weights get their own ranges at every step."""
    pt2e = import_extra("torchao.quantization.pt2e", INT8_QAT_FORMAT)
    spec = import_extra("torchao.quantization.pt2e.quantizer", INT8_QAT_FORMAT).QuantizationSpec
    eps_options = {"eps": 2**-12}  # of a scale, so a channel of zeros has one
    activations = spec(
        dtype=ACTIVATION_DTYPE,
        quant_min=0,
        quant_max=255,
        qscheme=torch.per_tensor_affine,
        observer_or_fake_quant_ctr=pt2e.FusedMovingAvgObsFakeQuantize.with_args(
            observer=pt2e.MovingAverageMinMaxObserver, **eps_options
        ),
    )
    weights = spec(
        dtype=WEIGHT_DTYPE,
        quant_min=-127,
        quant_max=127,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
        observer_or_fake_quant_ctr=pt2e.FusedMovingAvgObsFakeQuantize.with_args(
            observer=pt2e.MovingAveragePerChannelMinMaxObserver,
            averaging_constant=1.0,
            **eps_options,
        ),
    )
    return activations, weights


OnStep: TypeAlias = Callable[[int], None]

MAX_GRADIENT_NORM = 1.0
"""Largest norm of a step's gradient: without norms in the graph a step may be violent."""

SLOWDOWN_ROUNDS = 3
"""Passes that decide the slowdown of the converted program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QatConfig:
    """Training of the rounded network: Adam with a cosine to zero."""

    epochs: int = 2
    learning_rate: float = 1e-4
    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"need {name} >= 1, got {name}={getattr(self, name)}")
        if not self.learning_rate > 0:
            raise ValueError(f"need learning_rate > 0, got learning_rate={self.learning_rate}")

    def steps(self, images: int) -> int:
        """Return the number of steps for this many training images."""
        return self.epochs * len(epoch_order(images, self.batch_size, 0))


@dataclass(frozen=True, slots=True)
class QatResult:
    """Result of quantisation-aware training.

    ``file``: parity of ONNX Runtime, with each operator computed as in the file, with the
    converted program in PyTorch, on real images. ``network``: parity of ONNX Runtime with fused
    operators, which sum integers, with the float network. ``slowdown``: time of the converted
    program in PyTorch's eager mode over the float network's.
    """

    file_parity: Parity
    network_parity: Parity
    slowdown: float


def write_int8_qat(
    path: Path,
    saved_network: SavedNetwork,
    image_set: ImageSet,
    qat_config: QatConfig | None = None,
    on_step: OnStep | None = None,
) -> QatResult:
    """Train the network with quantisation and write it as int8 ONNX.

    ``on_step``: called with the number of steps done, of ``qat_config.steps``. Raises ExportError
    if the file does not predict as the trained network, or that not as the float one; see
    ``require_similar_predictions``.
    """
    folded_network = fold_batch_norms(saved_network.network)
    converted = train_quantized(
        saved_network, folded_network, image_set, qat_config or QatConfig(), on_step
    )
    content = onnx_model(saved_network, converted, INT8_QAT_FORMAT).SerializeToString()
    real_images, reference_logits = (
        image_set.parity_batches(),
        partial(torch_logits, saved_network.network),
    )
    unfused_logits = onnx_logits_function(content, optimized=False)
    qat_result = QatResult(
        file_parity=parity(partial(torch_logits, converted), unfused_logits, real_images),
        network_parity=parity(reference_logits, onnx_logits_function(content), real_images),
        slowdown=_slowdown(converted, folded_network, real_images[0]),
    )
    require_faithful_predictions(str(path), qat_result.file_parity)
    require_similar_predictions(str(path), qat_result.network_parity)
    write_bytes(path, content)
    return qat_result


def train_quantized(
    saved_network: SavedNetwork,
    folded_network: nn.Module,
    image_set: ImageSet,
    qat_config: QatConfig,
    on_step: OnStep | None = None,
) -> nn.Module:
    """Return the converted program of a folded network, trained with quantisation.

    It computes with int8 values; its arithmetic, in PyTorch, is float between roundings, and slow.
    """
    pt2e = import_extra("torchao.quantization.pt2e", INT8_QAT_FORMAT)
    quantize_pt2e = import_extra("torchao.quantization.pt2e.quantize_pt2e", INT8_QAT_FORMAT)
    example_BCHW = random_batches(*input_size(saved_network), [2])[0]
    student = _replace_silu(fold_batch_norms(folded_network)).requires_grad_(True)
    with silence_exporters():
        graph = export_program(student, example_BCHW, f"--format {INT8_QAT_FORMAT}").module()
        graph = quantize_pt2e.prepare_qat_pt2e(graph, onnx_runtime_quantizer())
        _calibrate_ranges(graph, image_set, pt2e)
        for step in _train_steps(graph, folded_network, image_set, qat_config):
            if on_step is not None:
                on_step(step)
        graph.apply(pt2e.disable_observer)
        converted: nn.Module = quantize_pt2e.convert_pt2e(graph)
    for module in converted.modules():
        module.training = False  # torchao forbids eval(), which graphs ignore anyway
    return converted.requires_grad_(False)


class ProductSiLU(nn.Module):
    """SiLU as a product, as in ONNX, so that both of its parts are rounded."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x times its sigmoid."""
        return x * torch.sigmoid(x)


def _replace_silu(network: nn.Module) -> nn.Module:
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.SiLU):
                setattr(parent, name, ProductSiLU())
    return network


def _calibrate_ranges(graph: nn.Module, image_set: ImageSet, pt2e: Any) -> None:
    """Set the activations' ranges as ``write_int8`` does; weights keep their own."""
    fake_quantizers = [
        module
        for module in graph.modules()
        if isinstance(module, pt2e.FusedMovingAvgObsFakeQuantize)
        and module.dtype == ACTIVATION_DTYPE
    ]
    graph.apply(pt2e.disable_fake_quant)
    for number, images in enumerate(image_set.calibration_batches(), 1):
        for fake_quantizer in fake_quantizers:
            fake_quantizer.activation_post_process.averaging_constant = (
                1 / number
            )  # the mean so far
        with torch.no_grad():
            graph(images)
    for fake_quantizer in fake_quantizers:
        fake_quantizer.disable_observer()
    graph.apply(pt2e.enable_fake_quant)


def _train_steps(
    graph: nn.Module, teacher: nn.Module, image_set: ImageSet, qat_config: QatConfig
) -> Iterator[int]:
    """Train the graph and yield the number of steps done."""
    optimizer = torch.optim.Adam(graph.parameters(), qat_config.learning_rate)
    steps = qat_config.steps(len(image_set.dataset.train))
    lr_scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step, images in enumerate(_training_images(image_set, qat_config), 1):
        loss = _distillation_loss(graph(images), torch_logits(teacher, images))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(graph.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        lr_scheduler.step()
        yield step
    with torch.no_grad():
        graph(images)  # the weights' ranges follow the last step too


def _training_images(image_set: ImageSet, qat_config: QatConfig) -> Iterator[Tensor]:
    """Training images of all epochs, cropped and mirrored as usual."""
    view = replace(image_set.view, flips=image_set.dataset.allows_flip)
    train_split = image_set.dataset.train
    for epoch in range(qat_config.epochs):
        seed = stream_seed(qat_config.seed, "qat", epoch)
        augmentation_draws = epoch_draws(view.augmentation, len(train_split), seed)
        order = epoch_order(len(train_split), qat_config.batch_size, seed)
        for images, labels, draw_rows in training_batches(
            train_split, order, augmentation_draws, "cpu"
        ):
            yield training_inputs(images, labels, draw_rows, view, image_set.resolution)[0]


def _distillation_loss(logits_BK: Tensor, teacher_logits_BK: Tensor) -> Tensor:
    return F.kl_div(
        F.log_softmax(logits_BK, 1),
        F.log_softmax(
            teacher_logits_BK.clone(), 1
        ),  # inference tensors cannot be kept for backward
        reduction="batchmean",
        log_target=True,
    )


def _slowdown(converted: nn.Module, network: nn.Module, images_BCHW: Tensor) -> float:
    """Ratio of the median seconds of a pass, timed in turns after one that does not count."""
    runs = [partial(torch_logits, module, images_BCHW) for module in (converted, network)]
    for run in runs:
        run()
    turns = list(time_rounds(runs, SLOWDOWN_ROUNDS))
    return median(first for (first,), _ in turns) / median(second for _, (second,) in turns)
