"""Networks as ONNX files, checked with ONNX Runtime.

Post-training quantisation to eight bits, for ONNX Runtime.
"""

import copy
import json
import re
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from scalesearch.deploy.export.fold_bn import fold_batch_norms
from scalesearch.deploy.export.parity import (
    LogitsFunction,
    Parity,
    import_extra,
    parity,
    random_batches,
    require_similar_predictions,
    silence_exporters,
)
from scalesearch.deploy.export.sample_images import ImageSet, torch_logits
from scalesearch.deploy.export.torch_export import (
    check_parity,
    export_program,
    input_size,
    network_metadata,
)
from scalesearch.errors import ExportError
from scalesearch.io import write_bytes
from scalesearch.training.network_file import SavedNetwork

INPUT_NAME, OUTPUT_NAME = "images", "logits"
"""Names in the graph: (batch, C, R, R) float32, as prepared, to (batch, K), before any softmax."""

BATCH_DIMENSION = "batch"
"""What the number of images is called."""


def write_onnx(
    path: Path,
    saved_network: SavedNetwork,
    image_set: ImageSet | None = None,
    *,
    built_model: Any = None,
) -> list[Parity]:
    """Write the network, its norms folded, as ONNX with a dynamic batch, whole or not at all.

    ``metadata`` is in the model's properties, a JSON text each. ONNX Runtime's answers are compared
    with PyTorch's on random images and, where there are ``pictures``, on real ones; returned is how
    they agree. ``made``: the network's ``float_model``, where it is already there. Raises
    ExportError where they differ, and then leaves no file.
    """
    import_extra("onnxruntime", "onnx")  # before what takes long
    content = (built_model or float_model(saved_network)).SerializeToString()
    parities = check_parity(str(path), saved_network, onnx_logits_function(content), image_set)
    write_bytes(path, content)
    return parities


def float_model(saved_network: SavedNetwork) -> Any:
    """Return the ``onnx.ModelProto`` of a network, its norms folded. Raises ExportError where it cannot be
    had."""
    return onnx_model(saved_network, fold_batch_norms(saved_network.network), "onnx")


def onnx_model(saved_network: SavedNetwork, network: nn.Module, format_name: str) -> Any:
    """Return the same of a network in evaluation mode that answers in the saved one's place; ``form``: of
    the format that needs it."""
    onnx = import_extra("onnx", format_name)
    import_extra("onnxscript", format_name)
    where = f"--format {format_name}"
    exported_program = export_program(
        network, random_batches(*input_size(saved_network), [2])[0], where
    )
    try:
        with silence_exporters():
            onnx_program = torch.onnx.export(
                exported_program,
                dynamo=True,
                input_names=[INPUT_NAME],
                output_names=[OUTPUT_NAME],
                verbose=False,
            )
    except Exception as error:  # the exporter's own kinds, and those of what it calls
        raise ExportError(
            f"{where}: need a network of operators that ONNX has, got {type(error).__name__}: "
            f"{error}"
        ) from error
    assert onnx_program is not None  # as dynamo=True gives a program
    model_proto = onnx_program.model_proto
    _remove_source_paths(model_proto)
    onnx.helper.set_model_props(
        model_proto,
        {
            f"scalesearch.{key}": json.dumps(value)
            for key, value in network_metadata(saved_network).items()
        },
    )
    onnx.checker.check_model(model_proto)
    return model_proto


def read_onnx_metadata(path: Path) -> dict[str, Any]:
    """Return what a file of ours says of its network beside the weights; see ``metadata``."""
    onnx = import_extra("onnx", "onnx")
    properties = onnx.load(str(path)).metadata_props
    return {
        metadata_property.key.removeprefix("scalesearch."): json.loads(metadata_property.value)
        for metadata_property in properties
        if metadata_property.key.startswith("scalesearch.")
    }


def onnx_logits_function(
    model: bytes | Path, *, threads: int = 1, optimized: bool = True
) -> LogitsFunction:
    """Return what ONNX Runtime answers with a model, on the CPU.

    ``optimised``: let it fuse operators; without, each is computed as it stands in the file.
    """
    return partial(session_logits, onnx_session(model, threads=threads, optimized=optimized))


def onnx_session(model: bytes | Path, *, threads: int = 1, optimized: bool = True) -> Any:
    """Return a session of ONNX Runtime. Raises ExportError for what is no model."""
    runtime = import_extra("onnxruntime", "onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if not optimized:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else str(model)
    try:
        return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its kinds share no class
        raise ExportError(f"{'model' if isinstance(model, bytes) else model}: {error}") from error


def session_logits(session: Any, images_BCHW: Tensor) -> Tensor:
    """Return the logits of a session, as a tensor."""
    (logits,) = session.run([OUTPUT_NAME], {INPUT_NAME: images_BCHW.contiguous().numpy()})
    return torch.from_numpy(logits)


def _remove_source_paths(model_proto: Any) -> None:
    """Leave out where in Python's code each node comes from, which are paths of no use elsewhere;
    the number of images is called ``batch``."""
    graph = model_proto.graph
    (symbol,) = {side.dim_param for side in _dimensions(graph.input[0]) if side.dim_param}
    for value in [*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]:
        value.doc_string = ""
        del value.metadata_props[:]
    for value in [*graph.value_info, *graph.input, *graph.output]:
        for dimension in _dimensions(value):
            if dimension.dim_param:
                dimension.dim_param = re.sub(rf"\b{symbol}\b", BATCH_DIMENSION, dimension.dim_param)
    del graph.metadata_props[:]
    graph.doc_string = ""


def _dimensions(value: Any) -> Any:
    return value.type.tensor_type.shape.dim


INT8_FORMAT = "int8"


def write_int8(
    path: Path, saved_network: SavedNetwork, image_set: ImageSet, *, onnx_model: Any = None
) -> Parity:
    """Write the network as an ONNX file of eight-bit numbers, whole or not at all.

    Static: the range of each activation is measured on validation images, as the mean of the
    extremes of eight at a time. The extremes of all of them are set by a single odd image, and all
    others are rounded too coarsely (a B0 of a quarter's width then answered 25% of CIFAR-10's
    images as in float, instead of 86%). Weights are symmetric int8, each output channel with a
    scale of its own; activations are uint8, which ONNX Runtime multiplies several times faster than
    int8 on x86; logits stay float32. The graph is float with pairs of QuantizeLinear and
    DequantizeLinear ("QDQ"), which runtimes fuse.

    Returns how its answers agree with the network's on real images; raises ExportError, leaving no
    file, where too few do. ``made``: its ``float_model``, where it is already there.
    """
    quantization = import_extra("onnxruntime.quantization", INT8_FORMAT)
    float_onnx = copy.deepcopy(onnx_model or float_model(saved_network))
    quantization.quant_utils.add_pre_process_metadata(
        float_onnx
    )  # folded and shaped as it would be
    with tempfile.TemporaryDirectory() as folder, silence_exporters():
        int8_path = Path(folder) / "int8.onnx"
        quantization.quantize_static(
            float_onnx,
            str(int8_path),
            _calibration_reader(image_set.calibration_batches()),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options={
                "CalibMovingAverage": True,
                "OpTypesToExcludeOutputQuantization": ["Gemm"],
            },
        )
        content = int8_path.read_bytes()
    reference_logits = partial(torch_logits, saved_network.network)
    parity_result = parity(
        reference_logits, onnx_logits_function(content), image_set.parity_batches()
    )
    require_similar_predictions(str(path), parity_result)
    write_bytes(path, content)
    return parity_result


def _calibration_reader(batches: Iterator[Tensor]) -> Any:
    """Return the batches in the form in which ONNX Runtime asks for them."""
    base = import_extra("onnxruntime.quantization", INT8_FORMAT).CalibrationDataReader

    class CalibrationReader(base):  # type: ignore[misc, valid-type]
        def get_next(self) -> dict[str, Any] | None:
            images = next(batches, None)
            return None if images is None else {INPUT_NAME: images.numpy()}

    return CalibrationReader()
