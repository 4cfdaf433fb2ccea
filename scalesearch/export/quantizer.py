"""Which tensors of a graph are rounded to eight bits in quantisation-aware training.

Those that ONNX Runtime computes with whole numbers: inputs, weights and outputs of convolutions and
linear layers, and both ends of sums, products, sigmoids, means and poolings. torchao's own
quantisers are for its own back ends, which leave the sigmoid, half of every SiLU, in float.
"""

from typing import Any

import torch
from torch.fx import GraphModule, Node

from scalesearch.export.extras import import_extra

INT8_QAT_FORMAT = "int8-qat"
ATEN = torch.ops.aten
ACTIVATION_DTYPE, WEIGHT_DTYPE = torch.uint8, torch.int8
WEIGHTED_OPS = {ATEN.conv2d.default, ATEN.linear.default}
CLIPPING_OPS = {ATEN.relu.default, ATEN.hardtanh.default}
"""Fused with what they follow, whose own output is never a tensor."""

INTEGER_OPS = {ATEN.add.Tensor, ATEN.mul.Tensor, ATEN.sigmoid.default, ATEN.mean.dim}


def onnx_runtime_quantizer() -> Any:
    """A torchao quantizer with the types of ``int8.write_int8``."""
    quantizer_module = import_extra("torchao.quantization.pt2e.quantizer", INT8_QAT_FORMAT)
    base: Any = quantizer_module.Quantizer
    activations, weights = _quantization_specs()

    class OnnxRuntimeQuantizer(base):  # type: ignore[misc]
        def annotate(self, model: GraphModule) -> GraphModule:
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
            """Every annotation fits its node by the way it is made."""

    return OnnxRuntimeQuantizer()


def _is_output_quantized(node: Node) -> bool:
    """Whether a node's output is: not that of the classifier, nor one that is clipped first."""
    return not any(user.op == "output" or user.target in CLIPPING_OPS for user in node.users)


def _quantization_specs() -> tuple[Any, Any]:
    """How activations and weights are rounded; the weights' ranges are their own, at every step."""
    pt2e = import_extra("torchao.quantization.pt2e", INT8_QAT_FORMAT)
    spec = import_extra("torchao.quantization.pt2e.quantizer", INT8_QAT_FORMAT).QuantizationSpec
    eps_options = {"eps": 2**-12}  # of a scale, so that a channel of zeros has one
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
            observer=pt2e.MovingAveragePerChannelMinMaxObserver, averaging_constant=1.0, **eps_options
        ),
    )
    return activations, weights
